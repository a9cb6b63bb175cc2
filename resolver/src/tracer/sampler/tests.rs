//! Decisions, beside those of OpenTelemetry's own samplers.

use opentelemetry::trace::{
    SpanContext as SdkSpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::trace::{Sampler as SdkSampler, SamplingDecision, ShouldSample};
use proptest::prelude::*;

use super::*;
use crate::config::{Ambient, Measuring, Propagator, Relation, Trace};

#[test]
fn a_parents_decision_wins_when_it_is_respected() {
    for (sampler, own) in [(config::Sampler::AlwaysOn, Decision::Keep), (config::Sampler::AlwaysOff, Decision::Drop)] {
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
    for (sampler, own) in [(config::Sampler::AlwaysOn, Decision::Keep), (config::Sampler::AlwaysOff, Decision::Drop)] {
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
    assert_eq!(decide(&shared, ParentSampling::NotSampled), Decision::Drop, "the budget is shared, the parent ignored");
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
        metrics: config::Metrics::default(),
        reload: config::Reload::OFF,
    }));
    let decisions: Vec<Decision> = samplers.iter().map(|sampler| decide(sampler, ParentSampling::NoParent)).collect();
    assert_eq!(decisions, [Decision::Keep, Decision::Drop, Decision::Keep, Decision::Drop]);
}

#[test]
fn the_random_flag_is_kept_from_a_parent_and_not_set_on_a_new_trace() {
    let sampler = Sampler::new(&settings(config::Sampler::AlwaysOff, ParentDecision::Respect));
    assert_eq!(sampler.judge(&ID, None, ParentSampling::NoParent, || None, || 0).flags, 0);
    for (parent, sampling, expected) in [
        (SpanContext::SAMPLED, ParentSampling::Sampled, SpanContext::SAMPLED),
        (
            SpanContext::SAMPLED | SpanContext::RANDOM,
            ParentSampling::Sampled,
            SpanContext::SAMPLED | SpanContext::RANDOM,
        ),
        (SpanContext::RANDOM, ParentSampling::NotSampled, SpanContext::RANDOM),
        (0, ParentSampling::Deferred, 0),
    ] {
        let parent = SpanContext { trace_id: ID, span_id: [9; 8], flags: parent };
        assert_eq!(sampler.judge(&ID, Some(&parent), sampling, || None, || 0).flags, expected, "{sampling:?}");
    }
}

#[test]
fn a_kept_span_says_so_in_its_flags() {
    let sampler = Sampler::new(&settings(config::Sampler::AlwaysOn, ParentDecision::Respect));
    assert_eq!(sampler.judge(&ID, None, ParentSampling::NoParent, || None, || 0).flags, SpanContext::SAMPLED);
}

