//! Whether the variables ask for tracing, and which of them do not count.

#![forbid(unsafe_code)]

use crate::config::report::code;
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::listed;
use crate::config::source::variables::{Variable, Variables};
use crate::config::source::yes_or_no::{DISABLE, is_yes};

/// Why there is no tracing in this process, whatever else configures it: whoever runs a program has the last word.
pub(crate) fn disabled(variables: &Variables) -> Option<Problem> {
    DISABLE.iter().find(|name| is_yes(variables, name)).map(|name| says_so(name))
}

/// Why no variable asks for tracing, where none does.
pub(crate) fn off(variables: &Variables) -> Option<Problem> {
    // OpenTelemetry: a boolean is `true` in any case, and all else is false.
    if matches!(variables.text(SDK_DISABLED), Variable::Text(text) if text.trim().eq_ignore_ascii_case("true")) {
        return Some(says_so(SDK_DISABLED));
    }
    if is_on(variables) || is_any_set(&["JAEGER_SERVICE_NAME"], variables) {
        return None;
    }
    let help = "point INTERCEPTORS_CONFIG_FILE at a file, or set OTEL_SERVICE_NAME or another OTEL_* variable";
    Some(Problem::note(code::NOTHING_CONFIGURED, "tracing is off: nothing configures it").help(help))
}

/// Whether an `OTEL_*` variable says that there is to be tracing.
pub(crate) fn is_on(variables: &Variables) -> bool {
    is_any_set(SWITCHES_ON, variables)
}

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
    let message = format!("set, but not used, because a file is named: {}", listed(&ignored));
    let help = if ignored.contains(&SDK_DISABLED) {
        "write ${env:NAME} in the file where one of them is to count; INTERCEPTORS_DISABLED=1 turns tracing off"
    } else {
        "write ${env:NAME} in the file where one of them is to count"
    };
    Some(Problem::note(code::VARIABLES_IGNORED, message).help(help))
}

fn says_so(name: &str) -> Problem {
    Problem::note(code::SWITCHED_OFF_BY_VARIABLE, format!("tracing is off: {name} says so"))
}

fn is_any_set(names: &[&str], variables: &Variables) -> bool {
    names.iter().any(|name| variables.text(name) != Variable::Unset)
}

/// Without a file only: with one, it may be meant for the application's own OpenTelemetry.
const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";

/// One of these, not empty, switches tracing on.
const SWITCHES_ON: &[&str] = &[
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
    SDK_DISABLED,
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_METRICS_EXPORTER",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_EXPORTER_PROMETHEUS_HOST",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
    "OTEL_SEMCONV_STABILITY_OPT_IN",
    "OTEL_SEMCONV_STABILITY_PREVIEW",
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
