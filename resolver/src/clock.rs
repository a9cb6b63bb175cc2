//! Time as spans carry it, cheap enough to be read for every message.
//!
//! On x86_64 processors whose time-stamp counter runs at one rate in all states and on all cores, and where the kernel
//! itself keeps time by it (it tests what the processor claims, and gives the counter up where it finds it wrong, as in
//! some virtual machines), wall-clock time is that counter, scaled, from an anchor that the batch thread renews about
//! once a second: 8 ns instead of 25. Everywhere else the system's clock is read.
//!
//! The scale is measured between anchors, against the monotonic clock: nobody sets that one, and it runs as the system's clock
//! does, NTP's corrections of the rate included. So the counter differs from the system's clock by what it drifts in a second,
//! far below a microsecond, and no length has a step of the system's clock in it: only where an anchor stands in time is taken
//! from there, so a step is followed at the next anchor. Over a suspend the monotonic clock stands still, and a counter may go
//! on, stand still too, or begin anew; so a scale is used only if it is about that of the measurement before.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch; 0 on a clock set before it.
#[inline]
pub(crate) fn unix_nanos() -> u64 {
    counter::unix_nanos().unwrap_or_else(system_nanos)
}

/// A moment, and how long ago it was, whatever became of the system's clock meanwhile. Reads one clock where that is the
/// processor's counter, else two.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// Nanoseconds since the Unix epoch.
    pub(crate) unix_nanos: u64,
    mark: Mark,
}

#[derive(Clone, Copy)]
enum Mark {
    /// As by [`ticks`].
    Ticks(u64),
    /// As by [`monotonic_nanos`].
    Nanos(u64),
}

impl Moment {
    #[inline]
    pub(crate) fn now() -> Self {
        match counter::now() {
            Some((unix_nanos, ticks)) => Self { unix_nanos, mark: Mark::Ticks(ticks) },
            None => Self { unix_nanos: system_nanos(), mark: Mark::Nanos(monotonic_nanos()) },
        }
    }

    /// In nanoseconds.
    #[inline]
    pub(crate) fn elapsed(self) -> u64 {
        match self.mark {
            // Without an anchor any more, its length cannot be told but by the system's clock.
            Mark::Ticks(ticks) => counter::now_and_since(ticks)
                .map_or_else(|| system_nanos().saturating_sub(self.unix_nanos), |(_, since)| since),
            Mark::Nanos(nanos) => monotonic_nanos().saturating_sub(nanos),
        }
    }
}

