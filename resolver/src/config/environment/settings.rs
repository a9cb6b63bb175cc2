//! `OTEL_TRACES_SAMPLER`, `OTEL_PROPAGATORS`, and `OTEL_SEMCONV_STABILITY_OPT_IN` with its sister.

#![forbid(unsafe_code)]

use crate::config::draft::layer::Layer;
use crate::config::model::{Conventions, ParentDecision, Propagator, Sampler};
use crate::config::reading::propagators::PROPAGATORS;
use crate::config::reading::variable_reader::VariableReader;

/// What the variables say; where they say nothing, the defaults hold, which are OpenTelemetry's own.
pub(super) fn read(reader: &mut VariableReader<'_>) -> Layer {
    let sampler = sampler(reader);
    let formats = propagators(reader);
    let conventions = conventions(reader);
    Layer {
        sampler: sampler.map(|(sampler, _)| Ok(sampler)),
        parent: sampler.map(|(_, parent)| Ok(parent)),
        inject: formats.clone().map(|formats| Ok(formats.into_iter().filter(|format| format.is_written()).collect())),
        extract: formats.map(|formats| Ok(formats.into())),
        conventions: conventions.map(Ok),
        ..Layer::default()
    }
}

/// The second variable is for conventions that are not stable yet. Words for other kinds of instrumentation are not ours to
/// judge.
fn conventions(reader: &mut VariableReader<'_>) -> Option<Conventions> {
    let lists = ["OTEL_SEMCONV_STABILITY_OPT_IN", "OTEL_SEMCONV_STABILITY_PREVIEW"].map(|name| reader.text(name));
    let mut words = lists.iter().flatten().flat_map(|list| list.split(',')).map(str::trim);
    words.any(|word| word.eq_ignore_ascii_case("messaging/dup")).then_some(Conventions::MessagingDup)
}

fn sampler(reader: &mut VariableReader<'_>) -> Option<(Sampler, ParentDecision)> {
    let word = reader.text("OTEL_TRACES_SAMPLER")?;
    let (kind, parent) = reader.choice("OTEL_TRACES_SAMPLER", &word, SAMPLERS)?;
    let sampler = match kind {
        Kind::On => Sampler::AlwaysOn,
        Kind::Off => Sampler::AlwaysOff,
        Kind::Ratio | Kind::Consistent => {
            let wants = "a ratio from 0.0 to 1.0";
            let ratio = reader.number("OTEL_TRACES_SAMPLER_ARG", wants, |ratio: &f64| (0.0..=1.0).contains(ratio));
            // The specification's value for an argument that is missing or wrong.
            let ratio = ratio.unwrap_or(1.0);
            match kind {
                Kind::Consistent => Sampler::ConsistentProbability(ratio),
                _ => Sampler::Ratio(ratio),
            }
        }
    };
    Some((sampler, parent))
}

/// Read, and written but for those that are only read. A list of nothing but unknown names counts as unset.
fn propagators(reader: &mut VariableReader<'_>) -> Option<Vec<Propagator>> {
    let text = reader.text("OTEL_PROPAGATORS")?;
    let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let known: Vec<Option<Propagator>> =
        words.iter().filter_map(|word| reader.choice("OTEL_PROPAGATORS", word, PROPAGATORS)).collect();
    if known.is_empty() {
        return None;
    }
    if known.len() > 1 && known.contains(&None) {
        reader.warn("OTEL_PROPAGATORS", "says `none` and names formats too: the formats count");
    }
    if known.contains(&Some(Propagator::SkyWalking)) {
        reader.warn("OTEL_PROPAGATORS", "has `skywalking`, which is only read: no `sw8` is written");
    }
    let mut formats = Vec::new();
    for format in known.into_iter().flatten() {
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    Some(formats)
}

#[derive(Clone, Copy)]
enum Kind {
    On,
    Off,
    Ratio,
    Consistent,
}

const SAMPLERS: &[(&str, (Kind, ParentDecision))] = &[
    ("always_on", (Kind::On, ParentDecision::Ignore)),
    ("always_off", (Kind::Off, ParentDecision::Ignore)),
    ("traceidratio", (Kind::Ratio, ParentDecision::Ignore)),
    ("parentbased_always_on", (Kind::On, ParentDecision::Respect)),
    ("parentbased_always_off", (Kind::Off, ParentDecision::Respect)),
    ("parentbased_traceidratio", (Kind::Ratio, ParentDecision::Respect)),
    // OpenTelemetry's contributions to Java have it.
    ("parentbased_consistent_probability", (Kind::Consistent, ParentDecision::Respect)),
];
