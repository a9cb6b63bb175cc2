//! Names of topics: what Kafka has none for.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::config::model::Pattern;
use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::problem::Problem;

/// Why Kafka can have no topic that a pattern matches, and where within its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    message: String,
    within: Range<usize>,
    label: String,
    help: String,
}

/// What is wrong with `pattern`, written as `text`. Of a regular expression nothing is known.
pub(crate) fn flaw(text: &str, pattern: &Pattern) -> Option<Flaw> {
    let is_glob = match pattern {
        Pattern::Exact(_) => false,
        Pattern::Glob(_) => true,
        Pattern::Regex(_) => return None,
    };
    let whole = |message: &str, label: String| {
        Some(Flaw { message: message.into(), within: 0..text.len(), label, help: TOPIC_NAMES.into() })
    };
    if !is_glob && matches!(text, "." | "..") {
        return whole("Kafka has no topic of this name", String::new());
    }
    let is_fair = |c: char| is_of_topics(c) || (is_glob && matches!(c, '*' | '?'));
    let wrong = text.char_indices().find(|(_, c)| !is_fair(*c));
    if let Some((at, c)) = wrong {
        let what = if c == ' ' { "a blank".to_owned() } else { format!("`{c}`") };
        let message = format!("no topic of Kafka's has {what} in its name: this matches nothing");
        return Some(Flaw { message, within: at..at + c.len_utf8(), label: String::new(), help: way_out(text, c) });
    }
    let length = text.chars().filter(|c| *c != '*').count();
    if length > LONGEST_TOPIC {
        let label = format!("{length} characters; 249 are the most");
        return whole("no topic of Kafka's has a name as long as this: this matches nothing", label);
    }
    None
}

impl Flaw {
    /// About the pattern `text`, which stands at `span`: points into the string, at what is wrong.
    pub(crate) fn problem(self, text: &str, span: &Range<usize>, findings: &Findings) -> Problem {
        let place = findings.place_of(&self.within, text, span);
        Problem::error(code::BAD_PATTERN, self.message).at(place, self.label).help(self.help)
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
    use crate::config::reading::pattern::from_text;

    fn topic(text: &str) -> Option<String> {
        flaw(text, &from_text(text)).map(|flaw| flaw.message)
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
        assert!(flaw("a/b", &Pattern::Regex(regex::Regex::new("a/b").unwrap())).is_none());
    }

    #[test]
    fn a_regular_expression_without_its_braces_is_shown_with_them() {
        let help = |text: &str| flaw(text, &from_text(text)).unwrap().help;
        assert!(help("^orders-.*$").starts_with("for a regular expression write { regex = 'orders-.*' };"));
        assert!(help("a,b").starts_with("write one entry for each topic"));
        assert!(help("$TOPIC").starts_with("a variable is written ${env:NAME}"));
    }
}
