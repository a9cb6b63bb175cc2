//! What was decided about a span, and by which threshold: what the next moment would decide may be another thing.

use super::SpanContext;
use super::threshold::Threshold;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the flags of the span's context say of it.
    pub flags: u8,
    /// The service's own sampler would have kept it: its trace does not begin, because more comes than leaves.
    pub is_shed: bool,
    /// The threshold that its randomness has reached, or [`NO_THRESHOLD`].
    threshold: u64,
}

impl Verdict {
    /// Not recorded.
    pub(super) const DROP: Self = Self { flags: 0, is_shed: false, threshold: NO_THRESHOLD };
    /// Recorded, by nothing that has a threshold.
    pub(super) const KEEP: Self = Self { flags: SpanContext::SAMPLED, ..Self::DROP };
    /// Not recorded, although its sampler would have.
    pub(super) const SHED: Self = Self { is_shed: true, ..Self::DROP };

    #[inline]
    pub(super) fn of(keep: bool) -> Self {
        if keep { Self::KEEP } else { Self::DROP }
    }

    /// What was decided before, as the flags of a context say it, and by which threshold, as its trace state does.
    pub fn of_before(flags: u8, threshold: Option<Threshold>) -> Self {
        Self { flags, threshold: threshold.map_or(NO_THRESHOLD, Threshold::randomness), ..Self::DROP }
    }

    /// Recorded, because its randomness reaches `threshold`.
    #[inline]
    pub(super) fn by(threshold: u64) -> Self {
        Self { threshold, ..Self::KEEP }
    }

    #[inline]
    pub(super) fn and(self, flags: u8) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    /// Whether the span is recorded.
    #[inline]
    pub fn is_kept(self) -> bool {
        self.flags & SpanContext::SAMPLED != 0
    }

    /// Whether what begins here has a `tracestate` to say so.
    #[inline]
    pub fn has_threshold(self) -> bool {
        self.threshold != NO_THRESHOLD
    }

    /// The threshold by which it is kept, if it is by one.
    #[inline]
    pub fn threshold(self) -> Option<Threshold> {
        self.has_threshold().then(|| Threshold::at(self.threshold))
    }
}

const NO_THRESHOLD: u64 = u64::MAX;
