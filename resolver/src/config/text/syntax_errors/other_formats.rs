//! Texts that are something else as a whole: another format, a conflict of versions, a damaged file.

use crate::config::report::code;
use crate::config::report::lines::lines;
use crate::config::report::problem::Problem;

/// What the whole of `text` is, if it is recognized as something that no single line explains.
///
/// Asked only of a text that does not parse: nothing that is right is judged here.
pub(crate) fn recognize(text: &str) -> Option<Problem> {
    damage(text).or_else(|| line_ends(text)).or_else(|| other_format(text))
}

/// What no format has.
pub(crate) fn damage(text: &str) -> Option<Problem> {
    nul(text).or_else(|| merge_conflict(text))
}

fn nul(text: &str) -> Option<Problem> {
    let at = text.find('\0')?;
    let count = text.bytes().filter(|byte| *byte == 0).count();
    if count * 3 > text.len() {
        let problem = Problem::error(code::NOT_UTF8, "this text is UTF-16: every second byte of it is zero");
        return Some(problem.at(0..0, "").help("save it as UTF-8"));
    }
    let problem = Problem::error(code::SYNTAX, "a NUL byte (U+0000) stands in this file: it is damaged");
    let help = "delete it; if there are many, write the file anew or take it from a backup";
    Some(problem.at(at..at + 1, "here").help(help))
}

/// The marks that git and others leave in a file.
fn merge_conflict(text: &str) -> Option<Problem> {
    let is_mark = |line: &str, mark: &str| {
        line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    };
    let marks = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];
    let mut found = lines(text).filter(|(_, line)| marks.iter().any(|mark| is_mark(line, mark)));
    let (first, line) = found.next()?;
    let other = found.find(|(_, other)| other.get(..7) != line.get(..7));
    let message = "two versions of this file were merged, and the conflict is not resolved";
    let help = "keep one of the two versions, and delete the lines that begin with <<<<<<<, ======= and >>>>>>>";
    let problem = Problem::error(code::SYNTAX, message).help(help);
    Some(match other {
        Some((other, _)) => problem.at(first, "the conflict begins here").also(other, "the other version"),
        None => problem.at(first, "a mark of it is left here"),
    })
}

/// A template that no tool has filled in, where it stands outside of every text.
pub(crate) fn template(line: &str, start: usize) -> Option<Problem> {
    let open = line.find("{{").or_else(|| line.find("{%")).or_else(|| line.find("<%"))?;
    let message = "this is a template that was not filled in";
    let help = "let the tool that it is written for (Helm, Ansible, Jinja) make the file first";
    Some(Problem::error(code::SYNTAX, message).at(start + open..start + open + 2, "").help(help))
}

/// Carriage returns alone, as Macs had them long ago.
fn line_ends(text: &str) -> Option<Problem> {
    if text.contains('\n') {
        return None;
    }
    let at = text.trim_end().find('\r')?;
    let message = "the lines of this file end in a carriage return alone";
    let help = "save it with the line ends of Unix (LF) or of Windows (CR LF)";
    Some(Problem::error(code::SYNTAX, message).at(at..at + 1, "a line should end here").help(help))
}

fn other_format(text: &str) -> Option<Problem> {
    let mut significant = lines(text).map(|(span, line)| (span, line.trim())).filter(|(_, line)| {
        !line.is_empty() && !line.starts_with(['#', ';']) && !line.starts_with("//") && !line.starts_with("/*")
    });
    let (span, first) = significant.next()?;
    let format = if first.starts_with('<') {
        "XML"
    } else if is_json(first) {
        "JSON"
    } else if is_yaml(text) {
        "YAML"
    } else if is_of_an_agent(first) {
        let message =
            "these are settings for an OpenTelemetry agent or SDK, and not a configuration of tracer-resolver";
        let help = "set them as environment variables (OTEL_…), without INTERCEPTORS_CONFIG_FILE; \
                    or write a TOML file: `version = 1`, then sections such as [services.orders]";
        return Some(Problem::error(code::SYNTAX, message).at(span, "").help(help));
    } else {
        return None;
    };
    let message = format!("this file is written in {format}, and a configuration is written in TOML");
    let help = match format {
        "JSON" => {
            "the JSON format of 2019 begins with `{ \"services\":`, without a comment before it; \
                   all else is TOML, as default-config.toml shows it"
        }
        _ => TOML,
    };
    Some(Problem::error(code::SYNTAX, message).at(span, "").help(help))
}

fn is_json(first: &str) -> bool {
    first.starts_with('{') || first.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'))
}

/// More lines say `key: value` or `- item` than anything of TOML's.
fn is_yaml(text: &str) -> bool {
    let (mut yaml, mut toml) = (0_usize, 0_usize);
    for (_, line) in lines(text) {
        let line = line.trim();
        let name =
            |text: &str| text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | '/'));
        let is_pair = line.split_once(':').is_some_and(|(key, rest)| {
            let key = key.trim_start_matches("- ");
            !key.is_empty() && name(key) && (rest.is_empty() || rest.starts_with(' '))
        });
        if is_pair || line.starts_with("- ") || line == "---" || line.starts_with("%YAML") {
            yaml += 1;
        } else if line.starts_with('[') || line.split_once('=').is_some_and(|(key, _)| name(key.trim())) {
            toml += 1;
        }
    }
    yaml > toml
}

fn is_of_an_agent(first: &str) -> bool {
    let key = first.strip_prefix("export ").unwrap_or(first).trim_start();
    key.contains('=') && (key.starts_with("OTEL_") || key.starts_with("otel."))
}

const TOML: &str = "a TOML file begins with `version = 1`; sections follow, such as [services.orders] with \
                    `produces = [\"orders\"]` below it: see default-config.toml";
