//! The configuration that is in effect here, and all of its backends.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use tracer_resolver::TrialSpan;
use tracer_resolver::config::{Config, Loaded, Origin, Report as Problems, Severity};

use super::backend;
use super::report::{Part, Report};
use super::step::Step;
use crate::command_line::Format;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::counted;
use crate::plugin_warnings;

/// The span's name, and the service that it is of unless another is asked for.
const PURPOSE: &str = "tracer-interceptors doctor";
const SERVICE: &str = "tracer-interceptors";

/// The configuration, and each backend.
pub(super) fn parts() -> Vec<Part> {
    plugin_warnings::collect();
    let configuration = Configuration::of(None);
    let loaded = &configuration.loaded;
    let mut parts = vec![Part { title: "configuration".to_owned(), steps: steps(loaded) }];
    let Some(config) = &loaded.config else { return parts };
    for backend in &config.backends {
        let span = TrialSpan::new(config, SERVICE, PURPOSE);
        let steps = backend::steps(&configuration, config, backend, &span);
        parts.push(Part { title: format!("backend {}", backend.name), steps });
    }
    parts
}

/// One span of `service` to one backend; prints its trace and where it went.
pub(crate) fn send(name: &str, service: Option<&str>, format: Format) -> Result<ExitCode, Failure> {
    plugin_warnings::collect();
    let configuration = Configuration::of(None);
    let loaded = &configuration.loaded;
    let Some(config) = &loaded.config else {
        let part = Part { title: "configuration".to_owned(), steps: steps(loaded) };
        return Report { parts: vec![part] }.print(format);
    };
    let Some(backend) = config.backends.iter().find(|backend| backend.name == name) else {
        let known: Vec<_> = config.backends.iter().map(|backend| format!("`{}`", backend.name)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let what = format!("there is no backend `{name}` in {} (there are: {known})", origin(config));
        return Err(Failure { status: crate::failure::MISUNDERSTOOD, what });
    };
    let service = service.or(config.services.first().map(|service| service.name.as_str())).unwrap_or(SERVICE);
    let span = TrialSpan::new(config, service, "tracer-interceptors send-test");
    let steps = backend::steps(&configuration, config, backend, &span);
    Report { parts: vec![Part { title: format!("backend {name}"), steps }] }.print(format)
}

fn steps(loaded: &Loaded) -> Vec<Step> {
    let mut steps = Vec::new();
    match &loaded.config {
        Some(config) => {
            let what = format!(
                "{}: {}, {}",
                origin(config),
                counted(config.services.len(), "service"),
                counted(config.backends.len(), "backend")
            );
            steps.push(Step::ok("read", what));
            if config.backends.is_empty() {
                let step = Step::failed("backends", "no backend is there, so no span goes anywhere");
                steps.push(step.way_out("add a [backends.NAME], and name it under `export`"));
            }
        }
        None => {
            steps.push(Step::failed(
                "read",
                format!("{}: tracing is off, and the next line says why", loaded.report.name),
            ));
        }
    }
    steps.extend(problems(&loaded.report, loaded.config.is_none()));
    steps
}

/// What is wrong with the text itself. `is_off`: what would only be worth knowing is then the reason.
fn problems(report: &Problems, is_off: bool) -> impl Iterator<Item = Step> + '_ {
    report.problems.iter().map(move |problem| {
        let what = format!("{} [{}]", backend::placed(report, problem), problem.code);
        let step = match problem.severity {
            Severity::Error => Step::failed("problem", what),
            Severity::Warning => Step::doubtful("problem", what),
            _ if is_off => Step::failed("problem", what),
            _ => Step::skipped("note", what),
        };
        Step { way_out: problem.help.clone(), ..step }
    })
}

fn origin(config: &Config) -> String {
    match &config.origin {
        Origin::File(path) | Origin::LegacyFile(path) | Origin::Once(path) => path.display().to_string(),
        Origin::Environment => "the environment".to_owned(),
    }
}
