//! `sampler = …`.

#![forbid(unsafe_code)]

use super::keys;
use super::section::Section;
use crate::config::model::Sampler;
use crate::config::reading::field::Field;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::{did_you_mean, names_of};
use crate::config::text::node::{Text, Value};

/// A sampler by its name, or a table with its one parameter.
pub(super) fn read(field: Field<'_>, findings: &mut Findings) -> Result<Sampler, Broken> {
    match &field.node.value {
        Value::Text(Text::Written(text)) => match meant_sampler(text) {
            Some(meant) => {
                let message = format!("`sampler` cannot be {text:?}");
                let problem = Problem::error(code::UNKNOWN_VALUE, message).at(field.span(), format!("write {meant}"));
                Err(findings.refuse(problem.help(format!("a sampler is {SAMPLER_WANTS}"))))
            }
            None if did_you_mean(text, &names_of(SAMPLERS)).is_empty() => {
                let problem = Problem::error(code::UNKNOWN_VALUE, format!("`sampler` cannot be {text:?}"));
                Err(findings.refuse(problem.at(field.span(), "").help(format!("a sampler is {SAMPLER_WANTS}"))))
            }
            None => field.choice(SAMPLERS, findings),
        },
        Value::Text(_) => field.choice(SAMPLERS, findings),
        Value::Table(_) => sampler_table(field, findings),
        Value::Float(_) | Value::Integer(_) => {
            let number = findings.source(&field.span()).unwrap_or_default().to_owned();
            let problem = Problem::error(code::WRONG_TYPE, format!("`sampler` takes {SAMPLER_WANTS}"));
            let shown = if number.parse::<f64>().is_ok_and(|value| value <= 1.0) { number } else { "0.25".into() };
            Err(findings.refuse(problem.at(field.span(), format!("write {{ ratio = {shown} }}"))))
        }
        _ => Err(field.wrong_type(SAMPLER_WANTS, findings)),
    }
}

/// What others call it: `sampler = "ratio"` names a sampler whose share is missing.
fn meant_sampler(text: &str) -> Option<String> {
    let word = text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    if !did_you_mean(text, &names_of(SAMPLERS)).is_empty() {
        // One of them, or a slip.
        return None;
    }
    if let Ok(share) = word.parse::<f64>() {
        return (0.0..=1.0).contains(&share).then(|| format!("{{ ratio = {share:?} }}"));
    }
    if let Some(percent) = word.strip_suffix('%').and_then(|percent| percent.parse::<f64>().ok()) {
        return Some(format!("{{ ratio = {:?} }}", percent / 100.0));
    }
    // With its number, as some write it: `ratio=0.1`, `ratio:0.1`, `ratio(0.1)`.
    let end = word.find(|c: char| !(c.is_ascii_alphabetic() || c == '_')).unwrap_or(word.len());
    let (name, rest) = word.split_at_checked(end)?;
    let number: Option<f64> = rest.trim_matches(|c: char| !(c.is_ascii_digit() || c == '.')).parse().ok();
    let share = number.filter(|share| (0.0..=1.0).contains(share)).unwrap_or(0.25);
    let name = name.trim_end_matches('_');
    let name = name.strip_prefix("parentbased_").unwrap_or(name);
    Some(match name {
        "ratio"
        | "traceidratio"
        | "traceidratiobased"
        | "trace_id_ratio"
        | "trace_id_ratio_based"
        | "probabilistic"
        | "probability" => format!("{{ ratio = {share:?} }}"),
        "consistent_probability" | "consistent" => format!("{{ consistent_probability = {share:?} }}"),
        "rate_limit" | "ratelimit" | "rate_limiting" | "ratelimiting" => {
            let limit = number.filter(|limit| *limit > 0.0).unwrap_or(100.0);
            format!("{{ rate_limit = {limit} }}")
        }
        "always_on" | "always" | "on" | "all" => "\"always_on\"".into(),
        "always_off" | "never" | "off" | "none" => "\"always_off\"".into(),
        _ => return None,
    })
}

fn sampler_table(field: Field<'_>, findings: &mut Findings) -> Result<Sampler, Broken> {
    let section = Section::open(field, "sampler = { … }".into(), keys::SAMPLER, findings)?;
    let given: Vec<_> = keys::SAMPLER.iter().filter_map(|key| Some((*key, section.field(key)?))).collect();
    match given.as_slice() {
        [("rate_limit", limit)] => {
            let wants = "a number of new traces per second, above 0 and up to 1000000";
            limit.number(wants, |value| value > 0.0 && value <= 1e6, findings).map(Sampler::RateLimit)
        }
        [(key, share)] => {
            let wants = "a share of new traces from 0.0 to 1.0";
            let percent = match &share.node.value {
                Value::Integer(value) => i32::try_from(*value).ok().map(f64::from),
                Value::Float(value) => Some(*value),
                _ => None,
            };
            if let Some(percent) = percent.filter(|percent| (2.0..=100.0).contains(percent)) {
                let problem = Problem::error(code::OUT_OF_RANGE, format!("`{key}` takes {wants}"));
                let label = format!("out of range; {percent} percent is {}", percent / 100.0);
                return Err(findings.refuse(problem.at(share.span(), label)));
            }
            let share = share.number(wants, |value| (0.0..=1.0).contains(&value), findings);
            share.map(if *key == "ratio" { Sampler::Ratio } else { Sampler::ConsistentProbability })
        }
        [(_, one), (_, other), ..] => Err(findings.refuse(
            Problem::error(
                code::CONTRADICTION,
                "a sampler is one of a ratio, a consistent probability and a rate limit",
            )
            .at(one.key_span.clone(), "one")
            .also(other.key_span.clone(), "the other"),
        )),
        // Unknown keys have been reported.
        [] if !section.is_empty() => Err(Broken),
        [] => Err(findings.refuse(
            Problem::error(code::MISSING_KEY, format!("this sampler says nothing; it is {SAMPLER_WANTS}"))
                .at(field.span(), ""),
        )),
    }
}

const SAMPLERS: &[(&str, Sampler)] = &[("always_on", Sampler::AlwaysOn), ("always_off", Sampler::AlwaysOff)];
const SAMPLER_WANTS: &str =
    "\"always_on\", \"always_off\", { ratio = 0.25 }, { consistent_probability = 0.25 } or { rate_limit = 100 }";
