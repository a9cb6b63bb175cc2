//! Reading a pipe to its end, and no longer than somebody may be made to wait.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// All that comes until the pipe is closed, but no more than `limit` bytes.
///
/// `pipe` was opened with `O_NONBLOCK`.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`] when it has not ended within `patience`, nobody having opened the other end included.
pub(super) fn read(pipe: &mut File, limit: u64, patience: Duration, bytes: &mut Vec<u8>) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    let mut chunk = [0; 4096];
    while (bytes.len() as u64) < limit {
        if !is_ready(pipe, deadline)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match pipe.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(())
}

/// Whether there is something to read, or the end, before the deadline. A pipe that nobody has opened yet to write to it has
/// neither.
fn is_ready(pipe: &File, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let mut asked = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let left = libc::c_int::try_from(left.as_millis()).unwrap_or(libc::c_int::MAX).max(1);
        // SAFETY: one entry, which is written.
        match unsafe { libc::poll(&raw mut asked, 1, left) } {
            0 => {}
            count if count > 0 => return Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}
