//! The configuration that is in effect here, and all of its backends.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use tracer_resolver::TrialSpan;
use tracer_resolver::config::{Config, Loaded, Origin, Report as Problems, Severity};

use super::backend;
use super::report::{Part, Report};
use super::step::{State, Step};
use crate::command_line::Format;
use crate::configuration::Configuration;
use crate::failure::{Failure, MISUNDERSTOOD};
use crate::given_file::Kind;
use crate::output::counted;
use crate::plugin_warnings;

/// The span's name, and the service that it is of unless another is asked for.
const PURPOSE: &str = "tracer-interceptors doctor";
const SERVICE: &str = "tracer-interceptors";

/// The configuration, and each backend.
pub(super) fn parts(file: Option<&Path>) -> Vec<Part> {
    plugin_warnings::collect();
    let configuration = Configuration::of(file);
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
pub(crate) fn send(
    file: Option<&Path>,
    name: &str,
    service: Option<&str>,
    format: Format,
) -> Result<ExitCode, Failure> {
    if let Some(what) = file_in_place_of_a_backend(name, file) {
        return Err(Failure { status: MISUNDERSTOOD, what });
    }
    plugin_warnings::collect();
    let configuration = Configuration::of(file);
    let loaded = &configuration.loaded;
    let Some(config) = &loaded.config else {
        let part = Part { title: "configuration".to_owned(), steps: steps(loaded) };
        return Report { parts: vec![part] }.print(format);
    };
    let Some(backend) = config.backends.iter().find(|backend| backend.name == name) else {
        return Err(Failure { status: MISUNDERSTOOD, what: unknown_backend(config, name) });
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
            steps.extend(problems(&loaded.report, true));
            let has_failed = steps.iter().any(|step| step.state == State::Failed);
            return steps
                .into_iter()
                .chain([Step::failed("read", format!("{}: tracing is off", loaded.report.name)).after(has_failed)])
                .collect();
        }
    }
    steps.extend(problems(&loaded.report, false));
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
        let way_out = match problem.code {
            NOTHING_CONFIGURED => {
                problem.help.as_ref().map(|help| format!("{help}; or name the file behind this word"))
            }
            _ => problem.help.clone(),
        };
        Step { way_out, ..step }.after(problem.follows)
    })
}

/// The engine's code for an environment that says nothing.
const NOTHING_CONFIGURED: &str = "C400";

/// `doctor collector`: what was meant, if the environment's configuration has a backend of this name.
pub(super) fn backend_in_place_of_a_file(name: &Path) -> Option<String> {
    let name = name.to_str()?;
    let loaded = Configuration::of(None).loaded;
    loaded.config?.backends.iter().find(|backend| backend.name == name)?;
    Some(format!(
        "{name} is a backend and no file: `tracer-interceptors send-test {name}` tries it alone, `doctor` all"
    ))
}

/// `send-test tracing.toml`: what was meant.
fn file_in_place_of_a_backend(name: &str, file: Option<&Path>) -> Option<String> {
    let given = Path::new(name);
    let kind = Kind::of(given)?;
    if !matches!(kind, Kind::Configuration | Kind::OldConfiguration) {
        return Some(format!("{name} is {}, and no backend: {}", kind.name(), kind.way_out(given)));
    }
    let of_file = Configuration::of(Some(given)).loaded.config;
    let of_file = of_file.iter().flat_map(|config| &config.backends).map(|backend| backend.name.clone());
    let backends: Vec<_> = match file.and_then(Path::to_str) {
        Some(backend) => vec![backend.to_owned()],
        None => of_file.collect(),
    };
    let lines = backends.iter().map(|backend| format!("tracer-interceptors send-test {backend} {name}"));
    Some(format!("{name} is {}; the backend comes first: {}", kind.name(), lines.collect::<Vec<_>>().join(", or ")))
}

/// What is said of a name that no backend has.
fn unknown_backend(config: &Config, name: &str) -> String {
    let names = || config.backends.iter().map(|backend| backend.name.as_str());
    let known: Vec<_> = names().map(|known| format!("`{known}`")).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let near = names().map(|known| (strsim::osa_distance(known, name), known)).min();
    let near = near.filter(|(distance, _)| *distance <= (name.chars().count() / 3).max(1));
    let near = near.map_or_else(String::new, |(_, near)| format!("; did you mean `{near}`?"));
    format!("there is no backend `{name}` in {} (there are: {known}){near}", origin(config))
}

fn origin(config: &Config) -> String {
    match &config.origin {
        Origin::File(path) | Origin::LegacyFile(path) | Origin::Once(path) => path.display().to_string(),
        Origin::Environment => "the environment".to_owned(),
    }
}
