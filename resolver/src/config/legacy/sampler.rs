//! Jaeger's samplers. All of them decide at the root only: a parent's decision always wins.

#![forbid(unsafe_code)]

use super::object::Object;
use crate::config::model::Sampler;
use crate::config::reading::field::Field;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;

/// `{"type": "const", "param": 1}`, or with the names of the earliest form.
pub(super) fn read(
    object: Object<'_>,
    type_key: &str,
    param_key: &str,
    findings: &mut Findings,
) -> Result<Sampler, Broken> {
    let kind = match object.field(type_key) {
        Some(field) => field.choice(KINDS, findings),
        None => Ok(Kind::Const),
    };
    let param = object.field(param_key);
    let number = match param {
        // The original counted down silently, const 0.5 to 0 and ratelimiting 0.5 to never.
        Some(field) => field.number("a number", |_| true, findings)?,
        None => 1.0,
    };
    let kind = kind?;
    if kind == Kind::Remote {
        let place = object.field(type_key).map_or(object.node.span.clone(), Field::span);
        findings.mention(
            Problem::warning(code::OLD_REMOTE_SAMPLER, "no sampler is fetched from a server here: every trace is kept")
                .at(place, "read as const 1")
                .help("say const, probabilistic or ratelimiting"),
        );
    }
    kind.sampler(number).map_err(|wants| {
        let place = param.map_or(object.node.span.clone(), Field::span);
        findings.refuse(
            Problem::error(code::OUT_OF_RANGE, format!("`{param_key}` takes {wants}")).at(place, "out of range"),
        )
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Const,
    Probabilistic,
    RateLimiting,
    Remote,
}

impl Kind {
    /// The sampler with this parameter, or what the parameter should be.
    pub(super) fn sampler(self, param: f64) -> Result<Sampler, &'static str> {
        match self {
            Self::Const if param == 0.0 => Ok(Sampler::AlwaysOff),
            Self::Const if param >= 1.0 => Ok(Sampler::AlwaysOn),
            Self::Const => Err("0 (no trace) or 1 (every trace) for const; for a share say probabilistic"),
            Self::Probabilistic if (0.0..=1.0).contains(&param) => Ok(Sampler::Ratio(param)),
            Self::Probabilistic => Err("a share from 0.0 to 1.0 for probabilistic"),
            Self::RateLimiting if param == 0.0 => Ok(Sampler::AlwaysOff),
            Self::RateLimiting if param > 0.0 && param.is_finite() => Ok(Sampler::RateLimit(param)),
            Self::RateLimiting => Err("a number of traces per second, 0 or more, for ratelimiting"),
            Self::Remote => Ok(Sampler::AlwaysOn),
        }
    }

    /// What Jaeger's variables mean when only the type is set. For const its own default (0.001) kept nothing.
    pub(super) fn param_by_default(self) -> f64 {
        if self == Self::Probabilistic { 0.001 } else { 1.0 }
    }
}

pub(super) const KINDS: &[(&str, Kind)] = &[
    ("const", Kind::Const),
    ("probabilistic", Kind::Probabilistic),
    ("ratelimiting", Kind::RateLimiting),
    ("remote", Kind::Remote),
];
