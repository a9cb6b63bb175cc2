//! `${env:NAME}`, `${env:NAME:-default}` and `${file:/path}` in string values, and `$$` for a dollar sign.
//!
//! Replaced after parsing, so that no value can change the structure; from left to right; never twice, so that a
//! value may contain dollar signs. What a reference stands for is never printed.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::code;
use super::findings::Findings;
use super::node::{Node, Text, Value};
use super::report::Problem;
use super::variables::Variables;

/// Replaces every reference below `node`. Keys are left alone.
pub(crate) fn replace_all(node: &mut Node, source: &str, variables: &Variables, findings: &mut Findings) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace_all(item, source, variables, findings)),
        Value::Table(table) => {
            table.entries.iter_mut().for_each(|entry| replace_all(&mut entry.node, source, variables, findings));
        }
        Value::Text(Text::Written(written)) if written.contains('$') => {
            let replaced = replace(written, variables).unwrap_or_else(|failures| {
                for failure in failures {
                    findings.break_value(failure.problem(source, &node.span));
                }
                Text::Broken
            });
            node.value = Value::Text(replaced);
        }
        _ => {}
    }
}

/// `written` with its references replaced, or everything that is wrong with them.
fn replace(written: &str, variables: &Variables) -> Result<Text, Vec<Failure>> {
    let mut value = String::with_capacity(written.len());
    let mut failures = Vec::new();
    let mut references = 0;
    let mut rest = written;
    let mut whole = false;
    while let Some(dollar) = rest.find('$') {
        let (before, from_dollar) = rest.split_at(dollar);
        value.push_str(before);
        if let Some(after) = from_dollar.strip_prefix("$$") {
            value.push('$');
            rest = after;
        } else if from_dollar.starts_with("${") {
            let length = from_dollar.find('}').map_or(from_dollar.len(), |end| end + 1);
            let (reference, after) = from_dollar.split_at(length);
            references += 1;
            whole = reference.len() == written.len();
            match resolve(reference, variables) {
                Ok(text) => value.push_str(&text),
                Err(failure) => failures.push(failure),
            }
            rest = after;
        } else {
            // A lone dollar sign, as at the end of a regular expression, means itself.
            value.push('$');
            rest = from_dollar.strip_prefix('$').unwrap_or_default();
        }
    }
    value.push_str(rest);
    match (failures.is_empty(), references) {
        (false, _) => Err(failures),
        (true, 0) => Ok(Text::Written(value)),
        (true, _) => Ok(Text::Referenced { value, whole }),
    }
}

/// What one reference, braces included, stands for.
fn resolve(reference: &str, variables: &Variables) -> Result<String, Failure> {
    let fail = |code, what: String, help: &str| Failure { reference: reference.into(), code, what, help: help.into() };
    let malformed = |what: &str| fail(code::MALFORMED_REFERENCE, what.into(), FORMS);
    let Some(inside) = reference.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        return Err(malformed("this reference has no closing brace"));
    };
    if inside.contains("${") {
        return Err(malformed("a reference cannot contain another"));
    }
    if let Some(path) = inside.strip_prefix("file:") {
        if path.contains(":-") {
            return Err(malformed("a file reference has no default"));
        }
        return read_file(path).map_err(|what| fail(code::FILE_REFERENCE, what, FILE_HELP));
    }
    let Some(inside) = inside.strip_prefix("env:") else {
        return Err(malformed("a reference begins with `env:` or `file:`"));
    };
    let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    if !is_variable_name(name) {
        return Err(malformed("this is not the name of a variable"));
    }
    match (variables.raw(name), default) {
        // As in a shell, `:-` also stands in for a variable that is set to nothing.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.into()),
        (Some(value), _) => value
            .into_string()
            .map_err(|_| fail(code::UNDEFINED_REFERENCE, format!("the value of {name} is not UTF-8"), "")),
        (None, Some(default)) => Ok(default.into()),
        (None, None) => {
            let help = format!("set {name}, or give a default: ${{env:{name}:-…}}");
            Err(fail(code::UNDEFINED_REFERENCE, format!("the environment variable {name} is not set"), &help))
        }
    }
}

/// The content of a file, without one line end at its end. The message never holds any of it.
fn read_file(path: &str) -> Result<String, String> {
    if !Path::new(path).is_absolute() {
        return Err(format!("the path `{path}` is not absolute"));
    }
    let cannot = |error: std::io::Error| format!("{path} cannot be read: {error}");
    // Asked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(format!("{path} is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{path} is larger than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))?;
    if text.contains('\0') {
        return Err(format!("{path} contains a zero byte"));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').filter(|_| line.len() < text.len()).unwrap_or(line).to_owned())
}

fn is_variable_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A reference that leads nowhere.
#[derive(Debug)]
struct Failure {
    /// As written, braces included: it holds names, not values.
    reference: String,
    code: &'static str,
    what: String,
    help: String,
}

impl Failure {
    fn problem(self, source: &str, string: &std::ops::Range<usize>) -> Problem {
        // Escapes may hide the reference from this search; then the whole string is underlined.
        let within = source.get(string.clone()).and_then(|raw| raw.find(&self.reference));
        let span = within.map_or(string.clone(), |at| string.start + at..string.start + at + self.reference.len());
        let problem = Problem::error(self.code, self.what).at(span, "");
        if self.help.is_empty() { problem } else { problem.help(self.help) }
    }
}

const FORMS: &str = "write ${env:NAME}, ${env:NAME:-default} or ${file:/absolute/path}; for a dollar sign write $$";
const FILE_HELP: &str = "write ${file:/absolute/path} of a regular file of at most 64 KiB that this process may read";

/// Enough for any token or certificate.
const MAX_FILE_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests;