/// Nanoseconds of a clock that never goes back, from an origin of its own. Without an `Instant`, whose first would have to be
/// kept, and made by a thread that a child of a fork has not.
pub(crate) fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
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
    use std::ops::RangeInclusive;
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

    use super::{monotonic_nanos, system_nanos};

    /// Where the clocks stood, and how the counter runs. What every message reads is in one cache line.
    #[repr(C, align(64))]
    pub(super) struct Anchor {
        /// Even: stable. Odd: being changed.
        version: AtomicU64,
        ticks: AtomicU64,
        nanos: AtomicU64,
        /// Nanoseconds per tick, times 2^32. Zero: there is no anchor.
        scale: AtomicU64,
        /// The batch thread's own: the latest readings, and the scale that they gave; zero is none yet.
        last: Mutex<Option<(Readings, u64)>>,
    }

    /// All clocks at one moment.
    #[derive(Clone, Copy)]
    pub(super) struct Readings {
        pub(super) ticks: u64,
        /// Nanoseconds of the monotonic clock.
        pub(super) steady: u64,
        /// Nanoseconds of the system's clock, since the Unix epoch.
        pub(super) wall: u64,
    }

    static ANCHOR: Anchor = Anchor::new();

    /// An anchor is used for so long; then the system's clock is read until there is a newer one.
    const VALID_NANOS: u64 = 3_000_000_000;
    const RENEW_NANOS: u64 = 500_000_000;
    /// What a scale is measured over at least.
    const MEASURED_NANOS: u64 = 50_000_000;
    /// Scales of a counter: from 10 GHz to 0.1 GHz.
    const PLAUSIBLE: RangeInclusive<u64> = (1 << 32) / 10..=10 << 32;

    #[inline]
    pub(super) fn unix_nanos() -> Option<u64> {
        ANCHOR.unix_nanos(now_ticks)
    }

    /// And the counter's reading by which it is known.
    #[inline]
    pub(super) fn now() -> Option<(u64, u64)> {
        ANCHOR.now(now_ticks)
    }

    #[inline]
    pub(super) fn ticks() -> u64 {
        if ANCHOR.is_set() { now_ticks() } else { 0 }
    }

    #[inline]
    pub(super) fn now_and_since(earlier: u64) -> Option<(u64, u64)> {
        ANCHOR.now_and_since(earlier, now_ticks)
    }

    pub(super) fn keep_anchored() {
        if is_invariant() {
            ANCHOR.keep(Path::new("/sys/devices/system/clocksource/clocksource0/current_clocksource"), read_all);
        }
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
        pub(super) fn keep(&self, kernels: &Path, read: impl FnOnce() -> Readings) {
            let Ok(mut last) = self.last.try_lock() else { return };
            let now = read();
            let Some((before, usual)) = *last else {
                *last = Some((now, 0));
                return;
            };
            let (ticks, nanos) = (now.ticks.wrapping_sub(before.ticks), now.steady.saturating_sub(before.steady));
            if nanos < if self.is_set() { RENEW_NANOS } else { MEASURED_NANOS } {
                return;
            }
            let scale = u64::try_from((u128::from(nanos) << 32) / u128::from(ticks.max(1))).unwrap_or(u64::MAX);
            *last = Some((now, scale));
            // NTP changes the rate of the system's clocks by a twelfth at most. And the kernel may find out later that the
            // counter is wrong.
            let is_usual = scale.abs_diff(usual) <= usual / 4;
            let is_good = PLAUSIBLE.contains(&scale) && is_usual && is_believed(kernels);
            self.set(now.ticks, now.wall, if is_good { scale } else { 0 });
        }

        fn set(&self, ticks: u64, nanos: u64, scale: u64) {
            // Whoever calls it holds `last`.
            let version = self.version.load(Ordering::Relaxed);
            // Release fence: whoever sees one of the new values also sees the odd version.
            self.version.store(version.wrapping_add(1), Ordering::Relaxed);
            std::sync::atomic::fence(Ordering::Release);
            self.ticks.store(ticks, Ordering::Relaxed);
            self.nanos.store(nanos, Ordering::Relaxed);
            self.scale.store(scale, Ordering::Relaxed);
            // Release: pairs with the acquire in `read`.
            self.version.store(version.wrapping_add(2), Ordering::Release);
        }

        #[inline]
        pub(super) fn unix_nanos(&self, now: impl FnOnce() -> u64) -> Option<u64> {
            self.now(now).map(|(nanos, _)| nanos)
        }

        #[inline]
        fn now(&self, now: impl FnOnce() -> u64) -> Option<(u64, u64)> {
            let (ticks, nanos, scale) = self.read()?;
            let now = now();
            let passed = scaled(now.wrapping_sub(ticks), scale);
            (passed < VALID_NANOS).then(|| (nanos.wrapping_add(passed), now))
        }

        #[inline]
        pub(super) fn is_set(&self) -> bool {
            self.scale.load(Ordering::Relaxed) != 0
        }

        #[inline]
        pub(super) fn now_and_since(&self, earlier: u64, now: impl FnOnce() -> u64) -> Option<(u64, u64)> {
            let (ticks, nanos, scale) = self.read()?;
            let now = now();
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
            if version % 2 == 1 {
                return None;
            }
            let ticks = self.ticks.load(Ordering::Relaxed);
            let (nanos, scale) = (self.nanos.load(Ordering::Relaxed), self.scale.load(Ordering::Relaxed));
            std::sync::atomic::fence(Ordering::Acquire);
            (self.version.load(Ordering::Relaxed) == version && scale != 0).then_some((ticks, nanos, scale))
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

    /// All clocks at the same moment, as near as three tries get them.
    fn read_all() -> Readings {
        let read = || {
            let before = now_ticks();
            let (steady, wall) = (monotonic_nanos(), system_nanos());
            let width = now_ticks().wrapping_sub(before);
            (width, Readings { ticks: before.wrapping_add(width / 2), steady, wall })
        };
        let (first, others) = (read(), [read(), read()]);
        others.into_iter().fold(first, |best, other| if other.0 < best.0 { other } else { best }).1
    }

    #[inline]
    fn now_ticks() -> u64 {
        // SAFETY: every x86_64 processor has the instruction.
        unsafe { _rdtsc() }
    }

    /// CPUID 0x8000_0007, EDX bit 8: the counter's rate never changes (Intel SDM 18.17.1, AMD APM 13.2.4).
    #[expect(unused_unsafe, reason = "`__cpuid` is unsafe in the oldest compiler we support, and safe in newer ones")]
    fn is_invariant() -> bool {
        const UNKNOWN: u8 = u8::MAX;
        // Whoever asks at the same time finds the same.
        static INVARIANT: AtomicU8 = AtomicU8::new(UNKNOWN);
        if INVARIANT.load(Ordering::Relaxed) == UNKNOWN {
            // SAFETY: every x86_64 processor has the instruction.
            let is = unsafe { __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0 };
            INVARIANT.store(u8::from(is), Ordering::Relaxed);
        }
        INVARIANT.load(Ordering::Relaxed) == 1
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub(super) fn unix_nanos() -> Option<u64> {
        None
    }

    pub(super) fn now() -> Option<(u64, u64)> {
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

    /// Clocks that only the test moves: the counter runs at 3 GHz.
    #[cfg(target_arch = "x86_64")]
    struct Clocks {
        anchor: counter::Anchor,
        folder: tempfile::TempDir,
        now: counter::Readings,
    }

    #[cfg(target_arch = "x86_64")]
    impl Clocks {
        const MILLI: u64 = 1_000_000;

        /// With an anchor, where the kernel keeps time by the counter.
        fn anchored() -> Self {
            let now =
                counter::Readings { ticks: 7_000_000_000, steady: 5_000_000_000, wall: 1_800_000_000_000_000_000 };
            let mut clocks = Self { anchor: counter::Anchor::new(), folder: tempfile::tempdir().unwrap(), now };
            clocks.kernel_keeps_time_by(Some("tsc\n"));
            clocks.run(300);
            assert!(clocks.anchor.is_set());
            clocks
        }

        fn kernels(&self) -> std::path::PathBuf {
            self.folder.path().join("current_clocksource")
        }

        fn kernel_keeps_time_by(&self, name: Option<&str>) {
            match name {
                Some(name) => std::fs::write(self.kernels(), name).unwrap(),
                None => std::fs::remove_file(self.kernels()).unwrap(),
            }
        }

        /// So many milliseconds pass, and the batch thread calls every hundred.
        fn run(&mut self, millis: u64) {
            for _ in 0..millis / 100 {
                self.pass(100);
                self.anchor.keep(&self.kernels(), || self.now);
            }
            self.pass(millis % 100);
        }

        fn pass(&mut self, millis: u64) {
            self.now.ticks += 3 * millis * Self::MILLI;
            self.now.steady += millis * Self::MILLI;
            self.now.wall += millis * Self::MILLI;
        }

        /// How far the fast clock is from the system's, in milliseconds; `None` where it does not go.
        fn behind(&self) -> Option<i64> {
            let ours = self.anchor.unix_nanos(|| self.now.ticks)?;
            Some((self.now.wall as i64 - ours as i64).div_euclid(Self::MILLI as i64))
        }

        /// How long ago the counter stood at `ticks`, in microseconds: a scale is not exact to the nanosecond.
        fn micros_since(&self, ticks: u64) -> Option<u64> {
            let (_, since) = self.anchor.now_and_since(ticks, || self.now.ticks)?;
            Some((since + 500) / 1000)
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_step_of_the_systems_clock_is_in_no_length_and_followed_at_the_next_anchor() {
        for step in [2000, 14_000, 3_600_000, -300, -350, -3_600_000_i64] {
            let mut clocks = Clocks::anchored();
            clocks.run(1050);
            clocks.now.wall = clocks.now.wall.wrapping_add_signed(step * Clocks::MILLI as i64);
            assert_eq!(clocks.behind(), Some(step), "not known yet");
            let mut sent = clocks.now.ticks;
            let mut until_followed = 0;
            for _ in 0..30 {
                clocks.run(100);
                assert_eq!(clocks.micros_since(sent), Some(100_000), "{step}");
                sent = clocks.now.ticks;
                until_followed += u32::from(clocks.behind() != Some(0));
            }
            assert!(until_followed < 6, "{step}: followed {until_followed} calls later");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_counter_that_went_on_or_began_anew_while_the_machine_slept_is_measured_anew() {
        // Three seconds are a scale of 1.4 GHz over half a second, or of 21: both could be a counter's.
        for slept in [Some(800), Some(3000), Some(3_600_000), None] {
            let mut clocks = Clocks::anchored();
            clocks.run(1050);
            let sleep = slept.unwrap_or(3000) * Clocks::MILLI;
            clocks.now.wall += sleep;
            clocks.now.ticks = if slept.is_some() { clocks.now.ticks + 3 * sleep } else { 0 };
            let mut sent = clocks.now.ticks;
            for _ in 0..30 {
                clocks.run(100);
                assert!([None, Some(100_000)].contains(&clocks.micros_since(sent)), "{slept:?}");
                sent = clocks.now.ticks;
            }
            assert_eq!(clocks.behind(), Some(0), "{slept:?}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_counter_that_stands_still_is_not_used() {
        let mut clocks = Clocks::anchored();
        let ticks = clocks.now.ticks;
        for call in 0..20 {
            clocks.now.ticks = ticks;
            clocks.run(100);
            assert!(call < 6 || clocks.behind().is_none());
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_counter_is_used_only_while_the_kernel_uses_it() {
        let mut clocks = Clocks::anchored();
        for other in [Some("kvm-clock\n"), Some("hpet\n"), Some(""), None] {
            clocks.kernel_keeps_time_by(Some("tsc\n"));
            clocks.run(1000);
            assert_eq!(clocks.behind(), Some(0), "the kernel may come back to it");
            clocks.kernel_keeps_time_by(other);
            clocks.run(1000);
            assert_eq!(clocks.behind(), None, "{other:?}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn an_anchor_that_nobody_renews_is_given_up() {
        let mut clocks = Clocks::anchored();
        clocks.pass(2900);
        assert_eq!(clocks.behind(), Some(0));
        clocks.pass(200);
        assert_eq!((clocks.behind(), clocks.micros_since(clocks.now.ticks)), (None, None));
    }
}
