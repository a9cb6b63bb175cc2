//! A table whose keys are known: unknown ones are refused, with the known ones named.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::code;
use super::field::Field;
use super::findings::{Broken, Findings};
use super::keys;
use super::node::{Entry, Table, Value};
use super::report::Problem;
use super::suggestion::{did_you_mean, listed};

/// One table of the file, opened.
#[derive(Clone)]
pub(crate) struct Section<'n> {
    /// As messages call it: `[services.payments]`.
    pub(crate) title: String,
    /// Bytes of its name.
    pub(crate) span: Range<usize>,
    table: &'n Table,
}

impl<'n> Section<'n> {
    /// The top of the file.
    pub(crate) fn top(table: &'n Table, findings: &mut Findings) -> Self {
        let section = Self { title: TOP.into(), span: 0..0, table };
        section.refuse_unknown(keys::TOP, findings);
        section
    }

    /// The table at `field`, which takes the `known` keys.
    pub(crate) fn open(
        field: Field<'n>,
        title: String,
        known: &[&str],
        findings: &mut Findings,
    ) -> Result<Self, Broken> {
        let section = Self::open_map(field, title, findings)?;
        section.refuse_unknown(known, findings);
        Ok(section)
    }

    /// The table at `field`, whose keys are names that the file makes up.
    pub(crate) fn open_map(field: Field<'n>, title: String, findings: &mut Findings) -> Result<Self, Broken> {
        match &field.node.value {
            Value::Table(table) => Ok(Self { title, span: field.key_span.clone(), table }),
            _ => Err(field.wrong_type(&format!("a table: {title}"), findings)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }

    /// The key's value, if it is there.
    pub(crate) fn field(&self, key: &str) -> Option<Field<'n>> {
        self.table.entry(key).map(Field::of)
    }

    /// All of them, in file order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'n>> + use<'n> {
        self.table.entries.iter().map(Field::of)
    }

    fn refuse_unknown(&self, known: &[&str], findings: &mut Findings) {
        for entry in self.table.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            findings.refuse(unknown_key(entry, &self.title, known));
        }
    }
}

/// `key` as TOML writes it: quoted unless it is bare.
pub(crate) fn written_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { key.to_owned() } else { format!("{key:?}") }
}

fn unknown_key(entry: &Entry, title: &str, known: &[&str]) -> Problem {
    let label = did_you_mean(&entry.key, known.iter().copied());
    let elsewhere = keys::sections_with(&entry.key);
    let help = if label.is_empty() && !elsewhere.is_empty() {
        format!("`{}` belongs in {}; known here: {}", entry.key, elsewhere.join(" or "), listed(known.iter().copied()))
    } else {
        format!("known here: {}", listed(known.iter().copied()))
    };
    let place = if title == TOP { format!("at {title}") } else { format!("in {title}") };
    Problem::error(code::UNKNOWN_KEY, format!("unknown key `{}` {place}", entry.key))
        .at(entry.key_span.clone(), label)
        .help(help)
}

/// The section without a name.
const TOP: &str = "the top of the file";
