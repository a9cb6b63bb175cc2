//! What the parser says about one place, in words for whoever wrote the file.

use std::ops::Range;

use super::other_formats::template;
use super::toml_scanner::Scanner;
use super::{missing_value, toml_repeats};
use crate::config::report::code;
use crate::config::report::invisible_characters;
use crate::config::report::problem::Problem;

/// In words for whoever wrote the file.
pub(super) fn explanation(
    text: &str,
    span: &Range<usize>,
    words: &str,
    line: &Range<usize>,
    scanner: &Scanner<'_>,
) -> Problem {
    let found = found(text, span);
    let whole_line = text.get(line.clone()).unwrap_or_default();
    let (what, expected) = words.split_once(", expected ").unwrap_or((words, ""));
    let at = |message: &str, label: &str| Problem::error(code::SYNTAX, message).at(span.clone(), label);
    match what {
        "duplicate key" => return toml_repeats::twice(text, span, found, line),
        "cannot recurse further; max recursion depth met" | "recursion limit" => {
            let problem = at("this is nested too deeply: more than 80 levels", "one too many");
            let problem = match scanner.outermost() {
                Some(first) if first < span.start => problem.also(first..first + 1, "the first bracket that is open"),
                _ => problem,
            };
            return problem.help("no setting needs more than a few levels: look for brackets that are not closed");
        }
        "missing escaped value" | "too few unicode value digits" | "invalid value" => {
            let help =
                "write a backslash as \\\\, or put the text into single quotes, where it means itself: 'C:\\plugins'";
            return at(
                "in a text in double quotes, a backslash begins an escape such as \\n or \\u00e9; this is none",
                "",
            )
            .help(help);
        }
        "invalid comment character" => return control_character(span, found),
        "carriage return must be followed by newline" => {
            let help = "save the file with the line ends of Unix (LF) or of Windows (CR LF)";
            return at("a carriage return stands here alone", "").help(help);
        }
        _ => {}
    }
    if scanner.is_plain() && missing_value::is_decimal_comma(text.get(..span.start).unwrap_or_default()) {
        return at("a number has a point, and no comma", "write 0.25 for a quarter");
    }
    if what.starts_with("cannot extend value of type") {
        let message = format!("`{found}` was written as a whole before: nothing can be added to it here");
        let help = if found == "topics" {
            "settings for some of a service's topics stand below [services.NAME.topic.\"PATTERN\"]"
        } else {
            "write all of it in one place: either one pair of braces { … }, or one key a line"
        };
        return at(&message, "").help(help);
    }
    if is_open_string(words) && !scanner.is_plain() {
        let quote = if expected.contains('"') { '"' } else { '\'' };
        let problem = at(&format!("this text is not closed: `{quote}` is missing"), "it should end before here");
        return match scanner.text().filter(|begin| *begin < line.start) {
            Some(begin) => problem.also(begin..begin + 3, "it begins here, and three quotes end it"),
            None => problem,
        };
    }
    if what.ends_with("string") && what.starts_with("invalid") {
        return if scanner.is_plain() {
            missing_value::explanation(span, "", whole_line, false)
        } else {
            control_character(span, found)
        };
    }
    if what.starts_with("unclosed") {
        if let Some(open) = scanner.innermost() {
            return unclosed(text, open);
        }
        return at("a bracket is not closed", "it should end here");
    }
    if let Some(problem) = whole_line_mistake(line, whole_line) {
        return problem;
    }
    match what {
        "invalid unquoted key" => {
            let message = format!("`{found}` cannot stand in a name without quotes");
            at(&message, "")
                .help("put the whole name into quotes: [services.\"shop/eu\"]; letters, digits, _ and - need none")
        }
        "unquoted keys cannot be empty" => {
            at("a name is missing here", "").help("write a key or the name of a section; an empty one is \"\"")
        }
        "extra comma in array" | "extra comma in inline table" => at("there is a comma too many", "take it out"),
        "missing comma between array elements" | "missing comma between key-value pairs"
            if text.get(..span.start).is_some_and(|before| before.ends_with(['"', '\''])) =>
        {
            at("the text ended at the quote before this", "")
                .help("put a text with ' in it into double quotes, and one with \" into single ones: \"it's\"")
        }
        "missing comma between array elements" | "missing comma between key-value pairs" => {
            at("a comma is missing before this", "")
                .help("commas stand between the entries: [\"a\", \"b\"], { a = 1, b = 2 }")
        }
        "extra `=`" => at("there is a `=` too many", "take it out"),
        "unexpected key or value" | "unexpected content" if found.starts_with(',') => {
            let (before, after) = (text.get(line.start..span.start), text.get(span.start..line.end));
            let first = before.and_then(|before| before.split_once('=')).map_or("", |(_, value)| value.trim());
            match after.map(|after| after.split('#').next().unwrap_or_default().trim()) {
                Some(others) if others.len() > 1 && !first.is_empty() => {
                    at("several values are a list, in brackets", &format!("write [{first}{others}]"))
                }
                _ => at("a line does not end in a comma", "take it out"),
            }
        }
        "unexpected key or value" | "unexpected content" => {
            at("nothing more can stand on this line", "").help("write one key a line; a comment begins with #")
        }
        "unexpected leading zero" => {
            at("a number does not begin with 0", "take the zero out, or write the text in quotes")
        }
        "key with no value" | "missing assignment between key-value pairs" if found.starts_with(':') => {
            at("TOML has `=` between a key and its value, and no colon", "write `=`")
        }
        "key with no value" | "missing assignment between key-value pairs" => {
            at("after this name, `=` and a value are missing", "").help(FORM)
        }
        "string values must be quoted" | "missing value" | "missing value for key" => {
            missing_value::explanation(span, found, whole_line, scanner.innermost().is_some())
        }
        _ if what.contains("boolean")
            || what.contains("float")
            || what.contains("integer")
            || what.contains("mantissa")
            || what.contains("date")
            || what.contains("number")
            || what.contains("digit") =>
        {
            missing_value::explanation(span, found, whole_line, scanner.innermost().is_some())
        }
        _ => at("this is not TOML", "").help(FORM),
    }
}

