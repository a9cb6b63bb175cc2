//! What a call of a plugin returned, made safe to read and print.

#![forbid(unsafe_code)]

use std::time::Duration;

use tracer_plugin_api::abi::{
    TRACER_ERR_CONFIG, TRACER_ERR_INTERNAL, TRACER_ERR_PANIC, TRACER_ERR_PARTIAL, TRACER_ERR_PERMANENT,
    TRACER_ERR_RETRYABLE, TRACER_ERR_SHUTDOWN, TRACER_ERR_TIMEOUT, TRACER_ERR_UNSUPPORTED, TRACER_OK, tracer_code,
    tracer_error,
};

use super::c_text;

/// See the module.
#[derive(Debug)]
pub(super) struct Reply {
    /// One of the codes of ABI 1.0.
    pub(super) code: tracer_code,
    /// A JSON pointer, or what the plugin takes for one.
    pub(super) field: String,
    /// One line, never empty. Not redacted.
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    pub(super) rejected_items: u32,
}

impl Reply {
    pub(super) fn new(code: tracer_code, error: &tracer_error) -> Self {
        let said = c_text::printable(c_text::before_nul(&error.message), error.message.len());
        let said = if said.is_empty() { "the plugin gives no reason".to_owned() } else { said };
        let (code, message) = match code {
            TRACER_OK | TRACER_ERR_CONFIG | TRACER_ERR_RETRYABLE | TRACER_ERR_PERMANENT | TRACER_ERR_PARTIAL => {
                (code, said)
            }
            TRACER_ERR_TIMEOUT => (code, format!("timed out: {said}")),
            TRACER_ERR_SHUTDOWN => (code, format!("the plugin says that it is shut down: {said}")),
            TRACER_ERR_PANIC => (code, said),
            TRACER_ERR_UNSUPPORTED => (code, format!("not supported by the plugin: {said}")),
            TRACER_ERR_INTERNAL => (code, format!("internal error of the plugin: {said}")),
            unknown => (TRACER_ERR_INTERNAL, format!("the plugin returned the unknown code {unknown}: {said}")),
        };
        Self {
            code,
            field: c_text::printable(c_text::before_nul(&error.field), error.field.len()),
            message,
            retry_after: (error.retry_after_ms > 0).then(|| Duration::from_millis(u64::from(error.retry_after_ms))),
            rejected_items: error.rejected_items,
        }
    }

    pub(super) fn internal(message: &str) -> Self {
        let message = message.to_owned();
        Self { code: TRACER_ERR_INTERNAL, field: String::new(), message, retry_after: None, rejected_items: 0 }
    }
}
