//! What a call of a plugin returned, made safe to read and print.

#![forbid(unsafe_code)]

use std::time::Duration;

use tracer_plugin_api::abi::{
    TRACER_ERR_CONFIG, TRACER_ERR_CREDENTIALS, TRACER_ERR_INTERNAL, TRACER_ERR_PANIC, TRACER_ERR_PARTIAL,
    TRACER_ERR_PERMANENT, TRACER_ERR_RETRYABLE, TRACER_ERR_SHUTDOWN, TRACER_ERR_TIMEOUT, TRACER_ERR_UNSUPPORTED,
    TRACER_OK, code_name, tracer_code, tracer_error,
};

use super::c_text;

/// See the module.
#[derive(Debug)]
pub(super) struct Reply {
    /// One of the codes that the function may return.
    pub(super) code: tracer_code,
    /// A JSON pointer, or what the plugin takes for one.
    pub(super) field: String,
    /// One line, never empty. Not redacted.
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    pub(super) rejected_items: u32,
    pub(super) retry_cookie: u64,
}

/// A function of the plugin's that returns a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Validate,
    Create,
    ExportBatch,
    Flush,
    Shutdown,
    Stats,
}

impl Function {
    fn name(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Create => "create",
            Self::ExportBatch => "export_batch",
            Self::Flush => "flush",
            Self::Shutdown => "shutdown",
            Self::Stats => "stats",
        }
    }

    /// The table CODES of the header.
    fn may_return(self, code: tracer_code) -> bool {
        match code {
            TRACER_OK | TRACER_ERR_PANIC | TRACER_ERR_INTERNAL => true,
            TRACER_ERR_CONFIG => matches!(self, Self::Validate | Self::Create),
            TRACER_ERR_RETRYABLE | TRACER_ERR_PERMANENT | TRACER_ERR_PARTIAL | TRACER_ERR_CREDENTIALS => {
                self == Self::ExportBatch
            }
            TRACER_ERR_TIMEOUT => matches!(self, Self::ExportBatch | Self::Flush | Self::Shutdown),
            TRACER_ERR_SHUTDOWN => matches!(self, Self::ExportBatch | Self::Flush | Self::Shutdown),
            TRACER_ERR_UNSUPPORTED => {
                matches!(self, Self::Validate | Self::Create | Self::ExportBatch | Self::Stats)
            }
            _ => false,
        }
    }
}

impl Reply {
    /// What `function` returned, with what it wrote into `error`. A code that it may not return is an internal error.
    pub(super) fn new(function: Function, code: tracer_code, error: &tracer_error) -> Self {
        let said = c_text::printable(c_text::before_nul(&error.message), error.message.len());
        let (code, message) = if !function.may_return(code) {
            let returned = match code_name(code) {
                Some(name) => format!("its {} returned {name}, which it may not", function.name()),
                None => format!("its {} returned the unknown code {code}", function.name()),
            };
            (TRACER_ERR_INTERNAL, if said.is_empty() { returned } else { format!("{returned}: {said}") })
        } else if said.is_empty() {
            let name = code_name(code).unwrap_or_default();
            (code, format!("its {} returned {name}, without a message", function.name()))
        } else {
            let message = match code {
                TRACER_ERR_TIMEOUT => format!("timed out: {said}"),
                TRACER_ERR_SHUTDOWN => format!("the plugin says that it is shut down: {said}"),
                TRACER_ERR_UNSUPPORTED => format!("not supported by the plugin: {said}"),
                TRACER_ERR_INTERNAL => format!("internal error of the plugin: {said}"),
                _ => said,
            };
            (code, message)
        };
        Self {
            code,
            field: c_text::printable(c_text::before_nul(&error.field), error.field.len()),
            message,
            retry_after: (error.retry_after_ms > 0).then(|| Duration::from_millis(u64::from(error.retry_after_ms))),
            rejected_items: error.rejected_items,
            retry_cookie: error.retry_cookie,
        }
    }

    pub(super) fn internal(message: &str) -> Self {
        Self {
            code: TRACER_ERR_INTERNAL,
            field: String::new(),
            message: message.to_owned(),
            retry_after: None,
            rejected_items: 0,
            retry_cookie: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTIONS: [Function; 6] = [
        Function::Validate,
        Function::Create,
        Function::ExportBatch,
        Function::Flush,
        Function::Shutdown,
        Function::Stats,
    ];

    fn reply(function: Function, code: tracer_code, message: &str) -> Reply {
        let mut error = tracer_error { retry_after_ms: 7, retry_cookie: 9, ..tracer_error::new() };
        error.message[..message.len()].copy_from_slice(message.as_bytes());
        Reply::new(function, code, &error)
    }

    #[test]
    fn the_header_s_table_of_codes_is_what_the_host_goes_by() {
        let header = include_str!("../../../plugins/api/include/tracer_plugin.h");
        let table = header.split_once(" * CODES (").unwrap().1.split_once(" *     - ").unwrap().0;
        let mut rows = table.lines().skip(1).filter_map(|line| line.strip_prefix(" *     "));
        let columns = rows.next().unwrap();
        assert_eq!(
            columns.split_whitespace().collect::<Vec<_>>(),
            ["code", "validate", "create", "export_batch", "flush", "shutdown", "stats"]
        );
        let mut codes = 0;
        for (code, row) in rows.enumerate() {
            let name = row.split_whitespace().next().unwrap();
            assert_eq!(code_name(code as tracer_code), Some(name));
            for function in FUNCTIONS {
                let at = columns.find(function.name()).unwrap();
                let may = !row[at..].starts_with('-');
                assert_eq!(function.may_return(code as tracer_code), may, "{name} of {function:?}");
            }
            codes += 1;
        }
        assert_eq!((codes, code_name(codes)), (11, None), "each code has a row");
    }

    #[test]
    fn a_code_that_a_function_may_not_return_is_an_internal_error_that_names_both() {
        for function in FUNCTIONS {
            for code in -1..=12 {
                let reply = reply(function, code, "so it is");
                if function.may_return(code) {
                    assert_eq!(reply.code, code);
                    assert!(reply.message.ends_with("so it is"), "{}", reply.message);
                } else {
                    assert_eq!(reply.code, TRACER_ERR_INTERNAL, "{code} of {function:?}");
                    let what = match code_name(code) {
                        Some(name) => format!("its {} returned {name}, which it may not: so it is", function.name()),
                        None => format!("its {} returned the unknown code {code}: so it is", function.name()),
                    };
                    assert_eq!(reply.message, what);
                }
                assert_eq!((reply.retry_after, reply.retry_cookie), (Some(Duration::from_millis(7)), 9));
            }
        }
    }

    #[test]
    fn without_a_message_the_call_and_its_code_are_named() {
        for (function, code, message) in [
            (Function::ExportBatch, TRACER_ERR_RETRYABLE, "its export_batch returned RETRYABLE, without a message"),
            (Function::Shutdown, TRACER_ERR_TIMEOUT, "its shutdown returned TIMEOUT, without a message"),
            (Function::Create, TRACER_ERR_PARTIAL, "its create returned PARTIAL, which it may not"),
            (Function::Validate, 77, "its validate returned the unknown code 77"),
        ] {
            assert_eq!(reply(function, code, "").message, message);
        }
    }
}
