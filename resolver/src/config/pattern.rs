//! Name patterns as the file writes them.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::code;
use super::field::Field;
use super::findings::{Broken, Findings};
use super::keys;
use super::model::Pattern;
use super::naming;
use super::node::{Text, Value};
use super::report::Problem;
use super::section::Section;
use super::suggestion::listed;

/// A pattern with its place.
#[derive(Clone, Debug)]
pub(crate) struct Spotted {
    pub(crate) pattern: Pattern,
    pub(crate) span: Range<usize>,
    /// As written; `None` when it came from a reference and so is not to be shown.
    pub(crate) shown: Option<String>,
}

/// A list of patterns. Entries whose reference leads nowhere are left out, and the second value says so.
pub(crate) fn read_list(field: Field<'_>, of: Of, findings: &mut Findings) -> (Vec<Spotted>, Result<(), Broken>) {
    let items = match field.items(WANTS, findings) {
        Ok(items) => items,
        Err(broken) => return (Vec::new(), Err(broken)),
    };
    let mut whole = Ok(());
    let mut patterns: Vec<Spotted> = Vec::with_capacity(items.len());
    let mut first: HashMap<(Kind, String), Range<usize>> = HashMap::new();
    for item in items {
        let spotted = match read(item, of, findings) {
            Ok(spotted) => spotted,
            Err(broken) => {
                whole = Err(broken);
                continue;
            }
        };
        match first.entry(identity(&spotted.pattern)) {
            Entry::Vacant(entry) => {
                entry.insert(spotted.span.clone());
                patterns.push(spotted);
            }
            Entry::Occupied(entry) => {
                let problem = Problem::warning(code::REPEATED_ENTRY, format!("`{}` lists this twice", field.key));
                findings.mention(problem.at(spotted.span.clone(), "again").also(entry.get().clone(), "first here"));
            }
        }
    }
    (patterns, whole)
}

/// A name, a glob, or `{ regex = "…" }`.
fn read(field: Field<'_>, of: Of, findings: &mut Findings) -> Result<Spotted, Broken> {
    if let Value::Table(_) = field.node.value {
        return read_regex(field, findings);
    }
    let text = field.name("this name", WANTS, findings)?;
    if text.trim().is_empty() {
        let problem = Problem::error(code::BAD_PATTERN, "an empty pattern matches nothing").at(field.span(), "");
        return Err(field.unacceptable(problem, "a name that is not empty", findings));
    }
    let pattern = from_text(text);
    if let (Of::Topics, Some(flaw)) = (of, naming::topic_flaw(text, &pattern)) {
        let place = place(field, text, flaw.span.clone(), findings);
        let label = flaw.label.clone();
        return Err(field.unacceptable(flaw.at(place, label), "names that a topic of Kafka's can have", findings));
    }
    Ok(Spotted { pattern, span: field.span(), shown: shown(field, text) })
}

/// What the patterns are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Kafka allows few characters in their names.
    Topics,
    /// Clients and groups: any text.
    Clients,
}

/// Exact, or a glob if it has `*` or `?`.
pub(crate) fn from_text(text: &str) -> Pattern {
    if text.contains(['*', '?']) { Pattern::Glob(text.into()) } else { Pattern::Exact(text.into()) }
}

/// What makes a pattern the same as another.
pub(crate) fn identity(pattern: &Pattern) -> (Kind, String) {
    match pattern {
        Pattern::Exact(text) => (Kind::Exact, text.clone()),
        Pattern::Glob(text) => (Kind::Glob, text.clone()),
        Pattern::Regex(regex) => (Kind::Regex, regex.as_str().to_owned()),
    }
}

/// The three kinds of patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Exact,
    Glob,
    Regex,
}

fn read_regex(field: Field<'_>, findings: &mut Findings) -> Result<Spotted, Broken> {
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
    if let Some(flaw) = naming::expression_flaw(text) {
        let problem = flaw.problem("this regular expression", text, &inner.span(), findings.source(&inner.span()));
        return Err(inner.unacceptable(problem, "a regular expression", findings));
    }
    let compiled = compile(text).map_err(|(what, within)| {
        let problem = Problem::error(code::BAD_PATTERN, format!("not a regular expression: {what}"))
            .at(place(inner, text, within, findings), "")
            .help("the syntax is that of Rust's regex crate: no look-around, no back-references");
        inner.unacceptable(problem, "a regular expression", findings)
    })?;
    Ok(Spotted { pattern: Pattern::Regex(compiled), span: inner.span(), shown: shown(inner, text) })
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
    within.map_or(whole.clone(), |within| naming::within(text, &within, &whole, findings.source(&whole)))
}

fn shown(field: Field<'_>, text: &str) -> Option<String> {
    matches!(field.node.value, Value::Text(Text::Written(_))).then(|| text.to_owned())
}

/// Names for a message, none of them from a reference.
pub(crate) fn shown_list(patterns: &[&Spotted]) -> String {
    listed(patterns.iter().map(|spotted| spotted.shown.as_deref().unwrap_or("(from a reference)")))
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

    #[test]
    fn a_star_or_a_question_mark_makes_a_glob() {
        assert!(matches!(from_text("a.b"), Pattern::Exact(_)));
        assert!(matches!(from_text("a.*"), Pattern::Glob(_)));
        assert!(matches!(from_text("a?"), Pattern::Glob(_)));
    }
}
