//! What the command prints on standard output, for a person or another program to read.

#![forbid(unsafe_code)]

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde_json::Value as Json;

use crate::failure::{self, Failure};

/// One line, and all is well.
pub(crate) fn line(line: &[u8]) -> Result<ExitCode, Failure> {
    let mut text = line.to_vec();
    text.push(b'\n');
    write(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Text as it stands; how it is with what was looked at, as the exit status.
pub(crate) fn text(text: &str, is_well: bool) -> Result<ExitCode, Failure> {
    write(text.as_bytes())?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(failure::WRONG) })
}

/// The same, as JSON.
pub(crate) fn json(value: &Json, is_well: bool) -> Result<ExitCode, Failure> {
    text(&format!("{value:#}\n"), is_well)
}

/// Whether standard output takes colours: a terminal that shows them, and nobody who wants none (no-color.org).
pub(crate) fn has_colors() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// `1 service`, `2 services`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    tracer_resolver::counted(count as u64, what)
}

/// A line on standard error, for a person. Where it cannot be written (a full disk, a pipe that nobody reads) the command goes
/// on: what it was asked for matters more.
pub(crate) fn note(what: &str) {
    let _ = io::stderr().write_all(format!("tracer-interceptors: {what}\n").as_bytes());
}

/// A line on standard error that says what a long command is at, written over by the next; on a terminal only.
pub(crate) struct Progress {
    is_on: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_on: io::stderr().is_terminal() && !is_dumb }
    }

    /// Nothing, before something else is printed. Who cannot be shown it misses nothing of the result.
    pub(crate) fn show(&self, what: &str) {
        if self.is_on {
            let _ = write!(io::stderr(), "\r\x1b[K{what}");
        }
    }
}

/// Whether somebody still reads.
pub(crate) enum Shown {
    All,
    Enough,
}

/// At once.
pub(crate) fn write(text: &[u8]) -> Result<Shown, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(Shown::All),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Shown::Enough),
        Err(error) => Err(Failure::of_ours(format!("cannot write to standard output: {error}"))),
    }
}
