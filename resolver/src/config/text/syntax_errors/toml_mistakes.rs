//! The parser's errors, line by line, in words for whoever wrote the file.

use std::collections::HashSet;
use std::ops::Range;

use super::other_formats::template;
use super::toml_scanner::Scanner;
use super::typographic::strange_character;
use crate::config::report::code;
use crate::config::report::invisible_characters;
use crate::config::report::problem::Problem;
use crate::config::text::written_key::written_key;

/// What the parser found: a place, and its own words.
pub(crate) type ParserError = (Range<usize>, String);

/// One problem for each line that is wrong: what follows on the same line, or from the same open bracket, is the same
/// mistake once more.
pub(crate) fn explain(text: &str, mut errors: Vec<ParserError>) -> Vec<Problem> {
    errors.sort_by_key(|(span, _)| span.start);
    let mut scanner = Scanner::new(text);
    let mut brackets = HashSet::new();
    let mut explained_to = None;
    let mut comma_is_taken = false;
    let mut problems = Vec::new();
    for (index, (span, words)) in errors.iter().enumerate() {
        // Asked first, so that a file of one long line takes no age.
        if explained_to.is_some_and(|end| span.start <= end) {
            continue;
        }
        scanner.go_to(span.start);
        let line = line_around(text, span.start);
        explained_to = Some(line.end);
        let rest: Vec<_> = errors.iter().skip(index).take_while(|(other, _)| other.start <= line.end).collect();
        // A string that is not closed hides the end of its bracket: then the string is the cause.
        let string = rest.iter().find(|(_, words)| is_open_string(words)).filter(|_| !scanner.is_plain());
        // A string took the comma with it, which is missing now on the next line.
        if std::mem::replace(&mut comma_is_taken, string.is_some()) && words.starts_with("missing comma") {
            continue;
        }
        // A bracket that stays open makes errors of lines that are right: it is the one mistake of them all.
        let is_cause = begins_with_a_key(text, &line) || rest.iter().any(|(_, words)| words.starts_with("unclosed"));
        let open = scanner.innermost().filter(|open| *open < line.start && is_cause && string.is_none());
        if open.is_some_and(|open| !brackets.insert(open)) {
            continue;
        }
        if let Some(open) = open {
            problems.push(unclosed(text, open));
            continue;
        }
        let (span, words) = string.map_or((span, words), |(span, words)| (span, words));
        let strange = strange_character(text, &(span.start..span.end.max(span.start)));
        problems.push(match strange.filter(|_| scanner.is_plain()) {
            Some(problem) => problem,
            None => mistake(text, span, words, &line, &scanner),
        });
        if problems.len() == MOST {
            break;
        }
    }
    problems
}

