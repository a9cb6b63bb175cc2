//! Words that the command does not take, and what was most likely meant by them.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::given_file::Kind;
use crate::run::located;

/// A hint for words that were not understood; nothing where clap's own message says enough.
pub(crate) fn of(words: &[OsString], error: &clap::Error) -> Option<String> {
    let rest = words.get(1..)?;
    let word = rest.first()?.to_str()?;
    // Clap has found a word that is nearly the one; the first may be a program's all the same.
    let is_suggested = error.get(ContextKind::SuggestedSubcommand).is_some();
    if is_suggested && word == "plugins" || error.get(ContextKind::SuggestedArg).is_some() {
        return None;
    }
    match (error.kind(), word) {
        (ErrorKind::InvalidSubcommand, "plugins") => {
            let name = rest.get(1)?.to_str()?;
            Some(format!("`tracer-interceptors plugins describe {name}` describes the plugin `{name}`, if it is one"))
        }
        (ErrorKind::InvalidSubcommand, _) => first_word(rest),
        (ErrorKind::UnknownArgument, _) => unknown(word, rest, &invalid(error)?),
        (ErrorKind::MissingRequiredArgument, "explain") => {
            let is_topic = |word: &&OsString| !is_option(word) && !Path::new(word).exists();
            let topic = rest.get(1..)?.iter().find(is_topic).and_then(|word| word.to_str()).unwrap_or("NAME");
            Some(about_topic(rest, topic))
        }
        (ErrorKind::MissingRequiredArgument, "send-test") => Some(
            "BACKEND is the name behind [backends.…] in the configuration; `tracer-interceptors doctor` tries all"
                .to_owned(),
        ),
        _ => None,
    }
}

/// A file or a program where the command wants a word.
fn first_word(rest: &[OsString]) -> Option<String> {
    let given = rest.first()?;
    let path = Path::new(given);
    if let Some(kind) = Kind::of(path) {
        return Some(format!("{} is {}: {}", path.display(), kind.name(), kind.way_out(path)));
    }
    if let Some(meant) = given.to_str().and_then(by_another_word) {
        let behind = rest.get(1..).filter(|words| !words.is_empty());
        let behind = behind.map_or_else(String::new, |words| format!(" {}", joined(words)));
        return Some(format!("here that is `tracer-interceptors {meant}{behind}`"));
    }
    located(given)?;
    Some(format!("to run it with tracing: tracer-interceptors run {}", joined(rest)))
}

/// What other tools call it, or the second word of two.
fn by_another_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "list" | "plugin-list" => "plugins list",
        "describe" => "plugins describe",
        "pin" => "plugins pin",
        "new" => "plugins new",
        "validate" | "verify" | "lint" | "test" => "check",
        "why" => "explain",
        "ping" | "diagnose" | "health" => "doctor",
        "top" | "stats" | "ps" => "status",
        "config" | "show" | "show-config" | "dump" => "print-config",
        "convert" => "migrate",
        "traces" | "tap" | "tail" | "ui" => "view",
        _ => return None,
    })
}

/// A word too many, or an option that there is not.
fn unknown(word: &str, rest: &[OsString], invalid: &str) -> Option<String> {
    let before: Vec<_> = rest.get(1..)?.iter().take_while(|word| *word != "--").cloned().collect();
    let place = before.iter().position(|given| given == invalid || given.to_string_lossy().starts_with(invalid))?;
    let is_file_option = ["--config", "--file", "-c", "-f"].iter().any(|option| invalid.starts_with(option));
    match word {
        _ if invalid == "--json" => Some("for programs: --format json".to_owned()),
        "explain" if invalid == "--side" => Some("the side is an option of its own: --produce or --consume".to_owned()),
        "schema" => Some("it is the same for every file: what it prints, the first line of a file can name".to_owned()),
        "check" | "print-config" | "migrate" if !invalid.starts_with('-') => Some("it takes one file".to_owned()),
        _ if is_file_option => {
            let file = before.get(place)?.to_str()?.split_once('=').map(|(_, file)| OsString::from(file));
            let file = file.or_else(|| before.get(place + 1).cloned())?;
            Some(match word {
                "run" => format!(
                    "the variable names it: INTERCEPTORS_CONFIG_FILE={} tracer-interceptors run …",
                    file.display()
                ),
                _ => format!("the file stands by itself: tracer-interceptors {word} {}", file.display()),
            })
        }
        "doctor" => Some(format!("a program is put after --: tracer-interceptors doctor -- {}", joined(&before))),
        "explain" if !invalid.starts_with('-') => Some(about_topic(rest, invalid)),
        "send-test" if !invalid.starts_with('-') => {
            Some("the service is named by an option: --service NAME".to_owned())
        }
        _ => None,
    }
}

fn about_topic(rest: &[OsString], topic: &str) -> String {
    let file = rest.iter().skip(1).find(|word| Path::new(word).is_file());
    let file = file.map_or_else(String::new, |file| format!(" {}", file.to_string_lossy()));
    format!("to ask about the topic `{topic}`: tracer-interceptors explain{file} --topic {topic}")
}

fn invalid(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

fn joined(words: &[OsString]) -> String {
    let shown = |word: &OsString| {
        let word = word.to_string_lossy();
        let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
        if word.chars().all(is_plain) && !word.is_empty() {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(shown).collect::<Vec<_>>().join(" ")
}
