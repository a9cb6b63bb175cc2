//! What stands in a TOML text where a value should: a word without quotes, a number in another notation, nothing.

use std::ops::Range;

use crate::config::report::code;
use crate::config::report::problem::Problem;
use crate::config::report::secrets_in_line::secrets_in;

/// A value that is none: a word without quotes, or nothing.
///
/// `is_entry`: within brackets, where commas separate.
pub(super) fn explanation(span: &Range<usize>, found: &str, whole_line: &str, is_entry: bool) -> Problem {
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
        "yes" | "y" | "on" if is_yes_or_no(key) => return at("yes is written `true`", "write true".into()),
        "no" | "n" | "off" if is_yes_or_no(key) => return at("no is written `false`", "write false".into()),
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
    let is_shown = secrets_in(whole_line).is_empty();
    let in_backticks = word.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    if let Some(text) = in_backticks {
        let label = if is_shown { format!("write \"{text}\"") } else { "put it into one of these".to_owned() };
        return at("a text stands in \" or in ', and not in `", label);
    }
    let label = if is_shown && word.chars().count() <= 60 && !word.contains(['"', '\\', '\n']) {
        format!("write \"{word}\"")
    } else {
        "put it into quotes".to_owned()
    };
    at("a text needs quotes", label)
}

/// Whether a text ends in digits, a comma and digits: `0,25`.
pub(super) fn is_decimal_comma(before: &str) -> bool {
    let before = before.trim_end();
    let number = before.trim_end_matches(|c: char| c.is_ascii_digit());
    number.len() < before.len()
        && number.strip_suffix(',').is_some_and(|whole| whole.ends_with(|c: char| c.is_ascii_digit()))
}

/// Whether this key takes `true` or `false`; others have words for it.
fn is_yes_or_no(key: &str) -> bool {
    ["reinject", "commit_spans"].iter().any(|known| key.ends_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_without_quotes_is_not_repeated() {
        for (word, line, shown) in [
            ("s3cret", "password = s3cret", "put it into quotes"),
            ("Bearer x1 }", "config = { headers = { authorization = Bearer x1 }", "put it into quotes"),
            ("`s3cret`", "password = `s3cret`", "put it into one of these"),
            ("orders", "topics = orders", "write \\\"orders\\\""),
        ] {
            let told = format!("{:?}", explanation(&(0..1), word, line, false));
            assert!(told.contains(shown) && !told.contains("s3cret") && !told.contains("x1"), "{told}");
        }
    }
}
