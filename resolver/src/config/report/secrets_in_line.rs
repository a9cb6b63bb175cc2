//! What of a line must not be shown: a report goes into logs, and beside what is wrong stands what nobody may read.
//!
//! The text may be broken, and which keys a plugin calls secret is not known yet, so this goes by how a line looks.

#![forbid(unsafe_code)]

use std::ops::Range;

/// Secrets in one line of a TOML or JSON text. References stay: they stand for what is not there to be seen.
pub(in crate::config) fn secrets_in(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut key = "";
    // Whether what comes is the key's value, and not a table of others or a comment.
    let mut is_value = false;
    let mut is_list = false;
    let mut at = 0;
    while let Some(c) = line.get(at..).and_then(|rest| rest.chars().next()) {
        let end = match c {
            '"' | '\'' => end_of_quoted(line, at, c),
            c if is_bare(c) && is_value && is_secret(key) => {
                // Its quotes were forgotten.
                let text = line.get(at..).unwrap_or_default();
                let value =
                    text.get(..length_of(Some(text), |c| !matches!(c, ',' | '}' | ']' | '#'))).unwrap_or_default();
                let value = value.trim_end();
                if !matches!(value, "true" | "false") {
                    found.push(shifted(after_scheme(value), at));
                }
                at += value.len();
                continue;
            }
            c if is_bare(c) => at + length_of(line.get(at..), is_bare),
            _ => {
                is_list = c == '[' || is_list && c != ']';
                is_value &= !matches!(c, '{' | '}' | '#') && (c != ',' || is_list);
                at += c.len_utf8();
                continue;
            }
        };
        let inside = if is_bare(c) { at..end } else { at + 1..end };
        let text = line.get(inside.clone()).unwrap_or_default();
        let behind = if is_bare(c) { end } else { (end + 1).min(line.len()) };
        if line.get(behind..).is_some_and(|rest| rest.trim_start().starts_with(['=', ':'])) {
            (key, is_value, is_list) = (text, true, false);
        } else if !is_bare(c) {
            let parts = if is_secret(key) { vec![after_scheme(text)] } else { parts_that_are(text) };
            let hidden = parts.into_iter().flat_map(|part| {
                let text = text.get(part.clone()).unwrap_or_default();
                without_references(text).map(move |inner| shifted(inner, part.start))
            });
            found.extend(hidden.map(|part| shifted(part, inside.start)));
        }
        at = behind;
    }
    found
}

/// User and password, and the values of the query.
fn parts_of_address(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let Some(authority) = text.find("://").map(|at| at + 3) else { return parts };
    let end = authority + length_of(text.get(authority..), |c| !matches!(c, '/' | '?' | '#'));
    if let Some(user) = text.get(authority..end).and_then(|authority| authority.rfind('@')) {
        parts.push(authority..authority + user);
    }
    let Some(mut at) = text.find('?').map(|at| at + 1) else { return parts };
    let query = text.get(at..).unwrap_or_default().split('#').next().unwrap_or_default();
    for parameter in query.split('&') {
        if let Some((name, value)) = parameter.split_once('=') {
            let start = at + name.len() + 1;
            if name != "format" {
                parts.push(start..start + value.len());
            }
        }
        at += parameter.len() + 1;
    }
    parts
}

/// Secrets in a value of which the key says nothing.
fn parts_that_are(text: &str) -> Vec<Range<usize>> {
    let mut parts = parts_of_address(text);
    let lower = text.to_ascii_lowercase();
    if let Some(at) = SCHEMES.iter().find_map(|scheme| lower.find(scheme)) {
        parts.push(at + after_scheme(text.get(at..).unwrap_or_default()).start..text.len());
    }
    parts
}

/// Without the word that tells how one authorizes oneself.
fn after_scheme(text: &str) -> Range<usize> {
    let lower = text.to_ascii_lowercase();
    let scheme = SCHEMES.iter().find(|scheme| lower.starts_with(**scheme));
    scheme.map_or(0, |scheme| scheme.len())..text.len()
}

const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// Whether a value under this key is most likely a secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace(['-', '.'], "_");
    WORDS.iter().any(|word| key.contains(word)) && !key.ends_with("_file")
}

const WORDS: [&str; 10] = [
    "authorization",
    "cookie",
    "credential",
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "private_key",
];

