//! One librdkafka of this process, and its functions.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use tracer_resolver::interceptor::KafkaApi;

use crate::module::Module;
use crate::symbols;

mod functions;

use functions::Functions;
pub(crate) use functions::Own;

/// A module that contains a librdkafka: the shared library, or a program or library that it was linked into.
///
/// Found once, never freed, and the module is never unloaded: clients refer to it at any time.
#[derive(Debug)]
pub(crate) struct Librdkafka {
    module: Module,
    functions: Functions,
    told: AtomicBool,
    next: *const Librdkafka,
}

// SAFETY: `next` is written before it is published, and what it points to is never freed.
unsafe impl Send for Librdkafka {}
// SAFETY: as above.
unsafe impl Sync for Librdkafka {}

/// The latest one found. A list without a lock, because a lock that is held while another thread forks stays held in
/// the child for ever.
static FOUND: AtomicPtr<Librdkafka> = AtomicPtr::new(std::ptr::null_mut());

/// See [`Librdkafka::is_alone`].
static SEVERAL: AtomicBool = AtomicBool::new(false);

impl Librdkafka {
    /// The one in `module`. The first call for a module looks its functions up: microseconds where they are exported,
    /// milliseconds where its file has to be read.
    pub(crate) fn within(module: Module) -> &'static Self {
        // Acquire: pairs with the release below.
        let mut seen = FOUND.load(Ordering::Acquire);
        if let Some(known) = search(seen, std::ptr::null(), &module) {
            return known;
        }
        if let Some(handle) = module.open() {
            handle.keep();
        }
        let functions = Functions::new(&symbols::find(&module, &functions::NAMES));
        let found =
            Box::into_raw(Box::new(Self { module, functions, told: AtomicBool::new(false), next: std::ptr::null() }));
        let mut known_until = seen;
        loop {
            // SAFETY: ours alone until it is published; from then on it is only read.
            unsafe { (*found).next = seen };
            // AcqRel: publishes it, and sees what others published.
            match FOUND.compare_exchange(seen, found, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if !seen.is_null() {
                        Self::is_not_alone();
                    }
                    // SAFETY: leaked above.
                    return unsafe { &*found };
                }
                Err(latest) => seen = latest,
            }
            // SAFETY: as above; not published.
            if let Some(known) = search(seen, known_until, unsafe { &(*found).module }) {
                // SAFETY: made above, and nobody else has it.
                drop(unsafe { Box::from_raw(found) });
                return known;
            }
            known_until = seen;
        }
    }

    /// The one that was found, when no other was, and none has called.
    #[inline]
    pub(crate) fn only_one() -> Option<&'static Self> {
        // Acquire: pairs with the release in `within`.
        // SAFETY: what the list holds is never freed.
        unsafe { FOUND.load(Ordering::Acquire).as_ref() }.filter(|latest| latest.next.is_null() && Self::is_alone())
    }

    /// Whether no call was seen that means another librdkafka than the calls before it.
    #[inline]
    pub(crate) fn is_alone() -> bool {
        // Acquire: pairs with the release in `is_not_alone`.
        !SEVERAL.load(Ordering::Acquire)
    }

    /// There is one that calls, or is called, of which no client was met: a plugin's, or one whose functions somebody has
    /// looked up by `dlsym`.
    pub(crate) fn is_not_alone() {
        SEVERAL.store(true, Ordering::Release);
    }

    /// What the engine works with; or, in one line, why clients of this one cannot be traced.
    pub(crate) fn engine_api(&self) -> Result<&KafkaApi, String> {
        self.functions.engine.as_ref().map_err(|missing| self.why_not(missing))
    }

    /// What the preloaded library itself calls.
    pub(crate) fn own(&self) -> &Own {
        &self.functions.own
    }

    /// Whether this is the first call for this one.
    pub(crate) fn first_to_tell(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    fn why_not(&self, missing: &[&CStr]) -> String {
        let first = missing.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let more = match missing.len() {
            0 | 1 => String::new(),
            2 => " and another function".to_owned(),
            count => format!(" and {} other functions", count - 1),
        };
        format!(
            "clients of the librdkafka in {} are not traced: {first}{more} cannot be found there. Link that program \
             with -Wl,--export-dynamic (-rdynamic), or do not strip it; a Rust program can use the crate \
             tracer-resolver-rdkafka instead",
            self.module.shown()
        )
    }
}

/// The one in `module` among those from `from` until `until`.
fn search(from: *const Librdkafka, until: *const Librdkafka, module: &Module) -> Option<&'static Librdkafka> {
    let mut at = from;
    while !std::ptr::eq(at, until) {
        // SAFETY: what the list holds is never freed, and `until` lies behind `from` in it, or is its end.
        let known = unsafe { at.as_ref() }?;
        if known.module == *module {
            return Some(known);
        }
        at = known.next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C library, which is no librdkafka: nothing is found in it.
    fn c_library() -> Module {
        Module::containing(libc::strlen as *const () as usize).unwrap()
    }

    #[test]
    fn threads_that_are_first_at_once_get_the_same_one_and_one_of_them_tells() {
        let start = std::sync::Barrier::new(8);
        let found: Vec<_> = std::thread::scope(|scope| {
            let first = || {
                start.wait();
                let found = Librdkafka::within(c_library());
                (std::ptr::from_ref(found).addr(), found.first_to_tell())
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(first)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.iter().all(|(at, _)| *at == found[0].0), "{found:?}");
        assert_eq!(found.iter().filter(|(_, tells)| *tells).count(), 1);
        assert_eq!(Librdkafka::only_one().map(|only| std::ptr::from_ref(only).addr()), Some(found[0].0));
    }

    #[test]
    fn what_has_no_functions_says_where_what_and_which_ways_out() {
        let why = Librdkafka::within(c_library()).engine_api().unwrap_err();
        for word in ["/libc.so", "rd_kafka_conf_interceptor_add_on_new and ", "-rdynamic", "tracer-resolver-rdkafka"] {
            assert!(why.contains(word), "{word} is not in {why}");
        }
    }
}
