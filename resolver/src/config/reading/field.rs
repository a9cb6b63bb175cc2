//! One value of the file, read as the type that its key wants.
//!
//! A string that is one whole reference is read as that type too. Values that came from references are never printed.

#![forbid(unsafe_code)]

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::names;
use super::units;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::{did_you_mean, listed, names_of};
use crate::config::text::node::{Entry, Node, Text, Value};

/// A value with the key it belongs to; the items of an array have the array's key.
#[derive(Clone, Copy)]
pub(crate) struct Field<'n> {
    pub(crate) key: &'n str,
    pub(crate) key_span: &'n Range<usize>,
    pub(crate) node: &'n Node,
}

impl<'n> Field<'n> {
    pub(crate) fn of(entry: &'n Entry) -> Self {
        Self { key: &entry.key, key_span: &entry.key_span, node: &entry.node }
    }

    pub(crate) fn span(self) -> Range<usize> {
        self.node.span.clone()
    }

    /// Any string.
    pub(crate) fn text(self, wants: &str, findings: &mut Findings) -> Result<&'n str, Broken> {
        match &self.node.value {
            Value::Text(text) => text.value().ok_or(Broken),
            _ => Err(self.wrong_type(wants, findings)),
        }
    }

    /// A string that names something: all of it can be seen, and no blank stands at its ends.
    pub(crate) fn name(self, title: &str, wants: &str, findings: &mut Findings) -> Result<&'n str, Broken> {
        let text = self.text(wants, findings)?;
        let Some(flaw) = names::flaw(text) else { return Ok(text) };
        if self.is_referenced() {
            return Err(self.unsuitable_reference(&format!("{wants}: it has {}", flaw.what()), findings));
        }
        let problem = flaw.problem(title, text, &self.node.span, findings);
        Err(findings.refuse(problem))
    }

    /// Whether its key can be a name, which is reported if not. `title` is of the section it stands in.
    pub(crate) fn has_fair_key(self, title: &str, findings: &mut Findings) -> bool {
        if self.key.contains("${") {
            let problem =
                Problem::error(code::MALFORMED_REFERENCE, "a reference can stand in a value, and not in a name");
            let help = "write the name itself; an attribute such as resource = { \"NAME\" = \"${env:…}\" } can differ by machine";
            findings.refuse(problem.at(self.key_span.clone(), "this is taken as it stands").help(help));
            return false;
        }
        let Some(flaw) = names::flaw(self.key) else { return true };
        let place = if title.starts_with('[') { format!("in {title}") } else { format!("of {title}") };
        let name = format!("a name {place}");
        findings.refuse(flaw.problem(&name, self.key, self.key_span, findings));
        false
    }

    /// One of the words in `choices`.
    pub(crate) fn choice<T: Copy>(self, choices: &[(&str, T)], findings: &mut Findings) -> Result<T, Broken> {
        let text = match &self.node.value {
            Value::Text(text) => text.value(),
            _ => None,
        };
        let found = choices.iter().find(|(word, _)| text == Some(*word));
        found.map(|(_, value)| *value).ok_or_else(|| self.unknown_word(&names_of(choices), findings))
    }

    /// Reports that the value is none of `words`.
    fn unknown_word(self, words: &[&str], findings: &mut Findings) -> Broken {
        let known = listed(words);
        let wants = format!("one of {known}");
        let as_switch = match &self.node.value {
            Value::Boolean(value) => by_another_word(if *value { "true" } else { "false" }, words),
            _ => None,
        };
        if let Some(meant) = as_switch {
            let message = format!("`{}` takes {wants}", self.key);
            let label = format!("write {meant:?}");
            return findings.refuse(Problem::error(code::WRONG_TYPE, message).at(self.span(), label));
        }
        let text = match self.text(&wants, findings) {
            Ok(text) => text,
            Err(broken) => return broken,
        };
        let message = format!("`{}` cannot be {text:?}", self.key);
        let label = match (did_you_mean(text, words), by_another_word(text, words)) {
            (label, Some(meant)) if label.is_empty() => format!("here it is called {meant:?}"),
            (label, _) => label,
        };
        let problem = Problem::error(code::UNKNOWN_VALUE, message).at(self.span(), label);
        self.unacceptable(problem.help(format!("known: {known}")), &wants, findings)
    }

    /// Whether it is this very word.
    pub(crate) fn is_word(self, word: &str) -> bool {
        matches!(&self.node.value, Value::Text(text) if text.value() == Some(word))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(self, findings: &mut Findings) -> Result<bool, Broken> {
        let wants = "true or false";
        match (&self.node.value, self.reference()?) {
            (Value::Boolean(value), _) => Ok(*value),
            (_, Some("true")) => Ok(true),
            (_, Some("false")) => Ok(false),
            (_, Some(_)) => Err(self.unsuitable_reference(wants, findings)),
            (value, _) => match meant_switch(value) {
                Some(meant) => {
                    let message = format!("`{}` takes {wants}", self.key);
                    let label = format!("write {meant}");
                    Err(findings.refuse(Problem::error(code::WRONG_TYPE, message).at(self.span(), label)))
                }
                None => Err(self.quoted(|text| matches!(text, "true" | "false"), wants, findings)),
            },
        }
    }

    /// A whole number within `range`.
    pub(crate) fn integer(self, range: RangeInclusive<i64>, findings: &mut Findings) -> Result<i64, Broken> {
        let (least, most) = (range.start(), range.end());
        let wants = if least == most { format!("{least}") } else { format!("a whole number from {least} to {most}") };
        let value = match (&self.node.value, self.reference()?) {
            (Value::Integer(value), _) => *value,
            (_, Some(text)) => text.parse().map_err(|_| self.unsuitable_reference(&wants, findings))?,
            _ => return Err(self.quoted(|text| text.parse::<i64>().is_ok(), &wants, findings)),
        };
        if range.contains(&value) { Ok(value) } else { Err(self.out_of_range(&wants, findings)) }
    }

    /// A number, whole or not, that `fits`.
    pub(crate) fn number(self, wants: &str, fits: fn(f64) -> bool, findings: &mut Findings) -> Result<f64, Broken> {
        let value = match (&self.node.value, self.reference()?) {
            #[expect(clippy::cast_precision_loss, reason = "no range that is asked for reaches 2^53")]
            (Value::Integer(value), _) => *value as f64,
            (Value::Float(value), _) => *value,
            (_, Some(text)) => text.parse().map_err(|_| self.unsuitable_reference(wants, findings))?,
            _ => return Err(self.quoted(|text| text.parse::<f64>().is_ok(), wants, findings)),
        };
        if value.is_finite() && fits(value) { Ok(value) } else { Err(self.out_of_range(wants, findings)) }
    }

    /// `"5s"`, `"500ms"`, or an integer of milliseconds, within `range`.
    pub(crate) fn duration(self, range: RangeInclusive<Duration>, findings: &mut Findings) -> Result<Duration, Broken> {
        let wants = format!(
            "a time from {} to {}, such as \"5s\", \"500ms\", or an integer of milliseconds",
            units::written_duration(*range.start()),
            units::written_duration(*range.end())
        );
        let milliseconds =
            self.measure(units::duration_ms, units::meant_duration, "ms, s, m or h", &wants, findings)?;
        let value = milliseconds.map(Duration::from_millis).filter(|value| range.contains(value));
        if let (Value::Integer(number @ ..SECONDS_MOST_LIKELY), "timeout" | "max_elapsed", Some(_)) =
            (&self.node.value, self.key, value)
        {
            let message = format!("`{}` is {number} ms here: a number without a unit counts milliseconds", self.key);
            let label = format!("write \"{number}s\" for seconds, or \"{number}ms\"");
            findings.mention(Problem::warning(code::OUT_OF_RANGE, message).at(self.span(), label));
        }
        if let (Value::Integer(number), None) = (&self.node.value, value) {
            let seconds = u64::try_from(*number).ok().map(Duration::from_secs).filter(|time| range.contains(time));
            if seconds.is_some() {
                let label = format!("these are milliseconds, and too few; write \"{number}s\" for seconds");
                let problem = Problem::error(code::OUT_OF_RANGE, format!("`{}` takes {wants}", self.key));
                return Err(findings.refuse(problem.at(self.span(), label)));
            }
        }
        value.ok_or_else(|| self.out_of_range(&wants, findings))
    }

    /// `"8MiB"`, or an integer of bytes, within `range`.
    pub(crate) fn bytes(self, range: RangeInclusive<u64>, findings: &mut Findings) -> Result<usize, Broken> {
        let wants = format!(
            "a size from {} to {}, such as \"8MiB\", or an integer of bytes",
            units::written_bytes(*range.start()),
            units::written_bytes(*range.end())
        );
        let bytes = self
            .measure(units::bytes, units::meant_bytes, "B, KiB, MiB, GiB, kB, MB or GB", &wants, findings)?
            .filter(|value| range.contains(value));
        bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| self.out_of_range(&wants, findings))
    }

    /// The items of an array.
    pub(crate) fn items(self, wants: &str, findings: &mut Findings) -> Result<Vec<Field<'n>>, Broken> {
        match &self.node.value {
            Value::Array(items) => Ok(items.iter().map(|node| Field { node, ..self }).collect()),
            Value::Text(Text::Broken) => Err(Broken),
            Value::Text(Text::Written(text)) => {
                let message = format!("`{}` takes {wants}", self.key);
                let label = format!("write {}", meant_list(text));
                Err(findings.refuse(Problem::error(code::WRONG_TYPE, message).at(self.span(), label)))
            }
            _ => Err(self.wrong_type(wants, findings)),
        }
    }

    /// Mentions an item that the array has already.
    pub(crate) fn mention_repeated(self, findings: &mut Findings) {
        let problem = Problem::warning(code::REPEATED_ENTRY, format!("`{}` lists this twice", self.key));
        findings.mention(problem.at(self.span(), "again"));
    }

    /// Whether its value, or part of it, is what a reference stands for.
    pub(crate) fn is_referenced(self) -> bool {
        matches!(self.node.value, Value::Text(Text::Referenced { .. }))
    }

    /// Reports the wrong type of a value; a text that `fits` needs only lose its quotes.
    fn quoted(self, fits: fn(&str) -> bool, wants: &str, findings: &mut Findings) -> Broken {
        match &self.node.value {
            Value::Text(Text::Written(text)) if fits(&text.trim().to_ascii_lowercase()) => {
                let message = format!("`{}` takes {wants}", self.key);
                let label = format!("write {}, without quotes", text.trim().to_ascii_lowercase());
                findings.refuse(Problem::error(code::WRONG_TYPE, message).at(self.span(), label))
            }
            _ => self.wrong_type(wants, findings),
        }
    }

    /// Reports that the key takes something else.
    pub(crate) fn wrong_type(self, wants: &str, findings: &mut Findings) -> Broken {
        let message = format!("`{}` takes {wants}", self.key);
        findings
            .refuse(Problem::error(code::WRONG_TYPE, message).at(self.span(), format!("this is {}", self.node.kind())))
    }

    /// Reports `problem`, or, if the value came from a reference, one that does not show it.
    pub(crate) fn unacceptable(self, problem: Problem, wants: &str, findings: &mut Findings) -> Broken {
        if self.is_referenced() { self.unsuitable_reference(wants, findings) } else { findings.refuse(problem) }
    }

    /// A number with a unit in a string, or a bare integer in the smallest unit; `None` when it is negative.
    fn measure(
        self,
        read: fn(&str) -> Option<u64>,
        meant: fn(&str) -> Option<String>,
        units: &str,
        wants: &str,
        findings: &mut Findings,
    ) -> Result<Option<u64>, Broken> {
        match &self.node.value {
            Value::Integer(value) => Ok(u64::try_from(*value).ok()),
            Value::Text(Text::Broken) => Err(Broken),
            Value::Text(Text::Written(text)) => {
                read(text).map(Some).ok_or_else(|| self.bad_notation(meant(text), units, wants, findings))
            }
            Value::Text(Text::Referenced { value, whole, .. }) => {
                let bare = || value.trim().parse().ok().filter(|_| *whole);
                read(value).or_else(bare).map(Some).ok_or_else(|| self.unsuitable_reference(wants, findings))
            }
            _ => Err(self.wrong_type(wants, findings)),
        }
    }

    /// The value, if the string is one whole reference.
    fn reference(self) -> Result<Option<&'n str>, Broken> {
        match &self.node.value {
            Value::Text(Text::Broken) => Err(Broken),
            Value::Text(Text::Referenced { value, whole: true, .. }) => Ok(Some(value.trim())),
            _ => Ok(None),
        }
    }

    fn out_of_range(self, wants: &str, findings: &mut Findings) -> Broken {
        let message = format!("`{}` takes {wants}", self.key);
        let problem = Problem::error(code::OUT_OF_RANGE, message).at(self.span(), "out of range");
        self.unacceptable(problem, wants, findings)
    }

    fn bad_notation(self, meant: Option<String>, units: &str, wants: &str, findings: &mut Findings) -> Broken {
        let message = format!("`{}` takes {wants}", self.key);
        let label = meant.map_or_else(|| format!("a whole number and {units}"), |meant| format!("write {meant}"));
        findings.refuse(Problem::error(code::BAD_NOTATION, message).at(self.span(), label))
    }

    fn unsuitable_reference(self, wants: &str, findings: &mut Findings) -> Broken {
        let message = format!("what this reference stands for does not fit `{}`, which takes {wants}", self.key);
        findings.break_value(
            Problem::error(code::UNSUITABLE_REFERENCE, message)
                .at(self.span(), "the value is not shown: it may be a secret"),
        )
    }
}

/// A smaller number of milliseconds is no time in which a backend answers.
const SECONDS_MOST_LIKELY: i64 = 100;

/// `true` or `false`, where it is said otherwise elsewhere.
fn meant_switch(value: &Value) -> Option<bool> {
    match value {
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        Value::Text(Text::Written(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "on" | "enabled" => Some(true),
            "no" | "off" | "disabled" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// What people call on and off elsewhere, where one of `words` says it here.
fn by_another_word<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    let meant = match text.to_ascii_lowercase().as_str() {
        "false" | "no" | "none" | "never" | "disable" | "disabled" => "off",
        "true" | "yes" | "on" | "all" | "always" | "full" | "enable" | "enabled" => "spans",
        _ => return None,
    };
    // Some keys have `on` for it.
    words.iter().find(|word| **word == meant || (meant == "spans" && **word == "on")).copied()
}

/// The list that a text was to be, which has its brackets and quotes within, or not.
pub(crate) fn meant_list(text: &str) -> String {
    let inside = text.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let bare = |entry: &str| format!("\"{}\"", entry.trim().trim_matches(['"', '\'']));
    format!("[{}]", inside.split(',').map(bare).collect::<Vec<_>>().join(", "))
}
