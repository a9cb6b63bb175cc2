//! Whether a trace is kept.

use std::sync::Arc;

use super::rate_limit::RateLimit;
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
        let same_limit = match (&self.root, settings.sampler) {
            (Root::RateLimit { per_second: ours, .. }, config::Sampler::RateLimit(theirs)) => *ours == theirs,
            _ => false,
        };
        if same_limit { Self { parent: settings.parent, root: self.root.clone() } } else { Self::new(settings) }
    }

    /// One sampler per slot of the map, in the order of [`ServiceMap::slots`].
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

    /// Decides about one span.
    ///
    /// With `parent = "respect"` a parent's decision wins and debug keeps the span; only a trace that begins here, or
    /// whose parent deferred, is sampled. With `"ignore"` every span is sampled, whatever its parent says, debug too:
    /// that setting is for those who do not trust the sender.
    ///
    /// `now` is in nanoseconds of a clock that does not go back, from any origin, the same for all calls. Only a rate
    /// limit looks at it, so it is read only then.
    #[inline]
    pub fn decide(&self, parent: ParentSampling, trace_id: &[u8; 16], now: impl FnOnce() -> u64) -> Decision {
        let keep = match (self.parent, parent) {
            (ParentDecision::Respect, ParentSampling::Sampled | ParentSampling::Debug) => true,
            (ParentDecision::Respect, ParentSampling::NotSampled) => false,
            _ => self.root.keeps(trace_id, now),
        };
        if keep { Decision::Keep } else { Decision::Drop }
    }
}

/// Decides where no parent does.
#[derive(Clone, Debug)]
enum Root {
    Always,
    Never,
    /// Keeps a trace whose id, in its last 63 bits, is below the threshold.
    Threshold(u64),
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
        Self::Threshold((ratio.max(0.0) * (1_u64 << 63) as f64) as u64)
    }

    #[inline]
    fn keeps(&self, trace_id: &[u8; 16], now: impl FnOnce() -> u64) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Threshold(threshold) => low_63_bits(trace_id) < *threshold,
            Self::RateLimit { bucket, .. } => bucket.take(now()),
        }
    }
}