fn mistake(text: &str, span: &Range<usize>, words: &str, line: &Range<usize>, scanner: &Scanner<'_>) -> Problem {
    let found = found(text, span);
    let whole_line = text.get(line.clone()).unwrap_or_default();
    let (what, expected) = words.split_once(", expected ").unwrap_or((words, ""));
    let at = |message: &str, label: &str| Problem::error(code::SYNTAX, message).at(span.clone(), label);
    match what {
        "duplicate key" => return twice(text, span, found, line),
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
    if scanner.is_plain() && is_decimal_comma(text.get(..span.start).unwrap_or_default()) {
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
        return if scanner.is_plain() { value(span, "", whole_line, false) } else { control_character(span, found) };
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
            at("a line does not end in a comma", "take it out")
        }
        "unexpected key or value" | "unexpected content" => {
            at("nothing more can stand on this line", "").help("write one key a line; a comment begins with #")
        }
        "unexpected leading zero" => {
            at("a number does not begin with 0", "take the zero out, or write the text in quotes")
        }
        "key with no value" | "missing assignment between key-value pairs" => {
            at("after this name, `=` and a value are missing", "").help(FORM)
        }
        "string values must be quoted" | "missing value" | "missing value for key" => {
            value(span, found, whole_line, scanner.innermost().is_some())
        }
        _ if what.contains("boolean")
            || what.contains("float")
            || what.contains("integer")
            || what.contains("mantissa")
            || what.contains("date")
            || what.contains("number")
            || what.contains("digit") =>
        {
            value(span, found, whole_line, scanner.innermost().is_some())
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
    for mark in ["//", ";", "--", "/*"] {
        if trimmed.starts_with(mark) {
            let message = format!("`{mark}` begins no comment here");
            return Some(at(start..start + mark.len(), &message, "write # here"));
        }
    }
    for word in ["export ", "set ", "let "] {
        if trimmed.starts_with(word) {
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
            return Some(at(place..place + 1, message, "write = here").help(help));
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

/// A value that is none: a word without quotes, or nothing.
///
/// `is_entry`: within brackets, where commas separate.
fn value(span: &Range<usize>, found: &str, whole_line: &str, is_entry: bool) -> Problem {
    let word = found.trim().trim_end_matches([',', ';']);
    let at = |message: &str, label: String| Problem::error(code::SYNTAX, message).at(span.clone(), label);
    if word.is_empty() {
        return at("a value is missing here", String::new()).help("write one after the `=`, or take the line out");
    }
    let key = whole_line.split('=').next().unwrap_or_default().trim();
    match word.to_ascii_lowercase().as_str() {
        "null" | "nil" | "~" | "undefined" => {
            return at("TOML has no word for nothing", "take the key out: then the default holds".into());
        }
        "true" => return at("yes is written `true`", "write true".into()),
        "false" => return at("no is written `false`", "write false".into()),
        "yes" | "y" | "on" if key.ends_with("reinject") => return at("yes is written `true`", "write true".into()),
        "no" | "n" | "off" if key.ends_with("reinject") => return at("no is written `false`", "write false".into()),
        _ => {}
    }
    if let Some(share) = word.strip_suffix('%').and_then(|percent| percent.trim().parse::<f64>().ok()) {
        return at("a share is written from 0.0 to 1.0", format!("write {}", share / 100.0));
    }
    if word.starts_with('.') && word.get(1..).is_some_and(|digits| digits.chars().all(|c| c.is_ascii_digit())) {
        return at("a number begins with a digit", format!("write 0{word}"));
    }
    if is_entry
        && word.contains(' ')
        && word.split(' ').next().is_some_and(|first| first.parse::<f64>().is_ok() || first.ends_with('"'))
    {
        return at("a comma is missing between two entries", String::new())
            .help("commas stand between the entries: [\"a\", \"b\"], { a = 1, b = 2 }");
    }
    let in_backticks = word.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    if let Some(text) = in_backticks {
        return at("a text stands in \" or in ', and not in `", format!("write \"{text}\""));
    }
    let label = if word.chars().count() <= 60 && !word.contains(['"', '\\', '\n']) {
        format!("write \"{word}\"")
    } else {
        "put it into quotes".to_owned()
    };
    at("a text needs quotes", label)
}

/// The same key or the same heading a second time.
fn twice(text: &str, span: &Range<usize>, found: &str, line: &Range<usize>) -> Problem {
    let whole_line = text.get(line.clone()).unwrap_or_default().trim();
    let before = text.get(..line.start).unwrap_or_default();
    let found = found.trim_matches(['"', '\'']);
    if let Some(heading) = heading(whole_line) {
        let first = before
            .rfind(heading)
            .filter(|at| before.get(..*at).is_none_or(|all| all.is_empty() || all.ends_with('\n')));
        return match first {
            Some(first) => Problem::error(code::SYNTAX, format!("the section {heading} begins here a second time"))
                .at(span.clone(), "again")
                .also(first..first + heading.len(), "first here")
                .help("write all its keys below one heading"),
            None => Problem::error(code::SYNTAX, format!("`{}` has a value already", written_key(found)))
                .at(span.clone(), "so it cannot be a section too")
                .help("write it in one place: as one key, or as one section"),
        };
    }
    let problem = Problem::error(code::SYNTAX, format!("`{}` stands here a second time", written_key(found)))
        .at(span.clone(), "again")
        .help("keep one of them; several topics or backends are one list: [\"a\", \"b\"]");
    match earlier_key(before, found) {
        Some(first) => problem.also(first, "first here"),
        None => problem,
    }
}

/// The last line before that gives `key` a value, within the same section.
fn earlier_key(before: &str, key: &str) -> Option<Range<usize>> {
    let mut end = before.len();
    for line in before.split_inclusive('\n').rev() {
        let start = end - line.len();
        end = start;
        let trimmed = line.trim_start();
        if trimmed.starts_with('[') {
            return None;
        }
        let name = trimmed.split('=').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        if name == key && trimmed.contains('=') {
            let at = start + (line.len() - trimmed.len());
            return Some(
                at..at
                    + trimmed.find('=').map_or(0, |equals| trimmed.get(..equals).unwrap_or_default().trim_end().len()),
            );
        }
    }
    None
}

fn unclosed(text: &str, open: usize) -> Problem {
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

/// Whether a text ends in digits, a comma and digits: `0,25`.
fn is_decimal_comma(before: &str) -> bool {
    let before = before.trim_end();
    let number = before.trim_end_matches(|c: char| c.is_ascii_digit());
    number.len() < before.len()
        && number.strip_suffix(',').is_some_and(|whole| whole.ends_with(|c: char| c.is_ascii_digit()))
}

fn heading(line: &str) -> Option<&str> {
    let end = line.rfind(']')?;
    line.get(..=end).filter(|heading| heading.starts_with('['))
}

fn is_open_string(words: &str) -> bool {
    words.ends_with("string, expected `\"`") || words.ends_with("string, expected `'`")
}

fn begins_with_a_key(text: &str, line: &Range<usize>) -> bool {
    let line = text.get(line.clone()).unwrap_or_default().trim();
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"'))
    };
    line.starts_with('[') && heading(line).is_some_and(|heading| !heading.contains(',') && heading.len() > 2)
        || line.split_once('=').is_some_and(|(key, _)| is_name(key.trim()))
}

fn line_around(text: &str, at: usize) -> Range<usize> {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let end = text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |end| at + end);
    start..end
}

const FORM: &str = "a line is `key = value`, a heading such as [services.orders], or a comment that begins with #";

/// As many as are shown.
const MOST: usize = 100;
