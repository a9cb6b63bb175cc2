//! What becomes of the trace that a message's headers name: the engine's own reading and its own sampler, asked.

#![forbid(unsafe_code)]

use tracer_resolver::config::{ParentDecision, Propagator, Relation, Sampler as SamplerSetting, Settings, Trace};
use tracer_resolver::propagation::{
    Extracted, Injection, RemoteParent, TraceStateBuffer, concerns, explicit_randomness, extract, read_baggage,
};
use tracer_resolver::services::Side;
use tracer_resolver::tracer::sampler::{Decision, ParentSampling, Sampler};

use super::malformed;
use crate::output::counted;
use crate::toml_text::{format_name, formats, sampler as written_sampler};

/// Whether a span of such a message is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Each one.
    Kept,
    /// Some, by the sampler.
    Sampled,
    /// None.
    Dropped,
}

impl Fate {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Sampled => "sampled",
            Self::Dropped => "dropped",
        }
    }
}

/// The fate of a message's span, and why.
pub(super) struct Outcome {
    pub(super) fate: Fate,
    pub(super) lines: Vec<String>,
}

/// What is asked, and where a setting comes from.
pub(super) struct Asked<'a> {
    pub(super) settings: &'a Settings,
    pub(super) side: Side,
    pub(super) headers: &'a [(String, String)],
    /// By key.
    pub(super) origin: &'a dyn Fn(&str) -> String,
    /// The backends of the process that have fewer traces begin while their queues are nearly full, in words.
    pub(super) sheds: &'a [String],
}

pub(super) fn outcome(asked: &Asked<'_>) -> Outcome {
    let Asked { settings, side, headers, origin, .. } = *asked;
    match settings.trace_in_effect() {
        Trace::Off => {
            let lines = vec![format!("trace = \"off\" ({}): it passes untouched, headers and all", origin("trace"))];
            return Outcome { fate: Fate::Dropped, lines };
        }
        Trace::Propagate => {
            return Outcome { fate: Fate::Dropped, lines: passed_on(asked) };
        }
        Trace::Spans => {}
    }
    let mut buffer = TraceStateBuffer::new();
    let extracted = extract(bytes(headers), &settings.extract, &mut buffer);
    let mut lines = unread(settings, headers, &extracted);
    lines.extend(left(asked, "its own span"));
    let is_linked = side == Side::Consume && settings.relation != Relation::Parent;
    let fate = match (extracted.parent(), is_linked) {
        (Some(parent), false) => {
            lines.push(format!(
                "it continues trace {} under span {} (read as {})",
                hex::encode(parent.context.trace_id),
                hex::encode(parent.context.span_id),
                format_name(parent.format)
            ));
            continued(asked, parent, &mut lines)
        }
        (Some(parent), true) => {
            let (trace, span) = (hex::encode(parent.context.trace_id), hex::encode(parent.context.span_id));
            let of_its_own = match settings.relation {
                Relation::Batch => {
                    "\"batch\": it is below the span of the call that hands over several messages, or begins a trace of its own"
                }
                _ => "\"link\": it begins a trace of its own",
            };
            lines.push(format!("relation = {of_its_own}, with a link to span {span} of trace {trace}"));
            begun(asked, ParentSampling::NoParent, &mut lines)
        }
        (None, _) => {
            let begins = match side {
                Side::Produce => {
                    "it continues the context that is current where it is sent, if there is one; else it begins a trace"
                }
                Side::Consume => "it begins a trace",
            };
            lines.push(begins.to_owned());
            begun(asked, extracted.sampling(), &mut lines)
        }
    };
    let fate = if settings.export.is_empty() && fate != Fate::Dropped {
        lines.push(format!("but `export` ({}) names no backend: its span goes nowhere", origin("export")));
        Fate::Dropped
    } else {
        fate
    };
    Outcome { fate, lines }
}

/// No span is made, and the context goes on.
fn passed_on(asked: &Asked<'_>) -> Vec<String> {
    let Asked { settings, side, headers, origin, .. } = *asked;
    let mut buffer = TraceStateBuffer::new();
    let extracted = extract(bytes(headers), &settings.extract, &mut buffer);
    let said = match settings.trace {
        Trace::Spans => format!("measure = \"only\" ({})", origin("measure")),
        _ => format!("trace = \"propagate\" ({})", origin("trace")),
    };
    let mut lines = vec![format!("{said}: the context passes on, and no span is made")];
    lines.extend(unread(settings, headers, &extracted));
    let Some(parent) = extracted.parent() else {
        lines.push(match side {
            Side::Produce => {
                "its headers name none: the one that is current where it is sent passes on, if there is one".to_owned()
            }
            Side::Consume => "its headers name none".to_owned(),
        });
        return lines;
    };
    lines.push(format!(
        "trace {} goes on under span {} (read as {})",
        hex::encode(parent.context.trace_id),
        hex::encode(parent.context.span_id),
        format_name(parent.format)
    ));
    lines.extend(left(asked, "what is passed on"));
    lines
}

