//! A way to one server, and a batch in as many requests as that server takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracer_plugin_api::{BackendError, ErrorKind};
use tracer_plugin_kit::{Part, Refused};

use crate::failure::Failure;

/// A way to one server that takes batches. Used by many threads at once.
pub trait Carrier: Send + Sync {
    /// Sends one request, and waits for the answer no longer than `limit` or [`timeout`](Self::timeout), whichever is less.
    ///
    /// # Errors
    ///
    /// Too large, told apart: a smaller request may help. All else as [`HttpClient::post`](crate::HttpClient::post) says.
    fn carry(&self, body: &[u8], limit: Duration) -> Result<Answer, Failure>;

    /// The most that one call may take.
    fn timeout(&self) -> Duration;

    /// What the server was found to take at once.
    fn largest(&self) -> &Largest;

    /// The server, for messages.
    fn who(&self) -> String;

    /// What the server said, without what it repeats of our credentials.
    fn strike_out(&self, said: String) -> String;
}

/// Bytes of the largest body, before compression, that the server may take. Only ever shrinks.
#[derive(Debug)]
pub struct Largest(AtomicUsize);

impl Default for Largest {
    fn default() -> Self {
        Largest(AtomicUsize::new(usize::MAX))
    }
}

impl Largest {
    pub(crate) fn bytes(&self) -> usize {
        // Relaxed: a thread that sees it late sends one body in vain.
        self.0.load(Ordering::Relaxed)
    }

    /// The server would not read a body of so many bytes.
    pub(crate) fn less_than(&self, bytes: usize) {
        self.0.fetch_min(bytes / 2, Ordering::Relaxed);
    }
}

/// What a server answered that has taken the batch.
#[derive(Debug)]
pub struct Answer {
    /// The body, or its first 64 KiB. Empty if it broke off: the status alone says that the server has taken the batch.
    pub body: Vec<u8>,
    /// What the server says the body is, in lower case; empty if it is known to be what it should be.
    pub content_type: String,
}

/// Where a batch in parts has stopped: another try may help.
pub(crate) struct Stopped {
    /// How many of its spans, from the first one, are done with: taken, or refused for good. However it is cut, they go in
    /// their order, one request at a time, so that nothing behind them is.
    pub(crate) done: usize,
    pub(crate) error: BackendError,
}

/// See [`HttpClient::post_in_parts`](crate::HttpClient::post_in_parts). The answers are those up to where it stopped.
pub(crate) fn carry_in_parts<T: Part>(
    carrier: &dyn Carrier,
    spans: &[T],
    limit: Duration,
    body_of: impl Fn(&[T]) -> Vec<u8>,
    refused: &mut Refused,
) -> (Vec<Answer>, Result<(), Stopped>) {
    let started = Instant::now();
    let limit = limit.min(carrier.timeout());
    let (mut answers, mut done) = (Vec::new(), 0);
    // The next one is the last.
    let mut parts = vec![spans];
    while let Some(part) = parts.pop() {
        let (head, tail) = part.split_at(part.len() / 2);
        let bytes = || part.iter().map(|span| span.as_ref().len()).sum::<usize>();
        if !head.is_empty() && bytes() > carrier.largest().bytes() {
            parts.extend([tail, head]);
            continue;
        }
        let left = limit.saturating_sub(started.elapsed());
        if left.is_zero() && !answers.is_empty() {
            let error = out_of_time(&carrier.who(), limit, answers.len(), parts.len() + 1);
            return (answers, Err(Stopped { done, error }));
        }
        match carrier.carry(&body_of(part), left) {
            Ok(answer) => {
                answers.push(answer);
                done += part.len();
            }
            Err(Failure::TooLarge(_)) if !head.is_empty() => {
                carrier.largest().less_than(bytes());
                parts.extend([tail, head]);
            }
            Err(failure) => match BackendError::from(failure) {
                error if error.kind() == ErrorKind::Permanent => {
                    refused.add(part.iter().map(Part::items).sum(), error);
                    done += part.len();
                }
                error => return (answers, Err(Stopped { done, error })),
            },
        }
    }
    (answers, Ok(()))
}

/// A batch that has to go in parts has not gone wholly in its time.
fn out_of_time(who: &str, limit: Duration, sent: usize, left: usize) -> BackendError {
    BackendError::timeout(format!(
        "{who}: of a batch in parts {sent} were taken within {limit:?}, and {left} are left (a smaller `batch.max_bytes` \
         helps)"
    ))
}
