//! Whether a trace is kept.

use std::sync::Arc;

use super::rate_limit::RateLimit;
use super::threshold::{Threshold, randomness_of};
use super::{SpanContext, Verdict, shedding};
use crate::config::{self, ParentDecision, Settings};
use crate::services::ServiceMap;

/// Decides, span by span, whether a trace is kept.
///
/// Clones share their rate limit. Share it between threads as you like: nothing here blocks or allocates.
#[derive(Clone, Debug)]
pub struct Sampler {
    parent: ParentDecision,
    root: Root,
}

/// What is known about a parent's own decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentSampling {
    /// There is no parent: this span begins a trace.
    NoParent,
    /// There is a parent, and it left the decision to us (B3 without a sampling state).
    Deferred,
    /// The parent is kept.
    Sampled,
    /// The parent is not kept.
    NotSampled,
    /// The parent is kept, and everything below it must be (B3's and Jaeger's debug flag).
    Debug,
}

impl ParentSampling {
    /// What the flags of a parent's own context say.
    pub fn of(flags: u8) -> Self {
        match flags & (SpanContext::SAMPLED | SpanContext::DEBUG) {
            0 => Self::NotSampled,
            SpanContext::SAMPLED => Self::Sampled,
            _ => Self::Debug,
        }
    }
}

/// By what it was decided about a span, as its `tracestate` is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptBy {
    /// As its parent was.
    Parent {
        /// Whether it is kept.
        sampled: bool,
    },
    /// By its trace's randomness, which reaches this.
    Threshold(Threshold),
    /// In another way, or not at all.
    Unknown,
}

/// What becomes of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Recorded and exported; the sampled flag is set.
    Keep,
    /// Not recorded; its context passes on with the sampled flag cleared.
    Drop,
}

impl Sampler {
    /// The sampler of a service. A rate limit starts with a full bucket of its own.
    pub fn new(settings: &Settings) -> Self {
        let root = match settings.sampler {
            config::Sampler::AlwaysOn => Root::Always,
            config::Sampler::AlwaysOff => Root::Never,
            config::Sampler::Ratio(ratio) => Root::ratio(ratio),
            config::Sampler::ConsistentProbability(share) => Threshold::of(share).map_or(Root::Never, Root::Consistent),
            config::Sampler::RateLimit(per_second) => {
                Root::RateLimit { per_second, bucket: Arc::new(RateLimit::new(per_second)) }
            }
        };
        Self { parent: settings.parent, root }
    }

    /// The sampler of a topic within the service that `self` samples for.
    ///
    /// With the same rate limit it draws from the service's bucket: a limit holds for the service, not for each topic
    /// that happens to override something else.
    pub fn for_topic(&self, settings: &Settings) -> Self {
        if self.has_limit_of(settings) {
            Self { parent: settings.parent, root: self.root.clone() }
        } else {
            Self::new(settings)
        }
    }

    /// Whether it grants as `settings` say, out of a bucket: one that goes on is the same limit, another begins full.
    pub fn has_limit_of(&self, settings: &Settings) -> bool {
        match (&self.root, settings.sampler) {
            (Root::RateLimit { per_second: ours, .. }, config::Sampler::RateLimit(theirs)) => *ours == theirs,
            _ => false,
        }
    }

    /// One sampler per slot of the map, in the order of `ServiceMap::client_handles`.
    pub fn for_slots(services: &ServiceMap) -> Vec<Self> {
        let mut samplers: Vec<Self> = Vec::with_capacity(services.slots().len());
        let mut owner: Option<(usize, Self)> = None;
        for (service, settings) in services.slots() {
            let sampler = match &owner {
                Some((index, own)) if *index == service => own.for_topic(settings),
                _ => {
                    let own = Self::new(settings);
                    owner = Some((service, own.clone()));
                    own
                }
            };
            samplers.push(sampler);
        }
        samplers
    }

    /// Decides about one span that has no more than an id; see [`Sampler::judge`].
    #[inline]
    pub fn decide(&self, parent: ParentSampling, trace_id: &[u8; 16], now: impl FnOnce() -> u64) -> Decision {
        self.decide_by(parent, trace_id, || None, now)
    }

    /// The same about a trace that may carry a randomness of its own (`rv` in `tracestate`), where nothing is shed.
    #[inline]
    pub fn decide_by(
        &self,
        parent: ParentSampling,
        trace_id: &[u8; 16],
        randomness: impl FnOnce() -> Option<u64>,
        now: impl FnOnce() -> u64,
    ) -> Decision {
        let verdict = self.judge_by(parent, trace_id, randomness, now, || 0);
        if verdict.is_kept() { Decision::Keep } else { Decision::Drop }
    }

    /// Decides about one span, and says so in the flags of its context.
    ///
    /// With `parent = "respect"` a parent's decision wins and debug keeps the span; only a trace that begins here, or
    /// whose parent deferred, is sampled, and may be shed. With `"ignore"` every span is sampled, whatever its parent says,
    /// debug too: that setting is for those who do not trust the sender.
    ///
    /// `parent` is the context that the span continues, if any; `sampling` is what is known of the decision above, which
    /// can say something without a parent too (a hint in the headers). Random is the parent's, and not set on a new trace
    /// (RATIONALE.md says why). Debug passes on only where the parent is respected.
    ///
    /// `now` is in nanoseconds of a clock that does not go back, from any origin, the same for all calls. Only a rate
    /// limit looks at it, so it is read only then.
    #[inline]
    pub fn judge(
        &self,
        trace_id: &[u8; 16],
        parent: Option<&SpanContext>,
        sampling: ParentSampling,
        randomness: impl FnOnce() -> Option<u64>,
        now: impl FnOnce() -> u64,
    ) -> Verdict {
        let random = parent.map_or(0, |parent| parent.flags & SpanContext::RANDOM);
        self.judge_by(sampling, trace_id, randomness, now, shedding::threshold).and(random)
    }

