//! What cannot be a name: characters that nobody sees, and blanks at its ends.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::invisible_characters::{self, Invisible};
use crate::config::report::problem::Problem;
use crate::config::text::node::Node;

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
    if let Some(found) = invisible_characters::find(name) {
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
    let found =
        invisible_characters::find(expression).filter(|found| !matches!(found.character, '\t' | '\n' | '\r'))?;
    Some(hidden(expression, found))
}

fn hidden(text: &str, Invisible { at, character }: Invisible) -> Flaw {
    Flaw {
        what: format!("a character that cannot be seen, {}", invisible_characters::named(character)),
        within: at..at + character.len_utf8(),
        label: place(text, at, character),
        help: "delete it: names are compared letter by letter, and this one is another than it looks".into(),
    }
}

/// Free text may have any character; one that nobody sees is mentioned, without the value, which may be a secret.
pub(crate) fn mention_hidden(text: &str, node: &Node, findings: &mut Findings) {
    let Some(found) = invisible_characters::find(text).filter(|found| !matches!(found.character, '\t' | '\n' | '\r'))
    else {
        return;
    };
    let message =
        format!("this value has a character that cannot be seen, {}", invisible_characters::named(found.character));
    let source = findings.source(&node.span);
    let place = source.and_then(|source| source.find(found.character)).map(|at| node.span.start + at);
    let span = place.map_or(node.span.clone(), |at| at..at + found.character.len_utf8());
    findings
        .mention(Problem::warning(code::HIDDEN_CHARACTER, message).at(span, "").help("delete it, unless it is meant"));
}

impl Flaw {
    /// `it has …`, without the name, which may be a secret.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// About `title` (`the name of a service`), which stands at `span`.
    pub(crate) fn problem(&self, title: &str, name: &str, span: &Range<usize>, findings: &Findings) -> Problem {
        Problem::error(code::BAD_NAME, format!("{title} has {}", self.what))
            .at(findings.place_of(&self.within, name, span), self.label.clone())
            .help(self.help.clone())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