/// What the headers of a message that is sent are when it leaves: those that speak of a trace. `whose`: the context that is
/// written.
fn left(asked: &Asked<'_>, whose: &str) -> Vec<String> {
    let Asked { settings, side, headers, origin, .. } = *asked;
    if side == Side::Consume {
        return Vec::new();
    }
    let injection = Injection::new(&settings.inject);
    // The application's own baggage stays.
    let spoken: Vec<_> = headers.iter().map(|(name, _)| name).filter(|name| format_of(name).is_some()).collect();
    let spoken = spoken.iter().enumerate().filter(|(at, name)| {
        let is_known = spoken.iter().take(*at).any(|known| known.eq_ignore_ascii_case(name));
        !is_known && format_of(name) != Some(Propagator::Baggage)
    });
    let line = |name: &str| match injection.replaces(name.as_bytes()) {
        true => format!("when it leaves, `{name}` is gone, and what propagators.inject asks for is that of {whose}"),
        false => format!(
            "when it leaves, `{name}` is as it was, for propagators.inject = {} ({}) does not write it",
            formats(&settings.inject),
            origin("propagators.inject")
        ),
    };
    spoken.map(|(_, name)| line(name)).collect()
}

/// The trace goes on: its id is known, so the sampler can be asked.
fn continued(asked: &Asked<'_>, parent: &RemoteParent<'_>, lines: &mut Vec<String>) -> Fate {
    let Asked { settings, origin, .. } = *asked;
    let says = match parent.sampling {
        ParentSampling::Sampled => "its sender kept it",
        ParentSampling::NotSampled => "its sender did not keep it",
        ParentSampling::Debug => "its sender wants it kept (debug)",
        _ => "its sender left the decision to us",
    };
    let is_ignored = settings.parent == ParentDecision::Ignore;
    let by_sampler = is_ignored || parent.sampling == ParentSampling::Deferred;
    let decides = if by_sampler {
        let why = if is_ignored { ", and parent = \"ignore\"" } else { "" };
        let (sampler, place) = (written_sampler(settings.sampler), origin("sampler"));
        format!("{says}{why}: the sampler decides, {sampler} ({place})")
    } else {
        format!("{says}, and parent = \"respect\" ({})", origin("parent"))
    };
    if by_sampler && matches!(settings.sampler, SamplerSetting::RateLimit(_)) {
        lines.push(format!("{decides}: kept, as long as no more traces than that are kept in a second"));
        lines.push(under_pressure(asked));
        return Fate::Sampled;
    }
    let randomness = || explicit_randomness(parent.trace_state);
    match Sampler::new(settings).decide_by(parent.sampling, &parent.context.trace_id, randomness, || 0) {
        Decision::Keep => {
            lines.push(format!("{decides}: kept"));
            lines.push(match by_sampler {
                true => under_pressure(asked),
                false => "it has begun, so it is kept however full a backend's queue is (shed_traces)".to_owned(),
            });
            Fate::Kept
        }
        Decision::Drop => {
            lines.push(format!("{decides}: not kept, so nothing is exported"));
            Fate::Dropped
        }
    }
}

/// A new trace, whose id nobody knows yet.
fn begun(asked: &Asked<'_>, sampling: ParentSampling, lines: &mut Vec<String>) -> Fate {
    let Asked { settings, origin, .. } = *asked;
    if settings.parent == ParentDecision::Respect {
        match sampling {
            ParentSampling::Sampled | ParentSampling::Debug => {
                lines.push("its headers want it kept: kept".to_owned());
                return Fate::Kept;
            }
            ParentSampling::NotSampled => {
                lines.push("its headers want it not kept: nothing is exported".to_owned());
                return Fate::Dropped;
            }
            _ => {}
        }
    }
    let sampler = written_sampler(settings.sampler);
    let (fate, words) = match settings.sampler {
        SamplerSetting::AlwaysOn => (Fate::Kept, "every trace that begins here is kept".to_owned()),
        SamplerSetting::AlwaysOff => (Fate::Dropped, "no trace that begins here is kept: sampled out".to_owned()),
        SamplerSetting::Ratio(share) | SamplerSetting::ConsistentProbability(share) if share <= 0.0 => {
            (Fate::Dropped, "no trace that begins here is kept: sampled out".to_owned())
        }
        SamplerSetting::Ratio(share) | SamplerSetting::ConsistentProbability(share) if share >= 1.0 => {
            (Fate::Kept, "every trace that begins here is kept".to_owned())
        }
        SamplerSetting::Ratio(ratio) => {
            (Fate::Sampled, format!("{} % of the traces that begin here are kept, by their ids", ratio * 100.0))
        }
        SamplerSetting::ConsistentProbability(share) => (
            Fate::Sampled,
            format!("{} % of the traces that begin here are kept, by the last 56 bits of their ids", share * 100.0),
        ),
        SamplerSetting::RateLimit(limit) => {
            (Fate::Sampled, format!("of the traces that begin here, at most {limit} a second may be kept"))
        }
    };
    lines.push(format!("sampler = {sampler} ({}): {words}", origin("sampler")));
    if fate != Fate::Dropped {
        lines.push(under_pressure(asked));
    }
    fate
}