/// What the whole line shows, whichever part of it the parser stumbled over.
fn whole_line_mistake(line: &Range<usize>, whole_line: &str) -> Option<Problem> {
    let trimmed = whole_line.trim();
    let start = line.start + (whole_line.len() - whole_line.trim_start().len());
    let at = |range: Range<usize>, message: &str, label: &str| Problem::error(code::SYNTAX, message).at(range, label);
    if let Some(problem) = template(whole_line, line.start) {
        return Some(problem);
    }
    if trimmed.starts_with("- ") {
        let help = "an entry of a list stands in brackets: export = [\"collector\"]; this is TOML, and not YAML";
        return Some(at(start..start + 1, "`-` begins no entry of a list here", "").help(help));
    }
    for mark in ["//", ";", "--", "/*"] {
        if trimmed.starts_with(mark) {
            let message = format!("`{mark}` begins no comment here");
            return Some(at(start..start + mark.len(), &message, "write # here"));
        }
    }
    for word in ["export ", "set ", "let "] {
        // `export =` is a key of ours.
        if trimmed.strip_prefix(word).is_some_and(|rest| !rest.trim_start().starts_with('=')) {
            let message = format!("`{}` is of another language", word.trim());
            return Some(at(start..start + word.len() - 1, &message, "take it out").help(FORM));
        }
    }
    if let (true, Some(comma)) = (trimmed.ends_with(';'), trimmed.rfind(';')) {
        let place = start + comma;
        return Some(at(place..place + 1, "a line does not end in a semicolon", "take it out"));
    }
    if let Some((key, value)) = trimmed.split_once(':') {
        let is_name =
            !key.is_empty() && key.trim().chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if is_name {
            let place = start + key.len();
            let example = if value.trim().is_empty() { "[services.orders]" } else { "key = value" };
            let message = "`:` stands where TOML has `=`";
            let help = format!("write `{example}`: this is TOML, and not YAML");
            let label = if value.trim().is_empty() { "a heading stands in brackets" } else { "write = here" };
            return Some(at(place..place + 1, message, label).help(help));
        }
    }
    None
}

/// What stands at `span`; where the parser gives a place and no length, the word there.
fn found<'t>(text: &'t str, span: &Range<usize>) -> &'t str {
    if !span.is_empty() {
        return text.get(span.clone()).unwrap_or_default();
    }
    let rest = text.get(span.start..).unwrap_or_default();
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let end = rest.char_indices().find(|(_, c)| c.is_whitespace() || matches!(c, ',' | ']' | '}' | '#'));
    rest.get(..end.map_or(rest.len(), |(at, _)| at).max(if rest.starts_with(['\n', '\r']) { 0 } else { first }))
        .unwrap_or_default()
}

/// A bracket that stays open.
pub(super) fn unclosed(text: &str, open: usize) -> Problem {
    let (bracket, end) =
        if text.get(open..).is_some_and(|rest| rest.starts_with('{')) { ("{", "}") } else { ("[", "]") };
    let message = format!("this `{bracket}` is not closed: `{end}` is missing");
    Problem::error(code::SYNTAX, message).at(open..open + 1, format!("its `{end}` is missing"))
}

/// A byte that no text has.
fn control_character(span: &Range<usize>, found: &str) -> Problem {
    match found.chars().find(|c| invisible_characters::is_invisible(*c)) {
        Some(c) => {
            let message = format!("a character that cannot be seen stands here: {}", invisible_characters::named(c));
            Problem::error(code::SYNTAX, message).at(span.clone(), "here").help("delete it")
        }
        None => Problem::error(code::SYNTAX, "this character cannot stand here").at(span.clone(), ""),
    }
}

/// Whether the parser says that a string does not end.
pub(super) fn is_open_string(words: &str) -> bool {
    words.ends_with("string, expected `\"`") || words.ends_with("string, expected `'`")
}

const FORM: &str = "a line is `key = value`, a heading such as [services.orders], or a comment that begins with #";
