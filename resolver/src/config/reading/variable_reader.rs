//! Environment variables read as what they should be. A bad value is a warning and counts as unset, as OpenTelemetry
//! has it.

#![forbid(unsafe_code)]

use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::{did_you_mean, listed, names_of};
use crate::config::source::variables::{Variable, Variables};

/// Reads variables and reports the bad ones; their values are never printed.
pub(crate) struct VariableReader<'r> {
    pub(crate) variables: &'r Variables,
    pub(crate) findings: &'r mut Findings,
}

impl VariableReader<'_> {
    /// A text that is not empty.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.variables.text(name) {
            Variable::Unset => None,
            Variable::Text(text) => Some(text),
            Variable::NotText => {
                self.warn(name, "is not UTF-8");
                None
            }
        }
    }

    /// The first that is set, with its name.
    pub(crate) fn first_text<'n>(&mut self, names: &[&'n str]) -> Option<(&'n str, String)> {
        names.iter().find_map(|name| self.text(name).map(|text| (*name, text)))
    }

    /// `true` in any case is true, all else false.
    pub(crate) fn is_true(&mut self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }

    /// A number that `fits`.
    pub(crate) fn number<T: std::str::FromStr>(&mut self, name: &str, wants: &str, fits: fn(&T) -> bool) -> Option<T> {
        let text = self.text(name)?;
        let value = text.trim().parse().ok().filter(fits);
        if value.is_none() {
            self.warn(name, &format!("is not {wants}"));
        }
        value
    }

    /// A time of at most an hour, in whole milliseconds.
    pub(crate) fn milliseconds(&mut self, name: &str) -> Option<u64> {
        self.number(name, "a number of milliseconds from 1 to 3600000", |ms| (1..=3_600_000).contains(ms))
    }

    /// One of the words in `choices`. These words are no secrets, so the wrong one is shown.
    pub(crate) fn choice<T: Copy>(&mut self, name: &str, word: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = choices.iter().find(|(choice, _)| choice.eq_ignore_ascii_case(word.trim()));
        if found.is_none() {
            self.warn_of_word(name, word, &names_of(choices));
        }
        found.map(|(_, value)| *value)
    }

    fn warn_of_word(&mut self, name: &str, word: &str, known: &[&str]) {
        let meant = did_you_mean(word.trim(), known);
        let separator = if meant.is_empty() { "" } else { "; " };
        self.warn(name, &format!("has no {word:?}{separator}{meant} (known: {})", listed(known)));
    }

    /// `key=value,key2=value2`; an entry without `=` or without a key is reported and left out.
    pub(crate) fn pairs(&mut self, name: &str, text: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (index, entry) in text.split(',').enumerate().filter(|(_, entry)| !entry.trim().is_empty()) {
            match entry.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => pairs.push((key.trim().into(), value.trim().into())),
                _ => self.warn(name, &format!("entry {} is not `key=value`, and is left out", index + 1)),
            }
        }
        pairs
    }

    pub(crate) fn warn(&mut self, name: &str, what: &str) {
        self.findings.mention(Problem::warning(code::BAD_VARIABLE, format!("{name} {what}")));
    }
}
