//! `${env:NAME}`, `${env:NAME:-default}` and `${file:/path}` in string values, and `$$` for a dollar sign.
//!
//! Replaced after parsing, so that no value can change the structure; from left to right; never twice, so that a
//! value may contain dollar signs. What a reference stands for is never printed.

#![forbid(unsafe_code)]

use crate::config::model::from_files::{FromFiles, Piece, read_file};
use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::nearest;
use crate::config::source::variables::Variables;
use crate::config::text::node::{Node, Text, Value};

/// Replaces every reference below `node`. Keys are left alone.
pub(crate) fn replace_all(node: &mut Node, source: &str, variables: &Variables, findings: &mut Findings) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace_all(item, source, variables, findings)),
        Value::Table(table) => {
            table.entries.iter_mut().for_each(|entry| replace_all(&mut entry.node, source, variables, findings));
        }
        Value::Text(Text::Written(written)) if *written == "~" || written.starts_with("~/") => {
            let message = "this is taken as it stands: only a shell knows `~`, and none reads this file";
            let meant = format!("write the whole path, or ${{env:HOME}}{}", written.trim_start_matches('~'));
            findings.mention(Problem::warning(code::MALFORMED_REFERENCE, message).at(node.span.clone(), meant));
        }
        Value::Text(Text::Written(written))
            if written.contains('$') || written.contains("{env:") || written.contains("{file:") =>
        {
            if let Some(meant) = meant_reference(written) {
                let problem =
                    Problem::warning(code::MALFORMED_REFERENCE, "this is taken as it stands: it is no reference");
                let label = format!("did you mean {meant}?");
                findings.mention(problem.at(node.span.clone(), label).help("for a dollar sign write $$"));
            }
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
    let mut pieces = Vec::new();
    // So much of `value` is in `pieces`.
    let mut said = 0;
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
                Ok(text) => {
                    let file = path_of(reference);
                    if let Some(path) = file {
                        // What came before it is known for ever.
                        pieces.push(Piece::Text(value.get(said..).unwrap_or_default().to_owned()));
                        pieces.push(Piece::File(path.to_owned()));
                    }
                    value.push_str(&text);
                    if file.is_some() {
                        said = value.len();
                    }
                }
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
        (true, _) => {
            let rest = Piece::Text(value.get(said..).unwrap_or_default().to_owned());
            let files = (!pieces.is_empty()).then(|| FromFiles::new(pieces.into_iter().chain([rest]).collect()));
            Ok(Text::Referenced { value, whole, files })
        }
    }
}

/// What one reference, braces included, stands for.
fn resolve(reference: &str, variables: &Variables) -> Result<String, Failure> {
    let fail = |code, what: String, help: &str| Failure {
        reference: reference.into(),
        code,
        what,
        help: help.into(),
        meant: None,
    };
    let malformed =
        |what: &str| Failure { meant: meant_kind(reference), ..fail(code::MALFORMED_REFERENCE, what.into(), FORMS) };
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
        let what = match inside.split_once(':') {
            _ if inside.trim().is_empty() => "this reference names nothing".to_owned(),
            Some((kind, rest)) if !rest.starts_with('-') => format!("there is no kind of reference named `{kind}`"),
            _ => "a reference says first what it is: `env:` for a variable, `file:` for a file".to_owned(),
        };
        return Err(malformed(&what));
    };
    let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    if name.is_empty() {
        return Err(malformed("this reference names no variable"));
    }
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

/// The file of a file reference.
fn path_of(reference: &str) -> Option<&str> {
    reference.strip_prefix("${file:")?.strip_suffix('}')
}

/// The variable that a shell would replace within a text, such as `Bearer $TOKEN`. A name is in capitals and stands alone:
/// a password has a dollar sign in its midst.
fn meant_within(written: &str) -> Option<String> {
    let words = written.split([' ', '/', ':', '=', '@', ',']);
    let name = words
        .filter_map(|word| word.strip_prefix('$'))
        .find(|name| name.len() > 2 && is_variable_name(name) && !name.chars().any(|c| c.is_ascii_lowercase()))?;
    Some(format!("${{env:{name}}}"))
}

