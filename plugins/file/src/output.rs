//! Where lines go.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tracer_plugin_api::BackendError;
use tracer_plugin_kit::Counters;

use crate::rotated_file::{RotatedFile, failed};
use crate::settings::{Settings, Target};

/// An open output. One thread writes at a time.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout,
    Stderr,
    File(RotatedFile),
}

impl Output {
    /// Looks at the directory; opens nothing.
    ///
    /// # Errors
    ///
    /// A configuration error if the directory of the file does not exist, or the file is something else.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BackendError> {
        match &settings.path {
            Target::Stdout => Ok(Output::Stdout),
            Target::Stderr => Ok(Output::Stderr),
            Target::File(path) => {
                check_place(path)?;
                Ok(Output::File(RotatedFile::new(path.clone(), settings.max_bytes.bytes(), settings.max_files.0)))
            }
        }
    }

    /// Opens the file, so that a first problem shows at start-up and not at the first batch.
    pub(crate) fn open(&mut self, counters: &Counters) -> Result<(), BackendError> {
        match self {
            Output::Stdout | Output::Stderr => Ok(()),
            Output::File(file) => file.open(counters),
        }
    }

    /// Writes what belongs together, whole or not at all as far as the system lets us; `lines` end in a newline.
    ///
    /// Waits for `patience` at the most where other processes write to the same file.
    pub(crate) fn write_lines(
        &mut self,
        lines: &[u8],
        patience: Duration,
        counters: &Counters,
    ) -> Result<(), BackendError> {
        match self {
            Output::Stdout => stream("stdout", std::io::stdout().lock(), lines),
            Output::Stderr => stream("stderr", std::io::stderr().lock(), lines),
            Output::File(file) => file.write_lines(lines, patience, counters),
        }
    }

    /// Makes the lines written so far survive a crash of the machine.
    pub(crate) fn flush(&mut self) -> Result<(), BackendError> {
        match self {
            Output::Stdout | Output::Stderr => Ok(()),
            Output::File(file) => file.sync(),
        }
    }
}

/// The lock is held for all of them: lines of the application do not come between.
fn stream(name: &str, mut stream: impl Write, lines: &[u8]) -> Result<(), BackendError> {
    stream.write_all(lines).and_then(|()| stream.flush()).map_err(|error| failed("written", name, &error))
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
    use std::io::{Error, ErrorKind};

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

    #[test]
    fn a_stream_that_cannot_be_written_is_worth_another_try() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(Error::from(ErrorKind::BrokenPipe))
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let error = stream("stdout", Closed, b"x\n").unwrap_err();
        assert_eq!(error.kind(), tracer_plugin_api::ErrorKind::Retryable);
    }
}
