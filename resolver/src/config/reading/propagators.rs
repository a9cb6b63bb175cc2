//! The names of the context formats, the same in a file and in `OTEL_PROPAGATORS`.

#![forbid(unsafe_code)]

use crate::config::model::Propagator;

/// By name; `none` is none.
pub(crate) const PROPAGATORS: &[(&str, Option<Propagator>)] = &[
    ("tracecontext", Some(Propagator::TraceContext)),
    ("baggage", Some(Propagator::Baggage)),
    ("b3", Some(Propagator::B3)),
    ("b3multi", Some(Propagator::B3Multi)),
    ("jaeger", Some(Propagator::Jaeger)),
    ("datadog", Some(Propagator::Datadog)),
    ("xray", Some(Propagator::XRay)),
    ("elastic", Some(Propagator::Elastic)),
    ("skywalking", Some(Propagator::SkyWalking)),
    ("none", None),
];