/// What lies between the references in a text, and what they give in place of a missing value. What was to be a reference is no
/// secret.
fn without_references(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut parts = Vec::new();
    let is_meant = ["$", "{", "%{"].iter().any(|mark| text.starts_with(mark)) && !text.starts_with("${");
    let mut at = if is_meant { length_of(Some(text), |c| !c.is_whitespace()) } else { 0 };
    while let Some(start) = text.get(at..).and_then(|rest| rest.find("${")).map(|start| at + start) {
        parts.push(at..start);
        let reference = text.get(start..).unwrap_or_default();
        let length = reference.find('}').unwrap_or(reference.len());
        if let Some(default) = reference.get(..length).and_then(|reference| reference.find(":-")) {
            parts.push(start + default + 2..start + length);
        }
        at = start + length;
        // Its brace is shown.
        at += text.get(at..).map_or(0, |rest| usize::from(rest.starts_with('}')));
    }
    parts.push(at..text.len());
    parts.into_iter().filter(|part| !part.is_empty())
}

/// Where the text that begins with `quote` ends: its closing quote, or the end of the line.
fn end_of_quoted(line: &str, at: usize, quote: char) -> usize {
    let mut is_escaped = false;
    let rest = line.get(at + 1..).unwrap_or_default();
    let end = rest.char_indices().find(|(_, c)| {
        let is_end = *c == quote && !is_escaped;
        is_escaped = *c == '\\' && quote == '"' && !is_escaped;
        is_end
    });
    at + 1 + end.map_or(rest.len(), |(end, _)| end)
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn length_of(text: Option<&str>, is_part: impl Fn(char) -> bool) -> usize {
    let text = text.unwrap_or_default();
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line as it is shown.
    fn shown(line: &str) -> String {
        let secrets = secrets_in(line);
        let hidden = |(at, c)| if secrets.iter().any(|secret| secret.contains(&at)) { '*' } else { c };
        line.char_indices().map(hidden).collect()
    }

    #[test]
    fn what_may_be_a_secret_is_hidden_and_all_else_is_not() {
        for (line, expected) in [
            (
                r#"a = { authorization = "Bearer x1", plain = "V" }"#,
                r#"a = { authorization = "Bearer **", plain = "V" }"#,
            ),
            (r#""x-api-key" = 'k"1', password="p\"q" # ok"#, r#""x-api-key" = '***', password="****" # ok"#),
            (
                r#"endpoint = "https://u:p@ss@h:1/p?key=a&b&format=c&d=e#f""#,
                r#"endpoint = "https://******@h:1/p?key=*&b&format=c&d=*#f""#,
            ),
            (r#"h = "authorization=Basic dTpw""#, r#"h = "authorization=Basic ****""#),
            (
                r#"config.headers.Authorization = "Bearer ${env:T:-abc} x""#,
                r#"config.headers.Authorization = "Bearer ${env:T:-***}**""#,
            ),
            (r#"token = "${file:/run/t}", password = "pa$x""#, r#"token = "${file:/run/t}", password = "****""#),
            (r#"token = "$TOKEN", a = "Bearer $$T x""#, r#"token = "$TOKEN", a = "Bearer $$T**""#),
            (r#"token = "{env:T}", a = "Bearer %{env:T}""#, r#"token = "{env:T}", a = "Bearer %{env:T}""#),
            (r#"tokens = ["ab", 'c'], size = "5""#, r#"tokens = ["**", '*'], size = "5""#),
            (r#""password": "ab", "topic": "c""#, r#""password": "**", "topic": "c""#),
            (r#"password = "not closed ä"#, r#"password = "************"#),
            (
                r#"password_file = "/run/p", topics = ["auth", "token"]"#,
                r#"password_file = "/run/p", topics = ["auth", "token"]"#,
            ),
            (r#"endpoint = "http://h:1/@x", path = "a?b=c""#, r#"endpoint = "http://h:1/@x", path = "a?b=c""#),
            ("a = { authorization = Bearer x1, b = c }", "a = { authorization = Bearer **, b = c }"),
            ("password = s3=cr#t # ok", "password = *****#t # ok"),
            ("password = 12345", "password = *****"),
            ("tokens = [ab, cd ] # ok", "tokens = [**, ** ] # ok"),
            (r#""authToken": abc, "b": true"#, r#""authToken": ***, "b": true"#),
            ("token_is_sent = true", "token_is_sent = true"),
            ("credentials = { user = ann }", "credentials = { user = ann }"),
            (r#"[services."auth-tokens"]"#, r#"[services."auth-tokens"]"#),
        ] {
            assert_eq!(shown(line), expected);
        }
    }

    #[test]
    fn no_line_is_too_strange() {
        for line in [
            "",
            "\"",
            "'",
            "= \"",
            "token = '",
            "token = \"\\",
            "token=\"${\"",
            "a = \"://@?=&=\"",
            "token = \"ä${ö\"",
            "é = \"x\"",
        ] {
            shown(line);
        }
    }
}
