//! Time as spans carry it, cheap enough to be read for every message.
//!
//! On x86_64 processors whose time-stamp counter runs at one rate in all states and on all cores, and where the kernel
//! itself keeps time by it (it tests what the processor claims, and gives the counter up where it finds it wrong, as in
//! some virtual machines), wall-clock time is that counter, scaled, from an anchor that the batch thread renews about
//! once a second: 8 ns instead of 25. The scale is measured between anchors, so the two clocks differ by what the counter
//! drifts in a second, far below a microsecond; a step of the system's clock is followed at the next anchor. Everywhere
//! else the system's clock is read.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch; 0 on a clock set before it.
#[inline]
pub(crate) fn unix_nanos() -> u64 {
    counter::unix_nanos().unwrap_or_else(system_nanos)
}

/// Nanoseconds of a clock that never goes back, from an origin of its own.
pub(crate) fn monotonic_nanos() -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// A reading of the processor's counter, for [`now_and_since`]; 0 where it is not what time is kept by.
#[inline]
pub(crate) fn ticks() -> u64 {
    counter::ticks()
}

/// Nanoseconds since the Unix epoch, and how many of them have passed since [`ticks`] was read, whatever became of the
/// system's clock meanwhile. `None` where that cannot be told.
#[inline]
pub(crate) fn now_and_since(ticks: u64) -> Option<(u64, u64)> {
    if ticks == 0 { None } else { counter::now_and_since(ticks) }
}

/// Called by the batch thread, ten times a second or so: renews the anchor when it is due.
pub(crate) fn keep_anchored() {
    counter::keep_anchored();
}

