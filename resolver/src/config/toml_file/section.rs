//! A table whose keys are known: unknown ones are refused, with the known ones named.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::keys;
use crate::config::reading::field::Field;
use crate::config::reading::names;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::{did_you_mean, listed};
use crate::config::text::node::{Entry, Table, Text, Value};
use crate::config::text::written_key::written_key;

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
        section.refuse_flawed(findings);
        section.refuse_unknown(keys::TOP, None, findings);
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
        section.refuse_unknown(known, Some(field.key), findings);
        Ok(section)
    }

    /// The table at `field`, whose keys are names that the file makes up.
    pub(crate) fn open_map(field: Field<'n>, title: String, findings: &mut Findings) -> Result<Self, Broken> {
        match &field.node.value {
            Value::Table(table) => {
                let section = Self { title, span: field.key_span.clone(), table };
                section.refuse_flawed(findings);
                Ok(section)
            }
            Value::Array(_) if findings.source(&field.span()).is_some_and(|source| source.starts_with("[[")) => {
                let message = format!("`{}` takes a table: {title}", field.key);
                let label = "this is an array: a heading has single brackets";
                let problem = Problem::error(code::WRONG_TYPE, message).at(field.span(), label);
                Err(findings.refuse(match named_headings(field, &title) {
                    Some(help) => problem.help(help),
                    None => problem,
                }))
            }
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

    /// Whether some of what was written below its name belongs to another: `[services.shop.eu]` without quotes.
    pub(crate) fn is_cut_name(&self, known: &[&str], findings: &Findings) -> bool {
        self.table.entries.iter().any(|entry| !known.contains(&entry.key.as_str()) && continues_name(entry, findings))
    }

    /// Names and keys that cannot be seen as what they are.
    fn refuse_flawed(&self, findings: &mut Findings) {
        for field in self.fields() {
            field.has_fair_key(&self.title, findings);
        }
    }

    /// `name` is the section's own, the last of its title; the top has none.
    fn refuse_unknown(&self, known: &[&str], name: Option<&str>, findings: &mut Findings) {
        for entry in self.table.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            if names::flaw(&entry.key).is_some() || entry.key.contains("${") {
                // Reported as what it is.
                continue;
            }
            let cut = name.filter(|_| continues_name(entry, findings));
            let problem = match cut.and_then(|name| cut_name(entry, &self.title, name, known, findings)) {
                Some(problem) => problem,
                None => unknown_key(entry, &self.title, known),
            };
            findings.refuse(problem);
        }
    }
}

/// What to write for an array of tables that stands where each table has its name in its heading; `title` is of one of them.
fn named_headings(field: Field<'_>, title: &str) -> Option<String> {
    let before = title.strip_suffix("NAME]")?;
    let Value::Array(items) = &field.node.value else { return None };
    let headings = items.iter().map(|item| {
        let Value::Table(table) = &item.value else { return None };
        let named = ["name", "id", "service"].into_iter().find_map(|key| table.entry(key))?;
        let Value::Text(Text::Written(name)) = &named.node.value else { return None };
        names::flaw(name).is_none().then(|| format!("{before}{}]", written_key(name)))
    });
    let headings: Option<Vec<_>> = headings.collect();
    let headings = headings.filter(|all| !all.is_empty()).map_or_else(|| title.to_owned(), |all| all.join(", "));
    Some(format!("each has its name in its heading, and no key for it: {headings}"))
}

/// Whether the file writes a table's key behind a dot: `[services.shop.eu]` has `eu` so.
fn continues_name(entry: &Entry, findings: &Findings) -> bool {
    let before = findings.source(&(0..entry.key_span.start)).unwrap_or_default();
    matches!(entry.node.value, Value::Table(_)) && before.trim_end_matches([' ', '\t']).ends_with('.')
}

/// A name with dots that was written without quotes; `None` if a known key was meant.
fn cut_name(entry: &Entry, title: &str, name: &str, known: &[&str], findings: &Findings) -> Option<Problem> {
    let parent = title.strip_suffix(&format!("{}]", written_key(name)))?.strip_suffix('.')?;
    let is_of_a_plugin = title.starts_with("[backends.") && matches!(entry.key.as_str(), "headers" | "tls");
    if is_of_a_plugin || !did_you_mean(&entry.key, known).is_empty() {
        return None;
    }
    let mut whole = format!("{name}.{}", entry.key);
    let mut inner = entry;
    while let Value::Table(table) = &inner.node.value {
        match table.entries.as_slice() {
            [only] if continues_name(only, findings) && !known.contains(&only.key.as_str()) => {
                whole.push('.');
                whole.push_str(&only.key);
                inner = only;
            }
            _ => break,
        }
    }
    let message = format!("a dot ends a name: this is read as `{}` within {title}", entry.key);
    let problem = Problem::error(code::UNKNOWN_KEY, message).at(entry.key_span.clone(), "");
    Some(problem.help(format!("if the name has dots, put it into quotes: {parent}.{whole:?}]")))
}

fn unknown_key(entry: &Entry, title: &str, known: &[&str]) -> Problem {
    let label = match did_you_mean(&entry.key, known) {
        slip if !slip.is_empty() => slip,
        _ => keys::by_another_word(&entry.key, known)
            .map_or(String::new(), |meant| format!("here it is called `{meant}`")),
    };
    let label = if title == "a pattern" && entry.key == "glob" {
        "a glob is a text alone, such as \"orders.*\"".to_owned()
    } else {
        label
    };
    let elsewhere = keys::sections_with(&entry.key);
    let known_here = format!("known here: {}", listed(known));
    let help = if !label.is_empty() {
        known_here
    } else if keys::TOP.contains(&entry.key.as_str()) && title != TOP {
        // A key below a heading belongs to that section, however far up it is.
        format!("`{}` belongs in {TOP}, before the first [section]; {known_here}", entry.key)
    } else if !elsewhere.is_empty() {
        format!("`{}` belongs in {}; {known_here}", entry.key, elsewhere.join(" or "))
    } else {
        known_here
    };
    let is_at_home_elsewhere = keys::TOP.contains(&entry.key.as_str()) || !elsewhere.is_empty();
    let label = if label.is_empty() && !is_at_home_elsewhere && title.starts_with("[backends.") {
        "a key of the plugin's own stands in `config`".to_owned()
    } else {
        label
    };
    let place = if title == TOP { format!("at {title}") } else { format!("in {title}") };
    Problem::error(code::UNKNOWN_KEY, format!("unknown key `{}` {place}", entry.key))
        .at(entry.key_span.clone(), label)
        .help(help)
}

/// The section without a name.
const TOP: &str = "the top of the file";