/// The reference that was most likely meant by one that is none.
fn meant_kind(reference: &str) -> Option<String> {
    let inside = reference.strip_prefix("${")?.strip_suffix('}')?.trim();
    let lower = inside.to_ascii_lowercase();
    let after = |marks: &[&str]| {
        marks.iter().find(|mark| lower.starts_with(**mark)).and_then(|mark| inside.get(mark.len()..)).map(str::trim)
    };
    if inside.starts_with('/') {
        return Some(format!("${{file:{inside}}}"));
    }
    if let Some(path) = after(&["file:", "files:", "path:", "secret:", "file/"]).filter(|path| path.starts_with('/')) {
        return (!path.contains(":-")).then(|| format!("${{file:{path}}}"));
    }
    let kind = lower.split(':').next().unwrap_or_default();
    let known = ["env", "environment", "environ", "getenv", "var", "vars", "variable", "os", "sys"];
    let is_variable =
        lower.contains(':') && (known.contains(&kind) || nearest(kind, &["env", "environment"]).is_some());
    let name = if is_variable {
        inside.split_once(':').map_or(inside, |(_, rest)| rest.trim())
    } else {
        after(&["env.", "env/", "environment."]).unwrap_or(inside)
    };
    let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
    let (variable, rest) = name.split_at_checked(end)?;
    if !is_variable_name(variable) {
        return None;
    }
    // A colon alone means it only where `env:` says that the name is a variable's.
    let marks = [":-", ":=", "-", "=", ":"].iter().filter(|mark| is_variable || **mark != ":");
    let default = marks.copied().find_map(|mark| rest.strip_prefix(mark));
    match (rest.is_empty(), default) {
        (true, _) => Some(format!("${{env:{variable}}}")),
        (false, Some(default)) if !default.contains('$') => Some(format!("${{env:{variable}:-{default}}}")),
        _ => None,
    }
}

/// For a whole text `$NAME` or `$(NAME)`, as shells and Kubernetes write variables.
fn meant_reference(written: &str) -> Option<String> {
    for kind in ["env:", "file:"] {
        let braces = format!("{{{kind}");
        if let Some((before, after)) = written.split_once(&braces).filter(|(before, _)| !before.ends_with('$')) {
            let name = after.split('}').next().unwrap_or_default();
            return (!before.ends_with('\\')).then(|| format!("${{{kind}{name}}}"));
        }
        if let Some(name) = written.trim().strip_prefix('$').and_then(|rest| rest.strip_prefix(kind)) {
            return Some(format!("${{{kind}{name}}}"));
        }
    }
    let Some(name) = written.trim().strip_prefix('$') else { return meant_within(written) };
    let name = name.strip_prefix('(').and_then(|name| name.strip_suffix(')')).unwrap_or(name);
    let is_meant = is_variable_name(name) && !name.chars().any(|c| c.is_ascii_lowercase());
    if is_meant { Some(format!("${{env:{name}}}")) } else { meant_within(written) }
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
    /// What to write in its place.
    meant: Option<String>,
}

impl Failure {
    fn problem(self, source: &str, string: &std::ops::Range<usize>) -> Problem {
        // Escapes may hide the reference from this search; then the whole string is underlined.
        let within = source.get(string.clone()).and_then(|raw| raw.find(&self.reference));
        let span = within.map_or(string.clone(), |at| string.start + at..string.start + at + self.reference.len());
        let label = self.meant.map_or(String::new(), |meant| format!("did you mean {meant}?"));
        let problem = Problem::error(self.code, self.what).at(span, label);
        if self.help.is_empty() { problem } else { problem.help(self.help) }
    }
}

const FORMS: &str = "write ${env:NAME}, ${env:NAME:-default} or ${file:/absolute/path}; for a dollar sign write $$";
const FILE_HELP: &str = "write ${file:/absolute/path} of a regular file of at most 64 KiB that this process may read";

#[cfg(test)]
mod tests;