fn system_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::system_nanos;

    /// Where the two clocks stood, and how they run.
    pub(super) struct Anchor {
        /// Even: stable. Odd: being changed. Zero: no anchor.
        version: AtomicU64,
        ticks: AtomicU64,
        nanos: AtomicU64,
        /// Nanoseconds per tick, times 2^32.
        scale: AtomicU64,
        /// The batch thread's own: the latest reading of both clocks.
        last: Mutex<Option<(u64, u64)>>,
    }

    static ANCHOR: Anchor = Anchor::new();

    /// An anchor is used for so long; then the system's clock is read until there is a newer one.
    const VALID_NANOS: u64 = 3_000_000_000;
    const RENEW_NANOS: u64 = 500_000_000;

    #[inline]
    pub(super) fn unix_nanos() -> Option<u64> {
        ANCHOR.unix_nanos()
    }

    #[inline]
    pub(super) fn ticks() -> u64 {
        ANCHOR.ticks()
    }

    #[inline]
    pub(super) fn now_and_since(earlier: u64) -> Option<(u64, u64)> {
        ANCHOR.now_and_since(earlier)
    }

    pub(super) fn keep_anchored() {
        ANCHOR.keep(Path::new("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
    }

    impl Anchor {
        pub(super) const fn new() -> Self {
            Self {
                version: AtomicU64::new(0),
                ticks: AtomicU64::new(0),
                nanos: AtomicU64::new(0),
                scale: AtomicU64::new(0),
                last: Mutex::new(None),
            }
        }

        /// `kernels` is the file in which the kernel says what it keeps time by.
        pub(super) fn keep(&self, kernels: &Path) {
            if !is_invariant() {
                return;
            }
            let Ok(mut last) = self.last.try_lock() else { return };
            let now = read_both();
            let Some((last_ticks, last_nanos)) = *last else {
                *last = Some(now);
                return;
            };
            let (ticks, nanos) = (now.0.wrapping_sub(last_ticks), now.1.wrapping_sub(last_nanos));
            if nanos < RENEW_NANOS && self.version.load(Ordering::Relaxed) != 0 || nanos < 50_000_000 {
                return;
            }
            *last = Some(now);
            // From 0.1 to 10 GHz, over less than an hour: anything else is a step of the system's clock, or a sleep. And
            // the kernel may find out later that the counter is wrong.
            let per_nano = ticks.saturating_mul(10) / nanos.max(1);
            if ticks == 0 || nanos > 3_600_000_000_000 || !(1..100).contains(&per_nano) || !is_believed(kernels) {
                self.version.store(0, Ordering::Release);
                return;
            }
            let scale = ((u128::from(nanos) << 32) / u128::from(ticks)) as u64;
            let version = self.version.load(Ordering::Relaxed);
            // Release fence: whoever sees one of the new values also sees the odd version.
            self.version.store(version | 1, Ordering::Relaxed);
            std::sync::atomic::fence(Ordering::Release);
            self.ticks.store(now.0, Ordering::Relaxed);
            self.nanos.store(now.1, Ordering::Relaxed);
            self.scale.store(scale, Ordering::Relaxed);
            // Release: pairs with the acquire in `unix_nanos`.
            self.version.store((version | 1).wrapping_add(1), Ordering::Release);
        }

        #[inline]
        pub(super) fn unix_nanos(&self) -> Option<u64> {
            let (ticks, nanos, scale) = self.read()?;
            let passed = scaled(now_ticks().wrapping_sub(ticks), scale);
            (passed < VALID_NANOS).then(|| nanos.wrapping_add(passed))
        }

        #[inline]
        pub(super) fn ticks(&self) -> u64 {
            if self.version.load(Ordering::Relaxed) == 0 { 0 } else { now_ticks() }
        }

        #[inline]
        pub(super) fn now_and_since(&self, earlier: u64) -> Option<(u64, u64)> {
            let (ticks, nanos, scale) = self.read()?;
            let now = now_ticks();
            let passed = scaled(now.wrapping_sub(ticks), scale);
            // Two cores may be a few ticks apart.
            let since = scaled(now.saturating_sub(earlier), scale);
            (passed < VALID_NANOS).then(|| (nanos.wrapping_add(passed), since))
        }

        /// Ticks, nanoseconds and scale of one anchor.
        #[inline]
        fn read(&self) -> Option<(u64, u64, u64)> {
            // Acquire: pairs with the release that ends a change, so that the three values below are of one anchor.
            let version = self.version.load(Ordering::Acquire);
            if version == 0 || version % 2 == 1 {
                return None;
            }
            let ticks = self.ticks.load(Ordering::Relaxed);
            let (nanos, scale) = (self.nanos.load(Ordering::Relaxed), self.scale.load(Ordering::Relaxed));
            std::sync::atomic::fence(Ordering::Acquire);
            (self.version.load(Ordering::Relaxed) == version).then_some((ticks, nanos, scale))
        }
    }

    #[inline]
    fn scaled(ticks: u64, scale: u64) -> u64 {
        ((u128::from(ticks) * u128::from(scale)) >> 32) as u64
    }

    /// Where the kernel does not say, it is not.
    fn is_believed(kernels: &Path) -> bool {
        std::fs::read(kernels).is_ok_and(|name| name.trim_ascii() == b"tsc")
    }

    /// Both clocks at the same moment, as near as three tries get them.
    fn read_both() -> (u64, u64) {
        let tries = std::array::from_fn::<_, 3, _>(|_| {
            let before = now_ticks();
            let nanos = system_nanos();
            let after = now_ticks();
            (after.wrapping_sub(before), before.wrapping_add(after.wrapping_sub(before) / 2), nanos)
        });
        tries.into_iter().min_by_key(|(width, _, _)| *width).map_or((0, 0), |(_, ticks, nanos)| (ticks, nanos))
    }

    #[inline]
    fn now_ticks() -> u64 {
        // SAFETY: every x86_64 processor has the instruction.
        unsafe { _rdtsc() }
    }

    /// CPUID 0x8000_0007, EDX bit 8: the counter's rate never changes (Intel SDM 18.17.1, AMD APM 13.2.4).
    #[expect(unused_unsafe, reason = "`__cpuid` is unsafe in the oldest compiler we support, and safe in newer ones")]
    fn is_invariant() -> bool {
        static INVARIANT: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        *INVARIANT.get_or_init(|| {
            // SAFETY: every x86_64 processor has the instruction.
            unsafe { __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0 }
        })
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub(super) fn unix_nanos() -> Option<u64> {
        None
    }

    pub(super) fn ticks() -> u64 {
        0
    }

    pub(super) fn now_and_since(_earlier: u64) -> Option<(u64, u64)> {
        None
    }

    pub(super) fn keep_anchored() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_clock_says_what_the_systems_says() {
        for _ in 0..20 {
            keep_anchored();
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        for _ in 0..10_000 {
            let before = system_nanos();
            let ours = unix_nanos();
            let after = system_nanos();
            // A preempted thread may see `after` late, never `ours` outside by more than the clocks' own disagreement.
            assert!(ours + 50_000 >= before && ours <= after + 50_000, "{before} {ours} {after}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_counter_is_used_only_while_the_kernel_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let kernels = folder.path().join("current_clocksource");
        let anchor = counter::Anchor::new();
        let anchored_by = |name: Option<&str>| {
            match name {
                Some(name) => std::fs::write(&kernels, name).unwrap(),
                None => std::fs::remove_file(&kernels).unwrap(),
            }
            for _ in 0..40 {
                anchor.keep(&kernels);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            anchor.unix_nanos().is_some()
        };
        let trusts = anchored_by(Some("tsc\n"));
        for other in [Some("kvm-clock\n"), Some("hpet\n"), Some(""), None] {
            assert!(!anchored_by(other), "{other:?}");
        }
        assert_eq!(anchored_by(Some("tsc\n")), trusts, "the kernel may come back to it");
    }
}
