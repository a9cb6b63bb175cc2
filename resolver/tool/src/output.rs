//! What the command prints on standard output, for a person or another program to read.

#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::failure::Failure;

/// One line, and all is well.
pub(crate) fn line(line: &[u8]) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    match written {
        // Whoever reads has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::of_ours(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
