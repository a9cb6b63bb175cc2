//! `tracer-interceptors reload PID|FILE…`: running programs read their configuration again.
//!
//! The program's library holds a file in memory open; the wish is left there, and the answer found
//! (`resolver/src/control_page.rs` has the table). The kernel lets the program's user and root do that, and nobody else.

#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::command_line::Format;
use crate::failure::Failure;
use crate::{output, status, terminal};

/// How the file shows among those that a process has open.
const FILE: &str = "/memfd:tracer-interceptors-reload (deleted)";
const MAGIC: &[u8; 8] = b"TRRELOAD";
const VERSION: u32 = 1;
/// Loading may take plugins so long, and the program looks four times a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest text that fits.
const MOST_TEXT: u32 = (64 << 10) - 32;

/// What a program's answer begins with, by its number in the table; others are those of a library that is newer.
const OUTCOMES: [&str; 4] = ["changed", "unchanged", "refused", "off"];

/// Asks the programs one after the other, and prints what they answer. The status is 1 when one refuses what its file says.
pub(crate) fn reload(programs: &[PathBuf], format: Format) -> Result<ExitCode, Failure> {
    let (mut processes, mut files) = (Vec::new(), Vec::new());
    for program in programs {
        match program.to_str().and_then(|number| number.parse::<u32>().ok()) {
            Some(process) => processes.push(process),
            None => files.push(program.clone()),
        }
    }
    let mut failures = Vec::new();
    if !files.is_empty() {
        let (running, unreadable) = status::running(&files);
        processes.extend(running);
        failures = unreadable;
    }
    if processes.is_empty() && failures.is_empty() {
        return Err(Failure::of_ours("no program runs that wrote these files".to_owned()));
    }
    // One that cannot be asked keeps no other from being asked.
    let answers: Vec<_> = processes.iter().map(|process| (*process, ask(*process))).collect();
    let is_well = answers.iter().all(|(_, answer)| !matches!(answer, Ok((2.., _))));
    let printed = match format {
        Format::Text => {
            let whose = |process| if answers.len() > 1 { format!("{process}: ") } else { String::new() };
            let said = answers.iter().filter_map(|(process, answer)| Some((process, answer.as_ref().ok()?)));
            let lines = said.map(|(process, (_, text))| format!("{}{}\n", whose(process), text.trim_end()));
            output::text(&lines.collect::<String>(), is_well)?
        }
        Format::Json => {
            output::json(&json!({ "processes": answers.iter().map(as_json).collect::<Vec<_>>() }), is_well)?
        }
    };
    failures.extend(answers.into_iter().filter_map(|(_, answer)| Some(answer.err()?.what)));
    if failures.is_empty() { Ok(printed) } else { Err(Failure::of_each(failures)) }
}

fn as_json((process, answer): &(u32, Result<(u32, String), Failure>)) -> Json {
    match answer {
        Ok((outcome, text)) => {
            let outcome = usize::try_from(*outcome).ok().and_then(|outcome| OUTCOMES.get(outcome));
            json!({ "process": process, "outcome": outcome, "text": text.trim_end() })
        }
        Err(failed) => json!({ "process": process, "outcome": null, "text": failed.what }),
    }
}

/// What the process answers: a number of the table, and a text.
fn ask(process: u32) -> Result<(u32, String), Failure> {
    // A program in Rust may have several resolvers, each with its own.
    let answers: Vec<_> = find(process)?.iter().map(|file| ask_at(process, file)).collect::<Result<_, _>>()?;
    let outcome = answers.iter().map(|(outcome, _)| *outcome).max().unwrap_or_default();
    let texts: Vec<_> = answers.iter().map(|(_, text)| text.trim_end()).collect();
    Ok((outcome, texts.join("\n")))
}

