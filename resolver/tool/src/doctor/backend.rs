//! One backend, tried for real.

#![forbid(unsafe_code)]

use std::time::Duration;

use tracer_resolver::config::{Backend, Config, Problem, Report as Problems, Severity};
use tracer_resolver::{BackendTrial, TrialOutcome, TrialSpan};

use super::address::Addresses;
use super::network;
use super::step::Step;
use crate::configuration::Configuration;
use crate::place::file_and_line;
use crate::plugin_warnings;

/// A backend that needs longer for one span is told to be slow.
const SLOW: Duration = Duration::from_secs(1);

/// Its plugin, its settings, the way to it, and one span.
pub(super) fn steps(configuration: &Configuration, config: &Config, backend: &Backend, span: &TrialSpan) -> Vec<Step> {
    let mut problems = Problems::new(configuration.name(), configuration.text());
    let Some(trial) = configuration.plugin_search().trial(config, backend, &mut problems) else {
        return refused(&problems);
    };
    let mut steps = vec![Step::ok("plugin", trial.plugin()), Step::ok("settings", "the plugin takes them")];
    // Beside what the plugin itself may say later, as of a file that others may change.
    steps.extend(plugin_warnings::taken().into_iter().map(|line| Step::doubtful("plugin", line)));
    let addresses = Addresses::of(&backend.plugin, &backend.config);
    steps.extend(way(&addresses));
    steps.extend(sent(&trial, span, &addresses));
    steps
}

/// The way to it: name and port, or those of the proxy.
fn way(addresses: &Addresses) -> Vec<Step> {
    match (&addresses.endpoint, &addresses.proxy) {
        (_, Some(proxy)) => network::steps(proxy, "proxy"),
        (Some(endpoint), None) => network::steps(endpoint, "endpoint"),
        (None, None) => {
            vec![Step::skipped("name", "its settings name no host"), Step::skipped("port", "its settings name no host")]
        }
    }
}

fn sent(trial: &BackendTrial, span: &TrialSpan, addresses: &Addresses) -> Vec<Step> {
    let (outcome, time) = trial.send(span);
    let took = format!("{:.3} s", time.as_secs_f64());
    let said = plugin_warnings::taken();
    let trace = format!("trace {} of service `{}`", span.trace_id, span.service());
    let step = match outcome {
        TrialOutcome::Exported if addresses.endpoint.as_ref().is_some_and(|endpoint| endpoint.is_udp) => {
            Step::doubtful("span", format!("sent in {took}; whether it arrived, nobody can say"))
                .way_out(format!("look for {trace}"))
        }
        TrialOutcome::Exported => match said.iter().find(|line| line.contains(NO_ANSWER)) {
            Some(line) => Step::failed("span", line.clone()).way_out("correct `endpoint`"),
            None if time > SLOW => Step::doubtful("span", format!("taken, but only after {took}: {trace}"))
                .way_out("a backend this slow holds batches up: look at its load, or give it more `concurrency`"),
            None => Step::ok("span", format!("taken in {took}: {trace}")),
        },
        TrialOutcome::Refused(why) => {
            Step::failed("span", format!("the request was taken, and the span in it refused: {why}"))
        }
        TrialOutcome::NotCreated(why) => Step::failed("span", format!("the plugin cannot begin: {why}")),
        TrialOutcome::Failed(why) | TrialOutcome::Rejected(why) => Step::failed("span", why),
        other => Step::failed("span", format!("{other:?}")),
    };
    let mut steps = vec![step];
    steps.extend(said.into_iter().filter(|line| !line.contains(NO_ANSWER)).map(|line| Step::doubtful("span", line)));
    steps
}

/// The plugin was not found, or does not take its settings.
fn refused(problems: &Problems) -> Vec<Step> {
    let of = |problem: &Problem| {
        let is_about_settings = problem.code == REJECTED_SETTINGS;
        let name = if is_about_settings { "settings" } else { "plugin" };
        let step = match problem.severity {
            Severity::Error => Step::failed(name, placed(problems, problem)),
            _ => Step::doubtful(name, placed(problems, problem)),
        };
        Step { way_out: problem.help.clone(), ..step }
    };
    let mut steps: Vec<_> = problems.problems.iter().map(of).collect();
    for rest in ["name", "port", "span"] {
        steps.push(Step::skipped(rest, "the plugin is not there to try it"));
    }
    steps
}

/// A problem with its line.
pub(super) fn placed(problems: &Problems, problem: &Problem) -> String {
    match &problem.span {
        Some(span) if !problems.text.is_empty() => {
            format!("{}: {}", file_and_line(&problems.name, &problems.text, span), problem.message)
        }
        _ => problem.message.clone(),
    }
}

/// The code of what a plugin says of its settings.
const REJECTED_SETTINGS: &str = "P107";
/// With these words a plugin tells of an answer that says nothing, although its status is a good one.
const NO_ANSWER: &str = "is no answer of a backend";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_placed_at_its_line() {
        let mut problems = Problems::new("t.toml", "version = 1\nfoo = 2\n");
        problems.push(Problem { span: Some(12..15), ..Problem::error(REJECTED_SETTINGS, "no") });
        problems.push(Problem::error("P101", "not there").help("install it"));
        let steps = refused(&problems);
        assert_eq!((steps[0].name, steps[0].what.as_str()), ("settings", "t.toml:2: no"));
        assert_eq!((steps[1].name, steps[1].way_out.as_deref()), ("plugin", Some("install it")));
    }
}
