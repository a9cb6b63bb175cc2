//! What cannot be a name: characters that nobody sees, blanks at its ends, and what Kafka has no topic for.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::code;
use super::findings::Findings;
use super::invisible::{self, Invisible};
use super::model::Pattern;
use super::node::Node;
use super::report::Problem;

/// Why a text is no name, and where within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Follows "it has": `a character that cannot be seen, U+200B (zero-width space)`.
    what: String,
    within: Range<usize>,
    label: String,
    help: String,
}

/// What is wrong with `name`, whatever it names. An empty one is judged by whoever wants it.
pub(crate) fn flaw(name: &str) -> Option<Flaw> {
    if name.trim().is_empty() {
        return None;
    }
    if let Some(found) = invisible::find(name) {
        return Some(hidden(name, found));
    }
    let at = if name.starts_with(' ') {
        0
    } else if name.ends_with(' ') {
        name.len() - 1
    } else {
        return None;
    };
    Some(Flaw {
        what: format!("a blank at its {}", if at == 0 { "beginning" } else { "end" }),
        within: at..at + 1,
        label: "take it out".into(),
        help: "names are compared letter by letter, blanks too".into(),
    })
}

/// What is wrong with a regular expression before it is read as one: blanks and line ends may be meant.
pub(crate) fn expression_flaw(expression: &str) -> Option<Flaw> {
    let found = invisible::find(expression).filter(|found| !matches!(found.character, '\t' | '\n' | '\r'))?;
    Some(hidden(expression, found))
}

fn hidden(text: &str, Invisible { at, character }: Invisible) -> Flaw {
    Flaw {
        what: format!("a character that cannot be seen, {}", invisible::named(character)),
        within: at..at + character.len_utf8(),
        label: place(text, at, character),
        help: "delete it: names are compared letter by letter, and this one is another than it looks".into(),
    }
}

/// Free text may have any character; one that nobody sees is mentioned. Says nothing of the value, which may be a secret.
pub(crate) fn mention_hidden(text: &str, node: &Node, findings: &mut Findings) {
    let Some(found) = invisible::find(text).filter(|found| !matches!(found.character, '\t' | '\n' | '\r')) else {
        return;
    };
    let message = format!("this value has a character that cannot be seen, {}", invisible::named(found.character));
    let source = findings.source(&node.span);
    let place = source.and_then(|source| source.find(found.character)).map(|at| node.span.start + at);
    let span = place.map_or(node.span.clone(), |at| at..at + found.character.len_utf8());
    findings
        .mention(Problem::warning(code::HIDDEN_CHARACTER, message).at(span, "").help("delete it, unless it is meant"));
}

/// Why Kafka can have no topic that `pattern`, written as `text`, matches. Of a regular expression nothing is known.
pub(crate) fn topic_flaw(text: &str, pattern: &Pattern) -> Option<Problem> {
    let is_glob = match pattern {
        Pattern::Exact(_) => false,
        Pattern::Glob(_) => true,
        Pattern::Regex(_) => return None,
    };
    let problem = |message: &str| Some(Problem::error(code::BAD_PATTERN, message));
    if !is_glob && matches!(text, "." | "..") {
        return problem("Kafka has no topic of this name").map(|problem| problem.help(TOPIC_NAMES));
    }
    let is_fair = |c: char| is_of_topics(c) || (is_glob && matches!(c, '*' | '?'));
    let wrong = text.char_indices().find(|(_, c)| !is_fair(*c));
    if let Some((at, c)) = wrong {
        let what = if c == ' ' { "a blank".to_owned() } else { format!("`{c}`") };
        let message = format!("no topic of Kafka's has {what} in its name: this matches nothing");
        let found = Problem::error(code::BAD_PATTERN, message).at(at..at + c.len_utf8(), "");
        return Some(found.help(way_out(text, c)));
    }
    let length = text.chars().filter(|c| *c != '*').count();
    if length > LONGEST_TOPIC {
        let found = problem("no topic of Kafka's has a name as long as this: this matches nothing")?;
        let span = 0..text.len();
        return Some(found.at(span, format!("{length} characters; 249 are the most")).help(TOPIC_NAMES));
    }
    None
}

impl Flaw {
    /// `it has …`, without the name, which may be a secret.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// About `title` (`the name of a service`), which stands at `span` of `source`.
    pub(crate) fn problem(&self, title: &str, name: &str, span: &Range<usize>, source: Option<&str>) -> Problem {
        Problem::error(code::BAD_NAME, format!("{title} has {}", self.what))
            .at(within(name, &self.within, span, source), self.label.clone())
            .help(self.help.clone())
    }
}

