//! The kinds of backends that the shop has built-in receivers for.

use crate::order::Failure;

/// A kind of backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Jaeger,
    Zipkin,
    Otlp,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Jaeger, Kind::Zipkin, Kind::Otlp];

    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Result<Kind, Failure> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| Failure::new(format!("there is no backend {name:?}: jaeger, zipkin or otlp")))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Jaeger => "jaeger",
            Kind::Zipkin => "zipkin",
            Kind::Otlp => "otlp",
        }
    }

    /// The variable that names a server of the user's own, here and in `tracing.toml`.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Kind::Jaeger => "JAEGER_ENDPOINT",
            Kind::Zipkin => "ZIPKIN_ENDPOINT",
            Kind::Otlp => "OTLP_ENDPOINT",
        }
    }

    /// The address of a receiver on this port of 127.0.0.1, as `tracing.toml` wants it.
    pub(crate) fn endpoint(self, port: u16) -> String {
        let path = if self == Kind::Zipkin { "/api/v2/spans" } else { "" };
        format!("http://127.0.0.1:{port}{path}")
    }
}