/// What becomes of a trace that this process decides about, when more comes than a backend takes. All backends of the process
/// have a say, whichever its spans go to.
fn under_pressure(asked: &Asked<'_>) -> String {
    if asked.sheds.is_empty() {
        return "no backend has shed_traces = true: however full their queues are it begins, and at the bound batches are dropped"
            .to_owned();
    }
    let stands = match asked.settings.sampler {
        SamplerSetting::RateLimit(_) => "under a rate limit nothing says for how many those stand that begin",
        _ => "if it begins, `th` in its trace state says for how many it stands",
    };
    let (of, queue) = (asked.sheds.join(", "), if asked.sheds.len() == 1 { "the queue" } else { "a queue" });
    format!("while {queue} of {of} is nearly full, it may not begin, by its id; {stands}")
}

/// The headers that speak of a trace, and are not what it was taken from: why not.
fn unread(settings: &Settings, headers: &[(String, String)], extracted: &Extracted<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, (name, value)) in headers.iter().enumerate() {
        let Some(format) = format_of(name) else {
            if !concerns(name.as_bytes()) {
                lines.push(format!("`{name}` is not read: no format of propagators.extract has a header of this name"));
            }
            continue;
        };
        let is_repeated = headers.iter().skip(index + 1).any(|(later, _)| later.eq_ignore_ascii_case(name));
        let is_read = settings.extract.contains(&format)
            || (format == Propagator::B3 && settings.extract.contains(&Propagator::B3Multi));
        if is_repeated && !name.eq_ignore_ascii_case("tracestate") {
            lines.push(format!("`{name}` = {value}: there is a later one, which counts"));
        } else if !is_read {
            let list = formats(&settings.extract);
            lines
                .push(format!("`{name}` is not read: propagators.extract = {list} has no \"{}\"", format_name(format)));
        } else if format == Propagator::Baggage {
            let readable = read_baggage([value.as_bytes()]).count();
            lines.push(format!("`{name}` passes on, with {} that can be read", counted(readable, "entry")));
        } else if name.eq_ignore_ascii_case("tracestate") {
            let has_parent = extracted.parent().is_some_and(|parent| parent.format == Propagator::TraceContext);
            let kept = extracted.parent().is_some_and(|parent| parent.trace_state.is_some());
            if !has_parent {
                lines.push(format!("`{name}` is nothing without a `traceparent` that is read"));
            } else if !kept {
                lines.push(format!("`{name}` is malformed, so ignored"));
            }
        } else if extracted.parent().is_none_or(|parent| parent.format != format) {
            let mut buffer = TraceStateBuffer::new();
            match (extract(bytes(headers), &[format], &mut buffer), extracted.parent()) {
                (Extracted::Nothing, _) => {
                    lines.push(format!("`{name}` is malformed, so ignored: {}", malformed::why(name, value)));
                }
                (_, Some(taken)) => lines.push(format!(
                    "`{name}` is not taken: \"{}\" stands before \"{}\" in propagators.extract",
                    format_name(taken.format),
                    format_name(format)
                )),
                // It says only whether to keep a trace.
                (_, None) => {}
            }
        }
    }
    lines
}

/// The format that a header is of.
fn format_of(name: &str) -> Option<Propagator> {
    match name.to_ascii_lowercase().as_str() {
        "traceparent" | "tracestate" => Some(Propagator::TraceContext),
        "baggage" => Some(Propagator::Baggage),
        "b3" | "x-b3-traceid" | "x-b3-spanid" | "x-b3-sampled" | "x-b3-flags" => Some(Propagator::B3),
        "uber-trace-id" | "jaeger-debug-id" => Some(Propagator::Jaeger),
        "x-datadog-trace-id" | "x-datadog-parent-id" | "x-datadog-sampling-priority" | "x-datadog-tags" => {
            Some(Propagator::Datadog)
        }
        "x-amzn-trace-id" => Some(Propagator::XRay),
        "elastic-apm-traceparent" | "elasticapmtraceparent" => Some(Propagator::Elastic),
        "sw8" => Some(Propagator::SkyWalking),
        _ => None,
    }
}

fn bytes(headers: &[(String, String)]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes())))
}
