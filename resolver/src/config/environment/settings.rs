//! `OTEL_TRACES_SAMPLER` and `OTEL_PROPAGATORS`.

#![forbid(unsafe_code)]

use crate::config::draft::layer::Layer;
use crate::config::model::{ParentDecision, Propagator, Sampler};
use crate::config::reading::propagators::PROPAGATORS;
use crate::config::reading::variable_reader::VariableReader;

/// What the variables say; where they say nothing, the defaults hold, which are OpenTelemetry's own.
pub(super) fn read(reader: &mut VariableReader<'_>) -> Layer {
    let sampler = sampler(reader);
    let formats = propagators(reader);
    Layer {
        sampler: sampler.map(|(sampler, _)| Ok(sampler)),
        parent: sampler.map(|(_, parent)| Ok(parent)),
        inject: formats.clone().map(Ok),
        extract: formats.map(Ok),
        ..Layer::default()
    }
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

/// Written and read alike. A list of nothing but unknown names counts as unset.
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
