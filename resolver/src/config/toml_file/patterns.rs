//! Lists of patterns: names, globs, and regular expressions, which are compiled here.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::keys;
use super::section::Section;
use crate::config::model::Pattern;
use crate::config::reading::field::Field;
use crate::config::reading::names;
use crate::config::reading::pattern::{self, Kind, PlacedPattern, identity};
use crate::config::reading::topic_names;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::text::node::{Text, Value};

/// A list of patterns. Entries whose reference leads nowhere are left out, and the second value says so.
pub(crate) fn read_list(
    field: Field<'_>,
    of: PatternsOf,
    findings: &mut Findings,
) -> (Vec<PlacedPattern>, Result<(), Broken>) {
    if let (Value::Table(table), "topics") = (&field.node.value, field.key) {
        let is_table = |entry: &crate::config::text::node::Entry| matches!(entry.node.value, Value::Table(_));
        if table.entries.iter().all(is_table) && table.entry("regex").is_none() {
            let problem = Problem::error(code::WRONG_TYPE, format!("`topics` takes {WANTS}"));
            let help = "the settings of one topic stand in [services.NAME.topic.\"TOPIC\"], where `topic` has no s";
            return (
                Vec::new(),
                Err(findings.refuse(problem.at(field.key_span.clone(), "this is a table").help(help))),
            );
        }
    }
    let items = match field.items(WANTS, findings) {
        Ok(items) => items,
        Err(broken) => return (Vec::new(), Err(broken)),
    };
    let mut whole = Ok(());
    let mut patterns: Vec<PlacedPattern> = Vec::with_capacity(items.len());
    let mut first: HashMap<(Kind, String), Range<usize>> = HashMap::new();
    for item in items {
        let placed = match read(item, of, findings) {
            Ok(placed) => placed,
            Err(broken) => {
                whole = Err(broken);
                continue;
            }
        };
        match first.entry(identity(&placed.pattern)) {
            Entry::Vacant(entry) => {
                entry.insert(placed.span.clone());
                patterns.push(placed);
            }
            Entry::Occupied(entry) => {
                let problem = Problem::warning(code::REPEATED_ENTRY, format!("`{}` lists this twice", field.key));
                findings.mention(problem.at(placed.span.clone(), "again").also(entry.get().clone(), "first here"));
            }
        }
    }
    (patterns, whole)
}

/// A name, a glob, or `{ regex = "…" }`.
fn read(field: Field<'_>, of: PatternsOf, findings: &mut Findings) -> Result<PlacedPattern, Broken> {
    if let Value::Table(_) = field.node.value {
        return read_regex(field, findings);
    }
    if let Value::Array(_) = field.node.value {
        let problem = Problem::error(code::WRONG_TYPE, format!("an entry of `{}` is one pattern", field.key));
        return Err(findings.refuse(problem.at(field.span(), "take these brackets out")));
    }
    let text = field.name("this name", WANTS, findings)?;
    if text.trim().is_empty() {
        let problem = Problem::error(code::BAD_PATTERN, "an empty pattern matches nothing").at(field.span(), "");
        return Err(field.unacceptable(problem, "a name that is not empty", findings));
    }
    let pattern = pattern::from_text(text);
    if let (PatternsOf::Topics, Some(flaw)) = (of, topic_names::flaw(text, &pattern)) {
        let problem = flaw.problem(text, &field.span(), findings);
        return Err(field.unacceptable(problem, "names that a topic of Kafka's can have", findings));
    }
    Ok(PlacedPattern { pattern, span: field.span(), shown: shown(field, text) })
}

/// What the patterns are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternsOf {
    /// Kafka allows few characters in their names.
    Topics,
    /// Clients and groups: any text.
    Clients,
}

fn read_regex(field: Field<'_>, findings: &mut Findings) -> Result<PlacedPattern, Broken> {
    let section = Section::open(field, "a pattern".into(), keys::PATTERN, findings)?;
    let Some(inner) = section.field("regex") else {
        if !section.is_empty() {
            // Unknown keys have been reported.
            return Err(Broken);
        }
        let message = "this pattern has no `regex`";
        return Err(findings.refuse(Problem::error(code::MISSING_KEY, message).at(field.span(), "").help(WANTS)));
    };
    let text = inner.text("a regular expression", findings)?;
    if let Some(flaw) = names::expression_flaw(text) {
        let problem = flaw.problem("this regular expression", text, &inner.span(), findings);
        return Err(inner.unacceptable(problem, "a regular expression", findings));
    }
    let compiled = compile(text).map_err(|(what, within)| {
        let problem = Problem::error(code::BAD_PATTERN, format!("not a regular expression: {what}"))
            .at(place(inner, text, within, findings), "")
            .help(match looks_like_a_glob(text) {
                true => format!("if it is meant as a glob, in which * stands for any characters, write {text:?} alone"),
                false => "the syntax is that of Rust's regex crate: no look-around, no back-references".to_owned(),
            });
        inner.unacceptable(problem, "a regular expression", findings)
    })?;
    Ok(PlacedPattern { pattern: Pattern::Regex(compiled), span: inner.span(), shown: shown(inner, text) })
}

/// Nothing but what a topic's name and a glob have.
fn looks_like_a_glob(text: &str) -> bool {
    let is_fair = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '?');
    text.contains('*') && text.chars().all(is_fair)
}

/// Anchored at both ends; or what is wrong, and where within `text`.
fn compile(text: &str) -> Result<regex::Regex, (String, Option<Range<usize>>)> {
    // Parsed on its own first: `a)|(b` is not to become right by being put into parentheses.
    regex_syntax::Parser::new().parse(text).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), Some(offsets(error.span()))),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), Some(offsets(error.span()))),
        error => (error.to_string(), None),
    })?;
    regex::Regex::new(&format!("^(?:{text})$")).map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => (format!("it needs more than {limit} bytes when compiled"), None),
        _ => ("it cannot be anchored at both ends".into(), None),
    })
}

fn offsets(span: &regex_syntax::ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

/// Inside the string, where it stands in the file as it is; the whole string, where escapes hide it.
fn place(field: Field<'_>, text: &str, within: Option<Range<usize>>, findings: &Findings) -> Range<usize> {
    let whole = field.span();
    within.map_or(whole.clone(), |within| findings.place_of(&within, text, &whole))
}

fn shown(field: Field<'_>, text: &str) -> Option<String> {
    matches!(field.node.value, Value::Text(Text::Written(_))).then(|| text.to_owned())
}

const WANTS: &str = "a list of patterns: names, globs with * and ?, or { regex = \"…\" }";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_is_anchored_at_both_ends() {
        let regex = compile("a|bc").unwrap();
        assert!(regex.is_match("a") && regex.is_match("bc"));
        assert!(!regex.is_match("ac") && !regex.is_match("xa") && !regex.is_match("bc\n"));
    }

    #[test]
    fn parentheses_that_only_balance_inside_ours_are_refused() {
        assert!(compile("a)|(b").is_err());
        assert!(compile("(?x) a # b").is_err());
        assert!(compile(r"\w{1000}{1000}").is_err());
    }
}
