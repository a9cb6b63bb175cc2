//! The application's work on a consumed message, as the message's span.

#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;

use opentelemetry::context::FutureExt as _;
use opentelemetry::{Context, ContextGuard};
use rdkafka::Message;
use rdkafka::message::Headers as _;
use tracer_resolver::{MessagePlace, Resolver};

/// The processing of one consumed message: its span, and current on this thread, until it is dropped.
///
/// ```no_run
/// # use rdkafka::message::BorrowedMessage;
/// # fn charge(_: &BorrowedMessage<'_>) -> Result<(), std::io::Error> { Ok(()) }
/// # fn handle(message: &BorrowedMessage<'_>) {
/// use tracer_resolver_rdkafka::Processing;
///
/// let mut processing = Processing::start(message);
/// if let Err(error) = charge(message) { // What is sent in here continues the message's trace.
///     processing.fail(&error);
/// }
/// # }
/// ```
///
/// It stays on its thread. For asynchronous work there is [`process`].
#[derive(Debug)]
pub struct Processing {
    // Detached before the span ends.
    _current: ContextGuard,
    span: tracer_resolver::Processing,
}

impl Processing {
    /// Begins, with the process's own resolver ([`Resolver::global`]). When tracing is off this does nothing.
    pub fn start(message: &impl Message) -> Self {
        Self::begin(global(), message, None)
    }

    /// Begins, with this resolver; and, when several clients of the process read the same partition, for this service.
    pub fn start_for(resolver: &Resolver, service: Option<&str>, message: &impl Message) -> Self {
        Self::begin(Some(resolver), message, service)
    }

    /// The processing failed: the span gets the status Error, the error's type and its text. The last call counts.
    pub fn fail<E: fmt::Display>(&mut self, error: &E) {
        self.span.fail(type_name::<E>(), &error.to_string());
    }

    /// The context under which the processing runs, for work handed to other threads.
    pub fn context(&self) -> &Context {
        self.span.context()
    }

    fn begin(resolver: Option<&Resolver>, message: &impl Message, service: Option<&str>) -> Self {
        let span = start(resolver, message, service);
        let _current = span.context().clone().attach();
        Self { _current, span }
    }
}

/// Runs `work` as the processing of `message`: the message's span is current whenever `work` is polled, ends with it,
/// and fails with it.
///
/// ```no_run
/// # use rdkafka::message::OwnedMessage;
/// # async fn ship(_: &OwnedMessage) -> Result<u32, std::io::Error> { Ok(1) }
/// # async fn handle(message: OwnedMessage) -> Result<u32, std::io::Error> {
/// tracer_resolver_rdkafka::process(&message, ship(&message)).await
/// # }
/// ```
///
/// The span begins now, not at the first poll.
pub fn process<T, E: fmt::Display>(
    message: &impl Message,
    work: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    let mut span = start(global(), message, None);
    let work = work.with_context(span.context().clone());
    async move {
        let result = work.await;
        if let Err(error) = &result {
            span.fail(type_name::<E>(), &error.to_string());
        }
        result
    }
}

fn global() -> Option<&'static Resolver> {
    // A refusal was given to whoever instrumented the clients.
    Resolver::global().ok()
}

fn start(resolver: Option<&Resolver>, message: &impl Message, service: Option<&str>) -> tracer_resolver::Processing {
    let Some(resolver) = resolver.filter(|resolver| resolver.is_on()) else {
        return tracer_resolver::Processing::untraced();
    };
    let place = MessagePlace { topic: message.topic(), partition: message.partition(), offset: message.offset() };
    let service = service.and_then(|name| resolver.service(name));
    let headers = message.headers();
    let count = headers.map_or(0, |headers| headers.count());
    let headers = (0..count).filter_map(|index| {
        let header = headers?.try_get(index)?;
        Some((header.key.as_bytes(), header.value))
    });
    tracer_resolver::Processing::start(resolver, place, headers, service)
}

/// The error's type as code names it, without its path and parameters: `error.type` has few values.
fn type_name<E>() -> &'static str {
    let name = std::any::type_name::<E>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}
