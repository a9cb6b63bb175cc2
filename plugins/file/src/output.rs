//! Where lines go.

use std::io::{Stderr, Stdout};
use std::path::Path;
use std::time::Duration;

use tracer_plugin_api::{BackendError, Batch};
use tracer_plugin_kit::Counters;

use crate::rotated_file::RotatedFile;
use crate::settings::{Settings, Target};
use crate::stream::Stream;

/// An open output. One thread writes at a time.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout(Stream<Stdout>),
    Stderr(Stream<Stderr>),
    File(RotatedFile),
}

impl Output {
    /// Looks at the directory; opens nothing.
    ///
    /// # Errors
    ///
    /// A configuration error if the directory of the file does not exist, the file is something else, or the process has no such
    /// stream.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BackendError> {
        match &settings.path {
            Target::Stdout => Stream::of_the_process("stdout", std::io::stdout()).map(Output::Stdout),
            Target::Stderr => Stream::of_the_process("stderr", std::io::stderr()).map(Output::Stderr),
            Target::File(path) => {
                check_place(path)?;
                Ok(Output::File(RotatedFile::new(path.clone(), settings.max_bytes.bytes(), settings.max_files.0)))
            }
        }
    }

    /// Opens the file, so that a first problem shows at start-up and not at the first batch.
    pub(crate) fn open(&mut self, counters: &Counters) -> Result<(), BackendError> {
        match self {
            Output::Stdout(_) | Output::Stderr(_) => Ok(()),
            Output::File(file) => file.open(counters),
        }
    }

    /// Writes what belongs together, whole or not at all as far as the system lets us; `lines` end in a newline, and are those of
    /// `batch`.
    ///
    /// Waits for `patience` at the most where other processes write to the same file, or a stream has no room.
    pub(crate) fn write_lines(
        &mut self,
        lines: &[u8],
        batch: &Batch<'_>,
        patience: Duration,
        counters: &Counters,
    ) -> Result<(), BackendError> {
        match self {
            Output::Stdout(stream) => stream.write_lines(lines, batch, patience),
            Output::Stderr(stream) => stream.write_lines(lines, batch, patience),
            Output::File(file) => file.write_lines(lines, patience, counters),
        }
    }

    /// Makes the lines written so far survive a crash of the machine; ends a line of which a stream has the beginning.
    pub(crate) fn flush(&mut self, patience: Duration) -> Result<(), BackendError> {
        match self {
            Output::Stdout(stream) => stream.flush(patience),
            Output::Stderr(stream) => stream.flush(patience),
            Output::File(file) => file.sync(),
        }
    }
}

fn check_place(path: &Path) -> Result<(), BackendError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        let message = format!("the directory {} does not exist: make it, or name another file", directory.display());
        return Err(BackendError::config("/path", message));
    }
    match std::fs::metadata(path) {
        // Rotation renames it: that must never hit /dev/null.
        Ok(there) if !there.is_file() => {
            let message = format!("{} is not a file: name one, or \"stdout\" or \"stderr\"", path.display());
            Err(BackendError::config("/path", message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(path: &Path) -> String {
        let json = serde_json::json!({ "path": path }).to_string();
        let error = Output::new(&Settings::parse(&json).unwrap()).unwrap_err();
        assert_eq!(error.pointer(), "/path");
        error.message().to_owned()
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_mistake_in_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let message = complaint(&directory.path().join("none/spans.jsonl"));
        assert!(message.contains("none does not exist"), "{message}");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        assert!(complaint(&std::env::temp_dir()).contains("is not a file"));
        assert!(complaint(Path::new("/dev/null")).contains("is not a file"));
    }
}
