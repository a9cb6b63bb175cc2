//! What is called.

/// The service of one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Traces,
    Metrics,
}

impl Service {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Service::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Service::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }
}