/// The part `part` of `text` where it stands in the file as it is; all of `span`, where escapes hide it.
pub(crate) fn within(text: &str, part: &Range<usize>, span: &Range<usize>, source: Option<&str>) -> Range<usize> {
    let start = source.and_then(|source| source.find(text)).map(|at| span.start + at);
    start.map_or(span.clone(), |start| start + part.start..start + part.end)
}

/// In words, because the place of such a character is as hard to see as itself.
fn place(name: &str, at: usize, character: char) -> String {
    let before = name.get(..at).unwrap_or_default();
    let is_last = at + character.len_utf8() == name.len();
    let tail: String = before.chars().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect();
    match (before.is_empty(), is_last) {
        (true, _) => "at its beginning".into(),
        (false, true) => format!("at its end, after `{tail}`"),
        (false, false) => format!("after `{tail}`"),
    }
}

fn way_out(text: &str, c: char) -> String {
    if text.contains("{{") {
        return format!("this looks like a template that was not filled in; {TOPIC_NAMES}");
    }
    if text.contains("{env:") || text.contains("{file:") {
        return format!("a reference begins with a dollar sign: ${{env:NAME}}; {TOPIC_NAMES}");
    }
    let plain = text.trim_start_matches('^').trim_end_matches('$');
    if text.contains(['^', '[', ']', '(', ')', '|', '+', '\\', '{', '}']) || (c == '$' && text.ends_with('$')) {
        if plain.contains('\'') {
            return format!("for a regular expression write {{ regex = '…' }}; {TOPIC_NAMES}");
        }
        return format!("for a regular expression write {{ regex = '{plain}' }}; {TOPIC_NAMES}");
    }
    match c {
        ',' | ';' => format!("write one entry for each topic: [\"a\", \"b\"]; {TOPIC_NAMES}"),
        '$' => format!("a variable is written ${{env:NAME}}; {TOPIC_NAMES}"),
        '%' | '#' | '>' => format!("for any run of characters write *, for one ?; {TOPIC_NAMES}"),
        _ => TOPIC_NAMES.into(),
    }
}

fn is_of_topics(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

const TOPIC_NAMES: &str =
    "a topic's name has letters from a to z and A to Z, digits, `.`, `_` and `-`, at most 249 of them";

/// Kafka's own limit.
const LONGEST_TOPIC: usize = 249;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pattern::from_text;

    fn topic(text: &str) -> Option<String> {
        topic_flaw(text, &from_text(text)).map(|problem| problem.message)
    }

    #[test]
    fn a_name_that_can_be_seen_and_has_no_blank_at_its_ends_is_a_name() {
        for name in ["orders", "order service", "bücher", "", " "] {
            assert_eq!(flaw(name), None, "{name:?}");
        }
        assert_eq!(flaw(" orders").map(|flaw| flaw.what).as_deref(), Some("a blank at its beginning"));
        assert_eq!(flaw("orders ").map(|flaw| flaw.within), Some(6..7));
        let hidden = flaw("or\u{200b}ders").unwrap();
        assert_eq!(hidden.what, "a character that cannot be seen, U+200B (zero-width space)");
        assert_eq!((hidden.within, hidden.label.as_str()), (2..5, "after `or`"));
    }

    #[test]
    fn what_kafka_can_have_is_a_topic() {
        let longest = "x".repeat(249);
        let longest_glob = format!("*{longest}*");
        for text in
            ["orders", "Orders.v2_eu-west", "...", ".a", "*", "?", "orders.*", "..*", "a?c", &longest, &longest_glob]
        {
            assert_eq!(topic(text), None, "{text}");
        }
    }

    #[test]
    fn what_kafka_cannot_have_is_none_and_nor_is_a_pattern_of_it() {
        let too_long = "x".repeat(250);
        let too_long_glob = format!("{}*?", "x".repeat(249));
        for text in
            [".", "..", "a/b", "a b", "a,b", "bücher", "^a", "a/*", "a:?", "a\\b", &too_long, &too_long_glob, "a[0-9]*"]
        {
            assert!(topic(text).is_some(), "{text}");
        }
        assert!(topic_flaw("a/b", &Pattern::Regex(regex::Regex::new("a/b").unwrap())).is_none());
    }

    #[test]
    fn a_regular_expression_without_its_braces_is_shown_with_them() {
        let help = |text: &str| topic_flaw(text, &from_text(text)).unwrap().help.unwrap();
        assert!(help("^orders-.*$").starts_with("for a regular expression write { regex = 'orders-.*' };"));
        assert!(help("a,b").starts_with("write one entry for each topic"));
        assert!(help("$TOPIC").starts_with("a variable is written ${env:NAME}"));
    }
}