/// The low half of the id without its last bit, as the SDK takes it.
fn low_63_bits(trace_id: &[u8; 16]) -> u64 {
    (u128::from_be_bytes(*trace_id) as u64) >> 1
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::trace::{Sampler as SdkSampler, SamplingDecision, ShouldSample};
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Propagator, Relation, Trace};

    #[test]
    fn a_parents_decision_wins_when_it_is_respected() {
        for (sampler, own) in
            [(config::Sampler::AlwaysOn, Decision::Keep), (config::Sampler::AlwaysOff, Decision::Drop)]
        {
            let sampler = Sampler::new(&settings(sampler, ParentDecision::Respect));
            assert_eq!(decide(&sampler, ParentSampling::NoParent), own);
            assert_eq!(decide(&sampler, ParentSampling::Deferred), own);
            assert_eq!(decide(&sampler, ParentSampling::Sampled), Decision::Keep);
            assert_eq!(decide(&sampler, ParentSampling::Debug), Decision::Keep);
            assert_eq!(decide(&sampler, ParentSampling::NotSampled), Decision::Drop);
        }
    }

    #[test]
    fn a_parents_decision_counts_for_nothing_when_it_is_ignored() {
        for (sampler, own) in
            [(config::Sampler::AlwaysOn, Decision::Keep), (config::Sampler::AlwaysOff, Decision::Drop)]
        {
            let sampler = Sampler::new(&settings(sampler, ParentDecision::Ignore));
            for parent in PARENTS {
                assert_eq!(decide(&sampler, parent), own, "{parent:?}");
            }
        }
    }

    #[test]
    fn half_of_the_ids_is_the_lower_half() {
        let sampler = Sampler::new(&settings(config::Sampler::Ratio(0.5), ParentDecision::Respect));
        let half = 1_u128 << 63;
        for (id, expected) in [
            (1, Decision::Keep),
            (half - 1, Decision::Keep),
            (half, Decision::Drop),
            (u128::from(u64::MAX), Decision::Drop),
            (u128::MAX ^ half, Decision::Keep),
        ] {
            let decision = sampler.decide(ParentSampling::NoParent, &id.to_be_bytes(), || 0);
            assert_eq!(decision, expected, "{id:032x}");
        }
    }

    #[test]
    fn a_rate_limit_spares_the_budget_when_a_parent_has_decided() {
        let sampler = Sampler::new(&settings(config::Sampler::RateLimit(1.0), ParentDecision::Respect));
        for _ in 0..10 {
            assert_eq!(decide(&sampler, ParentSampling::Sampled), Decision::Keep);
        }
        assert_eq!(decide(&sampler, ParentSampling::NoParent), Decision::Keep);
        assert_eq!(decide(&sampler, ParentSampling::NoParent), Decision::Drop);
    }

    #[test]
    fn the_clock_is_read_only_by_a_rate_limit() {
        let sampler = Sampler::new(&settings(config::Sampler::Ratio(0.5), ParentDecision::Respect));
        for parent in PARENTS {
            sampler.decide(parent, &ID, || panic!("read the clock"));
        }
    }

    #[test]
    fn topics_of_one_service_share_its_rate_limit_and_other_limits_are_their_own() {
        let own = Sampler::new(&settings(config::Sampler::RateLimit(1.0), ParentDecision::Respect));
        let shared = own.for_topic(&settings(config::Sampler::RateLimit(1.0), ParentDecision::Ignore));
        let apart = own.for_topic(&settings(config::Sampler::RateLimit(2.0), ParentDecision::Respect));
        assert_eq!(decide(&own, ParentSampling::NoParent), Decision::Keep);
        assert_eq!(
            decide(&shared, ParentSampling::NotSampled),
            Decision::Drop,
            "the budget is shared, the parent ignored"
        );
        assert_eq!(decide(&shared, ParentSampling::Sampled), Decision::Drop, "the parent is ignored");
        assert_eq!(decide(&apart, ParentSampling::NoParent), Decision::Keep);
        assert_eq!(decide(&apart, ParentSampling::NoParent), Decision::Keep);
        assert_eq!(decide(&apart, ParentSampling::NoParent), Decision::Drop);
    }

    #[test]
    fn every_slot_of_the_map_has_its_sampler_and_services_share_nothing() {
        let limited = |parent| settings(config::Sampler::RateLimit(1.0), parent);
        let service = |name: &str| config::Service {
            name: name.to_owned(),
            span: 0..0,
            produces: Vec::new(),
            consumes: Vec::new(),
            topics: Vec::new(),
            client_ids: Vec::new(),
            group_ids: Vec::new(),
            exclude: Vec::new(),
            settings: limited(ParentDecision::Respect),
            topic_settings: vec![(config::Pattern::Exact("t".to_owned()), limited(ParentDecision::Ignore))],
            resource: Vec::new(),
        };
        let samplers = Sampler::for_slots(&ServiceMap::new(&config::Config {
            origin: config::Origin::Environment,
            services: vec![service("a"), service("b")],
            default_service: None,
            defaults: limited(ParentDecision::Respect),
            backends: Vec::new(),
            plugins: config::Plugins::default(),
            batch: config::Batch { delay: std::time::Duration::ZERO, max_bytes: 0 },
        }));
        let decisions: Vec<Decision> =
            samplers.iter().map(|sampler| decide(sampler, ParentSampling::NoParent)).collect();
        assert_eq!(decisions, [Decision::Keep, Decision::Drop, Decision::Keep, Decision::Drop]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn a_ratio_decides_bit_for_bit_as_the_sdk(ratio in ratios(), id in any::<u128>()) {
            let ours = Sampler::new(&settings(config::Sampler::Ratio(ratio), ParentDecision::Ignore));
            let sdk = SdkSampler::TraceIdRatioBased(ratio);
            for id in [id, near_threshold(ratio, id)] {
                let ours = ours.decide(ParentSampling::NoParent, &id.to_be_bytes(), || 0);
                prop_assert_eq!(ours, sdk_decision(&sdk, None, id), "{} {:032x}", ratio, id);
            }
        }

        #[test]
        fn respecting_a_parent_is_the_sdks_parent_based(ratio in ratios(), id in 1..u128::MAX, parent in prop::option::of(any::<bool>())) {
            let ours = Sampler::new(&settings(config::Sampler::Ratio(ratio), ParentDecision::Respect));
            let sdk = SdkSampler::ParentBased(Box::new(SdkSampler::TraceIdRatioBased(ratio)));
            let known = match parent {
                None => ParentSampling::NoParent,
                Some(true) => ParentSampling::Sampled,
                Some(false) => ParentSampling::NotSampled,
            };
            prop_assert_eq!(ours.decide(known, &id.to_be_bytes(), || 0), sdk_decision(&sdk, parent, id));
        }
    }

    fn ratios() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => 0.0..1.0f64,
            1 => Just(0.25),
            1 => prop::sample::select(vec![0.0, -0.0, -1.0, 1.0, 1.5, 1e-300, f64::MIN_POSITIVE, 1.0 - f64::EPSILON, f64::NAN, f64::INFINITY]),
        ]
    }

    /// An id right at the threshold of the ratio, where an error of one would show.
    fn near_threshold(ratio: f64, id: u128) -> u128 {
        let threshold = (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
        let low = threshold.wrapping_add((id % 3) as u64).wrapping_sub(1).wrapping_shl(1) | (id as u64 & 1);
        (id >> 64 << 64) | u128::from(low)
    }

    fn sdk_decision(sampler: &SdkSampler, parent_sampled: Option<bool>, id: u128) -> Decision {
        let id = TraceId::from(id);
        let parent = parent_sampled.map(|sampled| {
            let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            let parent = SpanContext::new(id, SpanId::from(7), flags, true, TraceState::default());
            opentelemetry::Context::new().with_remote_span_context(parent)
        });
        match sampler.should_sample(parent.as_ref(), id, "", &SpanKind::Producer, &[], &[]).decision {
            SamplingDecision::RecordAndSample => Decision::Keep,
            SamplingDecision::Drop | SamplingDecision::RecordOnly => Decision::Drop,
        }
    }

    fn decide(sampler: &Sampler, parent: ParentSampling) -> Decision {
        sampler.decide(parent, &ID, || 1_000_000_000)
    }

    fn settings(sampler: config::Sampler, parent: ParentDecision) -> Settings {
        Settings {
            trace: Trace::Spans,
            sampler,
            parent,
            relation: Relation::Parent,
            inject: vec![Propagator::TraceContext],
            extract: vec![Propagator::TraceContext],
            reinject: false,
            export: Vec::new(),
        }
    }

    const ID: [u8; 16] = [7; 16];
    const PARENTS: [ParentSampling; 5] = [
        ParentSampling::NoParent,
        ParentSampling::Deferred,
        ParentSampling::Sampled,
        ParentSampling::NotSampled,
        ParentSampling::Debug,
    ];
}
