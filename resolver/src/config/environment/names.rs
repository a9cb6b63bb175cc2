//! The variables that are looked at.

#![forbid(unsafe_code)]

use crate::config::code;
use crate::config::report::Problem;
use crate::config::suggestion::listed;
use crate::config::variables::Variables;

/// One of these, not empty, switches tracing on.
pub(super) const SWITCHES_ON: &[&str] = &[
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
    "OTEL_EXPORTER_JAEGER_ENDPOINT",
    "OTEL_EXPORTER_JAEGER_AGENT_HOST",
    "OTEL_TRACES_SAMPLER",
    "OTEL_PROPAGATORS",
];

/// These say something, but not that there is to be tracing.
const OTHERS: &[&str] = &[
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT",
    "OTEL_EXPORTER_JAEGER_AGENT_PORT",
    "OTEL_EXPORTER_JAEGER_PROTOCOL",
    "OTEL_EXPORTER_JAEGER_TIMEOUT",
    "OTEL_EXPORTER_JAEGER_USER",
    "OTEL_EXPORTER_JAEGER_PASSWORD",
];

/// Once a file is named, it alone counts. Whoever set these as well is told so, once.
pub(crate) fn note_ignored(text: &str, variables: &Variables) -> Option<Problem> {
    let is_ignored = |name: &&&str| {
        let is_set = variables.raw(name).is_some_and(|value| !value.is_empty());
        let is_referenced = ["}", ":-"].iter().any(|end| text.contains(&format!("${{env:{name}{end}")));
        is_set && !is_referenced
    };
    let ignored: Vec<&str> = SWITCHES_ON.iter().chain(OTHERS).filter(is_ignored).copied().collect();
    if ignored.is_empty() {
        return None;
    }
    let message = format!("set, but not used, because a file is named: {}", listed(ignored));
    let help = "write ${env:NAME} in the file where one of them is to count";
    Some(Problem::note(code::VARIABLES_IGNORED, message).help(help))
}