#[test]
fn debug_passes_on_only_where_the_parent_is_respected() {
    let debug = SpanContext::SAMPLED | SpanContext::DEBUG;
    let parent = SpanContext { trace_id: ID, span_id: [9; 8], flags: debug };
    let flags = |sampler, decision, parent| {
        Sampler::new(&settings(sampler, decision)).judge(&ID, parent, ParentSampling::Debug, || None, || 0).flags
    };
    assert_eq!(flags(config::Sampler::AlwaysOff, ParentDecision::Respect, Some(&parent)), debug);
    // Without a context too: a debug id alone.
    assert_eq!(flags(config::Sampler::AlwaysOff, ParentDecision::Respect, None), debug);
    assert_eq!(flags(config::Sampler::AlwaysOn, ParentDecision::Ignore, Some(&parent)), SpanContext::SAMPLED);
    assert_eq!(flags(config::Sampler::AlwaysOff, ParentDecision::Ignore, Some(&parent)), 0);
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
        let parent = SdkSpanContext::new(id, SpanId::from(7), flags, true, TraceState::default());
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
        measure: Measuring::Off,
        sampler,
        parent,
        relation: Relation::Parent,
        ambient: Ambient::Thread,
        inject: [Propagator::TraceContext].into(),
        extract: [Propagator::TraceContext].into(),
        reinject: false,
        commit_spans: false,
        export: Default::default(),
        attributes: Default::default(),
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

#[test]
fn by_consistent_probability_a_trace_is_kept_by_its_last_seven_bytes_or_its_own_randomness() {
    let sampler = Sampler::new(&settings(config::Sampler::ConsistentProbability(0.25), ParentDecision::Respect));
    let keeps = |id: u128, randomness: Option<u64>| {
        let kept = sampler.decide_by(ParentSampling::NoParent, &id.to_be_bytes(), || randomness, || 0);
        kept == Decision::Keep
    };
    let high = u128::MAX << 56;
    assert!(keeps(0xc0_0000_0000_0000, None) && !keeps(high | 0xbf_ffff_ffff_ffff, None));
    assert!(keeps(1, Some(0xc0_0000_0000_0000)) && !keeps(u128::MAX, Some(0xbf_ffff_ffff_ffff)));
    let never = Sampler::new(&settings(config::Sampler::ConsistentProbability(0.0), ParentDecision::Respect));
    assert_eq!(never.decide(ParentSampling::NoParent, &[0xff; 16], || 0), Decision::Drop);
}

#[test]
fn a_span_is_kept_by_its_parent_by_the_threshold_or_by_something_else() {
    use ParentSampling as P;
    let sampler = |sampler, decision| Sampler::new(&settings(sampler, decision));
    let quarter = config::Sampler::ConsistentProbability(0.25);
    let own = KeptBy::Threshold(Threshold::of(0.25).unwrap());
    let kept_by = |sampler: &Sampler, sampling, id: u8| {
        sampler.kept_by(sampling, sampler.judge(&[id; 16], None, sampling, || None, || 0))
    };
    let respects = sampler(quarter, ParentDecision::Respect);
    for (sampling, id, by) in [
        (P::Sampled, 0, KeptBy::Parent { sampled: true }),
        (P::Debug, 0, KeptBy::Parent { sampled: true }),
        (P::NotSampled, 0xff, KeptBy::Parent { sampled: false }),
        (P::Deferred, 0xff, own),
        (P::NoParent, 0xff, own),
        (P::NoParent, 0, KeptBy::Unknown),
    ] {
        assert_eq!(kept_by(&respects, sampling, id), by, "{sampling:?}");
    }
    assert_eq!(kept_by(&sampler(quarter, ParentDecision::Ignore), P::NotSampled, 0xff), own);
    let ratio = config::Sampler::Ratio(0.25);
    assert_eq!(kept_by(&sampler(ratio, ParentDecision::Ignore), P::Sampled, 0), KeptBy::Unknown);
    assert_eq!(kept_by(&sampler(ratio, ParentDecision::Respect), P::Sampled, 0), KeptBy::Parent { sampled: true });
    assert_eq!(kept_by(&sampler(ratio, ParentDecision::Respect), P::NoParent, 0), KeptBy::Unknown);
}

/// What a sampler makes of a new trace of this randomness while the process sheds by `shed`.
fn under_pressure(sampler: config::Sampler, shed: u64, randomness: u64) -> Verdict {
    let sampler = Sampler::new(&settings(sampler, ParentDecision::Respect));
    let id = (7_u128 << 100 | u128::from(randomness)).to_be_bytes();
    sampler.judge_by(ParentSampling::NoParent, &id, || None, || 0, || shed)
}

const HALF: u64 = 1 << 55;
const QUARTER_IS_LEFT: u64 = 3 << 54;

#[test]
fn under_pressure_the_higher_threshold_holds_the_sampler_s_or_the_process_s() {
    use config::Sampler as S;
    let kept = |threshold| Verdict::by(threshold);
    for (sampler, shed, randomness, verdict) in [
        (S::AlwaysOn, 0, 0, Verdict::KEEP),
        (S::AlwaysOn, HALF, HALF, kept(HALF)),
        (S::AlwaysOn, HALF, HALF - 1, Verdict::SHED),
        (S::AlwaysOff, HALF, u64::MAX >> 8, Verdict::DROP),
        (S::ConsistentProbability(0.5), QUARTER_IS_LEFT, QUARTER_IS_LEFT, kept(QUARTER_IS_LEFT)),
        (S::ConsistentProbability(0.5), QUARTER_IS_LEFT, HALF, Verdict::SHED),
        (S::ConsistentProbability(0.5), QUARTER_IS_LEFT, HALF - 1, Verdict::DROP),
        (S::ConsistentProbability(0.25), HALF, QUARTER_IS_LEFT, kept(QUARTER_IS_LEFT)),
        (S::ConsistentProbability(0.25), HALF, HALF, Verdict::DROP),
        // A ratio decides as ever while it keeps less than begins, and by the threshold where it would keep more.
        (S::Ratio(0.25), HALF, 0, Verdict::KEEP),
        (S::Ratio(0.5), QUARTER_IS_LEFT, QUARTER_IS_LEFT, kept(QUARTER_IS_LEFT)),
        (S::Ratio(0.5), QUARTER_IS_LEFT, HALF, Verdict::SHED),
        (S::Ratio(0.5), QUARTER_IS_LEFT, HALF - 1, Verdict::DROP),
        (S::RateLimit(10.0), HALF, HALF, Verdict::KEEP),
        (S::RateLimit(10.0), HALF, HALF - 1, Verdict::SHED),
        (S::AlwaysOn, 1 << 56, u64::MAX >> 8, Verdict::SHED),
    ] {
        assert_eq!(under_pressure(sampler, shed, randomness), verdict, "{sampler:?} {shed:x} {randomness:x}");
    }
}

#[test]
fn what_a_parent_has_decided_is_not_shed() {
    let sampler = Sampler::new(&settings(config::Sampler::AlwaysOn, ParentDecision::Respect));
    for (parent, verdict) in [
        (ParentSampling::Sampled, Verdict::KEEP),
        (ParentSampling::Debug, Verdict::KEEP.and(SpanContext::DEBUG)),
        (ParentSampling::NotSampled, Verdict::DROP),
    ] {
        assert_eq!(sampler.judge_by(parent, &ID, || None, || 0, || panic!("looked")), verdict, "{parent:?}");
    }
    assert_eq!(sampler.judge_by(ParentSampling::Deferred, &ID, || Some(0), || 0, || HALF), Verdict::SHED);
}

/// So that failures in traces that were shed are as limited as others.
#[test]
fn only_what_a_rate_limit_would_have_let_through_is_shed() {
    let judge = |sampler: &Sampler, randomness| {
        sampler.judge_by(ParentSampling::NoParent, &ID, || Some(randomness), || 0, || HALF)
    };
    let sampler = || Sampler::new(&settings(config::Sampler::RateLimit(2.0), ParentDecision::Respect));
    let one = sampler();
    assert_eq!([0, 0, 0].map(|randomness| judge(&one, randomness)), [Verdict::SHED, Verdict::SHED, Verdict::DROP]);
    let other = sampler();
    assert_eq!(
        [0, HALF, HALF].map(|randomness| judge(&other, randomness)),
        [Verdict::SHED, Verdict::KEEP, Verdict::DROP]
    );
}
