//! Configurations that librdkafka before 2.13 has broken.
//!
//! When `rd_kafka_new` fails after the interceptors' `on_new`, it frees lists that the application's configuration, which
//! stays the application's, still refers to (`rd_kafka_interceptors_destroy` at the end of `rd_kafka_new` in rdkafka.c).
//! Using or destroying that configuration is a use after free. See RATIONALE.md.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Remembers `conf`.
pub(super) fn remember(conf: usize) {
    for place in places() {
        // Release: pairs with the acquire in `contains` and `forget`.
        if place.conf.compare_exchange(0, conf, Ordering::Release, Ordering::Relaxed).is_ok() {
            return;
        }
    }
    let place = Box::into_raw(Box::new(Place { conf: AtomicUsize::new(conf), next: std::ptr::null() }));
    let mut latest = PLACES.load(Ordering::Acquire);
    loop {
        // SAFETY: ours alone until it is published; from then on `next` is only read.
        unsafe { (*place).next = latest };
        // AcqRel: publishes the place, and sees what the latest one points to.
        match PLACES.compare_exchange(latest, place, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(current) => latest = current,
        }
    }
}

/// Whether `conf` is remembered.
pub(super) fn contains(conf: usize) -> bool {
    conf != 0 && places().any(|place| place.conf.load(Ordering::Acquire) == conf)
}

/// Forgets `conf`, which its owner gives up, and which must never be freed; `false` when it was not remembered.
pub(super) fn forget(conf: usize) -> bool {
    conf != 0 && places().any(|place| place.conf.compare_exchange(conf, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok())
}

struct Place {
    /// 0: free.
    conf: AtomicUsize,
    next: *const Place,
}

/// The latest one. A list without a lock, because a lock that is held while another thread forks stays held in the
/// child for ever. Places are never freed, only used again.
static PLACES: AtomicPtr<Place> = AtomicPtr::new(std::ptr::null_mut());

fn places() -> impl Iterator<Item = &'static Place> {
    // Acquire: pairs with the publication in `remember`.
    let mut at = PLACES.load(Ordering::Acquire).cast_const();
    std::iter::from_fn(move || {
        // SAFETY: what the list holds was leaked in `remember`.
        let place = unsafe { at.as_ref() }?;
        at = place.next;
        Some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_remembered_until_it_is_forgotten_and_its_place_is_used_again() {
        assert!(!contains(16) && !forget(16) && !contains(0) && !forget(0));
        remember(16);
        remember(32);
        assert!(contains(16) && contains(32));
        assert!(forget(16) && !forget(16) && !contains(16) && contains(32));
        let before = places().count();
        remember(48);
        assert_eq!(places().count(), before);
        assert!(forget(32) && forget(48));
    }
}