    /// The same, without a parent's random flag. `shed`: the threshold that what begins has to reach; read only then.
    #[inline]
    fn judge_by(
        &self,
        parent: ParentSampling,
        trace_id: &[u8; 16],
        randomness: impl FnOnce() -> Option<u64>,
        now: impl FnOnce() -> u64,
        shed: impl FnOnce() -> u64,
    ) -> Verdict {
        match (self.parent, parent) {
            (ParentDecision::Respect, ParentSampling::Sampled) => Verdict::KEEP,
            (ParentDecision::Respect, ParentSampling::Debug) => Verdict::KEEP.and(SpanContext::DEBUG),
            (ParentDecision::Respect, ParentSampling::NotSampled) => Verdict::DROP,
            _ => self.root.judge(trace_id, randomness, now, shed),
        }
    }

    /// By what it was decided so about a span; `sampling` as in [`Sampler::judge`].
    pub fn kept_by(&self, sampling: ParentSampling, verdict: Verdict) -> KeptBy {
        match (self.parent, sampling, verdict.threshold()) {
            (
                ParentDecision::Respect,
                ParentSampling::Sampled | ParentSampling::NotSampled | ParentSampling::Debug,
                _,
            ) => KeptBy::Parent { sampled: verdict.is_kept() },
            (_, _, Some(threshold)) => KeptBy::Threshold(threshold),
            _ => KeptBy::Unknown,
        }
    }
}

/// Decides where no parent does.
#[derive(Clone, Debug)]
enum Root {
    Always,
    Never,
    /// Keeps a trace whose id, in its last 63 bits, is below the threshold.
    Below(u64),
    /// Keeps a trace whose randomness reaches the threshold.
    Consistent(Threshold),
    RateLimit {
        per_second: f64,
        bucket: Arc<RateLimit>,
    },
}

impl Root {
    /// Bit for bit what `TraceIdRatioBased` of opentelemetry_sdk decides, so that services on either agree about a trace.
    fn ratio(ratio: f64) -> Self {
        if ratio >= 1.0 {
            return Self::Always;
        }
        // A NaN comes out of `max` as zero: nothing is kept.
        Self::Below((ratio.max(0.0) * (1_u64 << 63) as f64) as u64)
    }

    #[inline]
    fn judge(
        &self,
        trace_id: &[u8; 16],
        randomness: impl FnOnce() -> Option<u64>,
        now: impl FnOnce() -> u64,
        shed: impl FnOnce() -> u64,
    ) -> Verdict {
        if matches!(self, Self::Never) {
            return Verdict::DROP;
        }
        let shed = shed();
        if shed != 0 {
            let randomness = randomness().unwrap_or_else(|| randomness_of(trace_id));
            return self.judge_under_pressure(trace_id, randomness, now, shed);
        }
        match self {
            Self::Always => Verdict::KEEP,
            Self::Never => Verdict::DROP,
            Self::Below(limit) => Verdict::of(low_63_bits(trace_id) < *limit),
            Self::Consistent(threshold) => {
                by_threshold(*threshold, randomness().unwrap_or_else(|| randomness_of(trace_id)))
            }
            Self::RateLimit { bucket, .. } => Verdict::of(bucket.take(now())),
        }
    }

    /// The same, where only a trace whose randomness reaches `shed` may begin: the higher threshold holds, the sampler's own
    /// or that.
    #[cold]
    fn judge_under_pressure(
        &self,
        trace_id: &[u8; 16],
        randomness: u64,
        now: impl FnOnce() -> u64,
        shed: u64,
    ) -> Verdict {
        let own = match self {
            Self::Never => return Verdict::DROP,
            Self::Always => 0,
            Self::Consistent(threshold) => threshold.randomness(),
            // A smaller share than begins at all: as ever.
            Self::Below(limit) if shed <= as_threshold(*limit) => return Verdict::of(low_63_bits(trace_id) < *limit),
            Self::Below(limit) => as_threshold(*limit),
            // How many of all that came it stands for, nobody knows.
            Self::RateLimit { bucket, .. } => {
                return match (bucket.take(now()), randomness >= shed) {
                    (false, _) => Verdict::DROP,
                    (true, false) => Verdict::SHED,
                    (true, true) => Verdict::KEEP,
                };
            }
        };
        match by_threshold(Threshold::at(own.max(shed)), randomness) {
            Verdict::DROP if randomness >= own => Verdict::SHED,
            verdict => verdict,
        }
    }
}

#[inline]
fn by_threshold(threshold: Threshold, randomness: u64) -> Verdict {
    if threshold.keeps(randomness) { Verdict::by(threshold.randomness()) } else { Verdict::DROP }
}

/// The threshold that keeps the same share as this limit of 63 bits.
fn as_threshold(limit: u64) -> u64 {
    (1 << 56) - (limit >> 7)
}

/// The low half of the id without its last bit, as the SDK takes it.
fn low_63_bits(trace_id: &[u8; 16]) -> u64 {
    (u128::from_be_bytes(*trace_id) as u64) >> 1
}

#[cfg(test)]
mod tests;
