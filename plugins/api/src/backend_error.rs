//! What went wrong, and whether a retry helps.

#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use crate::abi::{self, tracer_code};

/// Why a call of a [`Backend`](crate::Backend) failed.
///
/// The message is one line for an operator: what failed and what to do. It never holds a secret. Beyond 383 bytes it is
/// cut, between characters, on its way to the host; a JSON pointer beyond 127.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendError {
    kind: ErrorKind,
    message: String,
    pointer: String,
    rejected_items: u32,
    retry_after: Option<Duration>,
    retry_cookie: u64,
}

/// What an error means for the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is wrong; from `validate` and `create` only.
    Config,
    /// Nothing was stored and trying again may help: unreachable, busy, throttled. Retried.
    Retryable,
    /// Trying again with these bytes cannot help: refused, malformed. Dropped and counted.
    Permanent,
    /// The backend refuses the credentials, and nothing was stored; from `export` only. Retried; before that the host reads
    /// secrets from files anew, and makes a new instance if they have changed, which gets the batch.
    Credentials,
    /// The batch was taken but for some items, which are counted as rejected. Not retried.
    Partial,
    /// Not finished in time; whether anything was stored is unknown. Retried.
    Timeout,
    /// The instance is shut down. Not retried.
    Shutdown,
    /// The call is not supported. Not retried.
    Unsupported,
    /// A defect. Not retried.
    Internal,
}

impl BackendError {
    /// The setting at `pointer` is wrong: a JSON pointer (RFC 6901) into the backend's config, such as `/tls/ca_file`;
    /// empty is the config as a whole. The host shows the line of the configuration file.
    pub fn config(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), ..Self::new(ErrorKind::Config, message) }
    }

    /// Nothing was stored and trying again may help.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Retryable, message)
    }

    /// Trying again with these bytes cannot help.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Permanent, message)
    }

    /// The backend refuses the credentials: 401, 403, `UNAUTHENTICATED`. See [`ErrorKind::Credentials`].
    pub fn credentials(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Credentials, message)
    }

    /// The backend took the batch but for `rejected_items` of its items: spans, or data points.
    pub fn partial(rejected_items: u32, message: impl Into<String>) -> Self {
        Self { rejected_items, ..Self::new(ErrorKind::Partial, message) }
    }

    /// Not finished in time; whether anything was stored is unknown.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Timeout, message)
    }

    /// The instance is shut down.
    pub fn shutdown() -> Self {
        Self::new(ErrorKind::Shutdown, "the backend is shut down")
    }

    /// The call is not supported.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A defect: of the plugin, or of the host as the plugin sees it.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The earliest time to try again that the backend asked for, from now. The host never retries before it. Part of a
    /// millisecond counts as a whole one. Means nothing unless the error is retryable or a time-out.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// A number that comes back with the next try of the batch, as [`Batch::retry_cookie`](crate::Batch): for one that was
    /// taken in part, which of its parts are done. The next try may be made on another thread, and by another instance.
    /// Means nothing unless the batch is tried again.
    #[must_use]
    pub fn with_retry_cookie(mut self, cookie: u64) -> Self {
        self.retry_cookie = cookie;
        self
    }

    /// What the error means for the batch.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What failed.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The JSON pointer of the setting at fault; empty unless [`ErrorKind::Config`].
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// How many items the backend refused; 0 unless [`ErrorKind::Partial`].
    pub fn rejected_items(&self) -> u32 {
        self.rejected_items
    }

    /// The earliest time to try again, if the backend named one.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the next try is to know; 0 if nothing.
    pub fn retry_cookie(&self) -> u64 {
        self.retry_cookie
    }

    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message, pointer: String::new(), rejected_items: 0, retry_after: None, retry_cookie: 0 }
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::Config if !self.pointer.is_empty() => write!(f, "{}: {}", self.pointer, self.message),
            ErrorKind::Partial => {
                let items = if self.rejected_items == 1 { "item" } else { "items" };
                write!(f, "{} {items} rejected: {}", self.rejected_items, self.message)
            }
            _ => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for BackendError {}

impl ErrorKind {
    /// The code of the header. There is none for a panic here: only the panic guard reports one.
    pub(crate) fn code(self) -> tracer_code {
        match self {
            Self::Config => abi::TRACER_ERR_CONFIG,
            Self::Retryable => abi::TRACER_ERR_RETRYABLE,
            Self::Permanent => abi::TRACER_ERR_PERMANENT,
            Self::Credentials => abi::TRACER_ERR_CREDENTIALS,
            Self::Partial => abi::TRACER_ERR_PARTIAL,
            Self::Timeout => abi::TRACER_ERR_TIMEOUT,
            Self::Shutdown => abi::TRACER_ERR_SHUTDOWN,
            Self::Unsupported => abi::TRACER_ERR_UNSUPPORTED,
            Self::Internal => abi::TRACER_ERR_INTERNAL,
        }
    }
}
