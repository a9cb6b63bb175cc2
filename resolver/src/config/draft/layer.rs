//! One layer of the settings, of defaults < service < topic: only what that section says, and how one is laid over
//! another. Tables merge, arrays and enumerations replace.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::config::model::{
    Ambient, Conventions, Measuring, MessageKey, ParentDecision, Propagator, Relation, Sampler, Settings,
    SpanAttributes, Trace,
};
use crate::config::reading::pattern::PlacedPattern;
use crate::config::report::findings::Broken;

/// What one section says; `None` where it says nothing, `Broken` where its reference leads nowhere.
///
/// A broken value does harm only where it is in effect: a layer above that says something else hides it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    pub(crate) trace: Said<Trace>,
    pub(crate) measure: Said<Measuring>,
    pub(crate) sampler: Said<Sampler>,
    pub(crate) parent: Said<ParentDecision>,
    pub(crate) relation: Said<Relation>,
    pub(crate) ambient: Said<Ambient>,
    pub(crate) inject: Said<Arc<[Propagator]>>,
    pub(crate) extract: Said<Arc<[Propagator]>>,
    pub(crate) reinject: Said<bool>,
    pub(crate) commit_spans: Said<bool>,
    /// Indices of the backends as declared, before any is taken out.
    pub(crate) export: Said<Arc<[usize]>>,
    pub(crate) capture_headers: Said<Arc<[String]>>,
    pub(crate) redact_headers: Said<Arc<[String]>>,
    pub(crate) redact_values: Said<Arc<[String]>>,
    pub(crate) message_key: Said<MessageKey>,
    pub(crate) conventions: Said<Conventions>,
    pub(crate) exclude: Said<Arc<[PlacedPattern]>>,
    /// By attribute; a later entry replaces an earlier one of the same name.
    pub(crate) resource: Vec<(String, Result<String, Broken>)>,
}

pub(crate) type Said<T> = Option<Result<T, Broken>>;

impl Layer {
    /// This layer laid over `below`.
    #[must_use]
    pub(crate) fn over(&self, below: &Self) -> Self {
        let mut resource = below.resource.clone();
        for (name, value) in &self.resource {
            match resource.iter_mut().find(|(other, _)| other == name) {
                Some((_, old)) => old.clone_from(value),
                None => resource.push((name.clone(), value.clone())),
            }
        }
        Self {
            trace: self.trace.or(below.trace),
            measure: self.measure.or(below.measure),
            sampler: self.sampler.or(below.sampler),
            parent: self.parent.or(below.parent),
            relation: self.relation.or(below.relation),
            ambient: self.ambient.or(below.ambient),
            inject: self.inject.clone().or_else(|| below.inject.clone()),
            extract: self.extract.clone().or_else(|| below.extract.clone()),
            reinject: self.reinject.or(below.reinject),
            commit_spans: self.commit_spans.or(below.commit_spans),
            export: self.export.clone().or_else(|| below.export.clone()),
            capture_headers: self.capture_headers.clone().or_else(|| below.capture_headers.clone()),
            redact_headers: self.redact_headers.clone().or_else(|| below.redact_headers.clone()),
            redact_values: self.redact_values.clone().or_else(|| below.redact_values.clone()),
            message_key: self.message_key.or(below.message_key),
            conventions: self.conventions.or(below.conventions),
            exclude: self.exclude.clone().or_else(|| below.exclude.clone()),
            resource,
        }
    }

    /// The settings in effect, if every value that is in effect could be had.
    ///
    /// A value that no layer names counts as broken too; the embedded defaults name them all.
    pub(crate) fn settings(&self) -> Result<Settings, Broken> {
        Ok(Settings {
            trace: said(self.trace)?,
            measure: said(self.measure)?,
            sampler: said(self.sampler)?,
            parent: said(self.parent)?,
            relation: said(self.relation)?,
            ambient: said(self.ambient)?,
            inject: said(self.inject.clone())?,
            extract: said(self.extract.clone())?,
            reinject: said(self.reinject)?,
            commit_spans: said(self.commit_spans)?,
            export: said(self.export.clone())?,
            attributes: SpanAttributes {
                capture_headers: said(self.capture_headers.clone())?,
                redact_headers: said(self.redact_headers.clone())?,
                redact_values: said(self.redact_values.clone())?,
                message_key: said(self.message_key)?,
                conventions: said(self.conventions)?,
            },
        })
    }