fn ask_at(process: u32, file: &File) -> Result<(u32, String), Failure> {
    let failed = |error: io::Error| Failure::of_ours(format!("process {process} cannot be asked: {error}"));
    // Two who ask at once ask the same, and have the same answer; where one was a little later, it is that to the later one.
    let asked = number(file, 16).map_err(failed)?.wrapping_add(1);
    file.write_at(&asked.to_ne_bytes(), 16).map_err(failed)?;
    let is_answered = || Ok(number(file, 20).map_err(failed)?.wrapping_sub(asked) < u32::MAX / 2);
    let started = Instant::now();
    while !is_answered()? {
        if !PathBuf::from(format!("/proc/{process}")).exists() {
            return Err(Failure::of_ours(format!("process {process} has ended before it answered")));
        }
        if !is_looked_at(file).map_err(failed)? && !is_answered()? {
            return Err(nobody(process));
        }
        if started.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(Failure::of_ours(format!("process {process} has not answered within {seconds} seconds")));
        }
        sleep(Duration::from_millis(20));
    }
    let outcome = number(file, 24).map_err(failed)?;
    let mut text = vec![0; number(file, 28).map_err(failed)?.min(MOST_TEXT) as usize];
    file.read_exact_at(&mut text, 32).map_err(failed)?;
    let text = String::from_utf8_lossy(&text);
    Ok((outcome, text.lines().map(terminal::clean).collect::<Vec<_>>().join("\n")))
}

/// The files that this very process waits at.
fn find(process: u32) -> Result<Vec<File>, Failure> {
    let folder = PathBuf::from(format!("/proc/{process}/fd"));
    let failed = |error: io::Error| {
        Failure::of_ours(match error.kind() {
            io::ErrorKind::NotFound => format!("there is no process {process}"),
            io::ErrorKind::PermissionDenied => {
                format!("process {process} is another user's: be that user, or root, to reload it")
            }
            _ => format!("process {process} cannot be looked at: {error}"),
        })
    };
    let own = own_number(process).map_err(failed)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if fs::read_link(&path).is_ok_and(|target| target.as_os_str() == FILE) {
            // One that is gone in between is not the one.
            let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
            if is_of(&file, own).unwrap_or(false) {
                found.push(file);
            }
        }
    }
    if found.is_empty() { Err(nobody(process)) } else { Ok(found) }
}

fn nobody(process: u32) -> Failure {
    Failure::of_ours(format!(
        "process {process} does not wait for this: it is not traced by this library, or its configuration has no [reload] \
         or came through a pipe, or its first client is not there yet"
    ))
}

/// A child of a fork has its parent's file open too.
fn is_of(file: &File, own: u32) -> io::Result<bool> {
    Ok(is_looked_at(file)? && number(file, 8)? == VERSION && number(file, 12)? == own)
}

fn is_looked_at(file: &File) -> io::Result<bool> {
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, 0)?;
    Ok(magic == *MAGIC)
}

/// What the process itself takes for its number: in a container it is another.
fn own_number(process: u32) -> io::Result<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    Ok(inner.and_then(|numbers| numbers.split_whitespace().last()?.parse().ok()).unwrap_or(process))
}

fn number(file: &File, at: u64) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with these numbers: asked, answered, outcome.
    fn page(numbers: [u32; 3], text: &str) -> File {
        let [asked, answered, outcome] = numbers;
        let numbers = [asked, answered, outcome, u32::try_from(text.len()).unwrap()];
        let file = tempfile::tempfile().unwrap();
        let page = [&MAGIC[..], &[0; 8], &numbers.map(u32::to_ne_bytes).concat(), text.as_bytes()].concat();
        file.write_all_at(&page, 0).unwrap();
        file
    }

    #[test]
    fn what_a_process_answers_moves_no_cursor_of_who_asks() {
        let file = page([0, 1, 1], "\x1b]0;mine\x07\x1b[2Junchanged\r\u{9b}8m\nline 2\r\n");
        let answer = ask_at(std::process::id(), &file).map_err(|failed| failed.what);
        assert_eq!(answer, Ok((1, " ]0;mine  [2Junchanged  8m\nline 2".to_owned())));
    }

    #[test]
    fn an_answer_to_who_asked_a_moment_later_is_one() {
        // Another has asked between our wish and the process's look.
        for (asked, answered) in [(6, 8), (u32::MAX - 1, 0)] {
            let answer = ask_at(std::process::id(), &page([asked, answered, 0], "changed"));
            assert_eq!(answer.map_err(|failed| failed.what), Ok((0, "changed".to_owned())));
        }
    }
}
