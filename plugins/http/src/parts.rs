//! A batch in as many requests as the server takes.

use std::time::{Duration, Instant};

use tracer_plugin_api::{BackendError, ErrorKind};
use tracer_plugin_kit::Refused;

use crate::client::{Answer, HttpClient};
use crate::failure::Failure;

/// What a batch is taken apart into, encoded.
pub trait Part: AsRef<[u8]> {
    /// How many items it is: one, for a span.
    fn items(&self) -> u32 {
        1
    }
}

impl Part for Vec<u8> {}

impl HttpClient {
    /// Posts `spans`, or what else a batch consists of, in one request; in halves, and halves of these, where the server says that it
    /// is too much at once. All of it within `limit` or the timeout of the settings, whichever is less. What a server
    /// refused to read is remembered: it is not sent so much again.
    ///
    /// `body_of` makes a body of some of the spans. Those that are refused for good are counted in `refused`, and the
    /// others go on.
    ///
    /// # Errors
    ///
    /// Those of [`HttpClient::post`] that are worth another try, as soon as there is one: the whole batch is sent again.
    pub fn post_in_parts<T: Part>(
        &self,
        content_type: &str,
        spans: &[T],
        limit: Duration,
        body_of: impl Fn(&[T]) -> Vec<u8>,
        refused: &mut Refused,
    ) -> Result<Vec<Answer>, BackendError> {
        let started = Instant::now();
        let limit = limit.min(self.timeout());
        let mut answers = Vec::new();
        // The next one is the last.
        let mut parts = vec![spans];
        while let Some(part) = parts.pop() {
            let (head, tail) = part.split_at(part.len() / 2);
            let bytes = || part.iter().map(|span| span.as_ref().len()).sum::<usize>();
            if !head.is_empty() && bytes() > self.most_bytes() {
                parts.extend([tail, head]);
                continue;
            }
            let left = limit.saturating_sub(started.elapsed());
            if left.is_zero() && !answers.is_empty() {
                return Err(self.out_of_time(limit, answers.len(), parts.len() + 1));
            }
            match self.try_post(content_type, &body_of(part), left) {
                Ok(answer) => answers.push(answer),
                Err(Failure::TooLarge(_)) if !head.is_empty() => {
                    self.too_large(bytes());
                    parts.extend([tail, head]);
                }
                Err(failure) => match BackendError::from(failure) {
                    error if error.kind() == ErrorKind::Permanent => {
                        refused.add(part.iter().map(Part::items).sum(), error);
                    }
                    error => return Err(error),
                },
            }
        }
        Ok(answers)
    }
}