    /// The attributes in effect.
    pub(crate) fn resource(&self) -> Result<Vec<(String, String)>, Broken> {
        self.resource.iter().map(|(name, value)| Ok((name.clone(), value.clone()?))).collect()
    }
}

/// The value of one key, `Broken` when nothing says it.
pub(crate) fn said<T>(value: Said<T>) -> Result<T, Broken> {
    value.unwrap_or(Err(Broken))
}

/// The settings of what is switched off because it cannot be trusted: messages and their headers stay untouched.
pub(crate) fn untouched() -> Settings {
    Settings {
        trace: Trace::Off,
        measure: Measuring::Off,
        sampler: Sampler::AlwaysOff,
        parent: ParentDecision::Respect,
        relation: Relation::Parent,
        ambient: Ambient::Off,
        inject: Arc::default(),
        extract: Arc::default(),
        reinject: false,
        commit_spans: false,
        export: Arc::default(),
        attributes: SpanAttributes::default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layer() -> impl Strategy<Value = Layer> {
        let text = |value: &bool| if *value { Ok("v".to_owned()) } else { Err(Broken) };
        (
            proptest::option::of(prop_oneof![Just(Ok(Trace::Off)), Just(Ok(Trace::Spans)), Just(Err(Broken))]),
            proptest::option::of((0.0f64..1.0).prop_map(|ratio| Ok(Sampler::Ratio(ratio)))),
            proptest::option::of(proptest::collection::vec(0usize..5, 0..3).prop_map(|export| Ok(export.into()))),
            proptest::collection::btree_map("[ab]", any::<bool>().prop_map(move |v| text(&v)), 0..3),
        )
            .prop_map(|(trace, sampler, export, resource)| Layer {
                trace,
                sampler,
                export,
                resource: resource.into_iter().collect(),
                ..Layer::default()
            })
    }

    fn view(layer: &Layer) -> String {
        let mut resource = layer.resource.clone();
        resource.sort_by(|left, right| left.0.cmp(&right.0));
        format!("{:?} {:?} {:?} {resource:?}", layer.trace, layer.sampler, layer.export)
    }

    proptest! {
        #[test]
        fn the_upper_layer_wins_where_it_speaks_and_the_lower_one_elsewhere(upper in layer(), lower in layer()) {
            let merged = upper.over(&lower);
            prop_assert_eq!(merged.trace, if upper.trace.is_some() { upper.trace } else { lower.trace });
            prop_assert_eq!(&merged.export, if upper.export.is_some() { &upper.export } else { &lower.export });
            for (name, value) in &merged.resource {
                let from = |layer: &Layer| layer.resource.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
                prop_assert_eq!(Some(value.clone()), from(&upper).or_else(|| from(&lower)));
            }
            let names = upper.resource.iter().chain(&lower.resource).map(|(name, _)| name);
            prop_assert_eq!(names.collect::<std::collections::BTreeSet<_>>().len(), merged.resource.len());
        }

        #[test]
        fn three_layers_come_out_the_same_whichever_two_are_merged_first(a in layer(), b in layer(), c in layer()) {
            prop_assert_eq!(view(&a.over(&b).over(&c)), view(&a.over(&b.over(&c))));
        }

        #[test]
        fn an_empty_layer_changes_nothing(a in layer()) {
            prop_assert_eq!(view(&a.over(&Layer::default())), view(&a));
            prop_assert_eq!(view(&Layer::default().over(&a)), view(&a));
        }
    }

    #[test]
    fn a_broken_value_does_no_harm_under_a_layer_that_says_something_else() {
        let below = Layer { trace: Some(Err(Broken)), ..Layer::default() };
        let above = Layer { trace: Some(Ok(Trace::Off)), ..Layer::default() };
        assert_eq!(above.over(&below).trace, Some(Ok(Trace::Off)));
        assert_eq!(Layer::default().over(&below).trace, Some(Err(Broken)));
    }
}
