//! Work on a message that has no span.

use std::fmt;
use std::future::Future;

use opentelemetry::{Context, ContextGuard};
use rdkafka::Message;

use super::off::Resolver;

/// Would be the processing of one consumed message. Here the context stays what it was.
#[derive(Debug)]
pub struct Processing {
    // As what it stands in for: it stays on its thread, here too.
    _current: ContextGuard,
    context: Context,
}

impl Processing {
    /// Does nothing.
    pub fn start(_message: &impl Message) -> Self {
        let context = Context::current();
        Self { _current: context.clone().attach(), context }
    }

    /// Does nothing.
    pub fn start_for(_resolver: &Resolver, _service: Option<&str>, message: &impl Message) -> Self {
        Self::start(message)
    }

    /// Does nothing.
    pub fn fail<E: fmt::Display>(&mut self, _error: &E) {}

    /// The context that was current when this began.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

/// Runs `work`.
pub fn process<T, E: fmt::Display>(
    _message: &impl Message,
    work: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    work
}
