//! The file's own `[[test]]` blocks: what it says that it is to mean, against what it means.

#![forbid(unsafe_code)]

use std::ops::Range;

use tracer_resolver::config::{self, Config, Expectation, ExpectedSide, Problem, Settings, Trace};
use tracer_resolver::services::{Candidate, Explanation, Selection, ServiceMap, Side, Verdict};

use crate::configuration::Configuration;
use crate::near_miss;
use crate::rule_place;
use crate::toml_text;

/// How many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

/// Runs every test, and adds those that fail to the report.
pub(crate) fn run(configuration: &mut Configuration) -> Tally {
    let mut tally = Tally::default();
    // Read whatever else is wrong, so that all mistakes are told in one run.
    let names = |section: &str| -> Vec<&str> {
        let written = configuration.written.written.iter();
        let names = written.filter_map(|written| match written.path.as_slice() {
            [top, name] if top == section => Some(name.as_str()),
            _ => None,
        });
        names.collect()
    };
    let (tests, mut problems) = config::expectations(configuration.text(), &names("services"), &names("backends"));
    // Of a file that is not to be used at all, nothing can be asked.
    let config = configuration.loaded.config.as_ref().filter(|_| configuration.is_toml());
    let Some(config) = config else {
        configuration.loaded.report.problems.extend(problems);
        return tally;
    };
    let map = ServiceMap::new(config);
    for test in &tests {
        let before = problems.len();
        let sides = match test.side {
            Some(ExpectedSide::Produce) => vec![Side::Produce],
            Some(ExpectedSide::Consume) => vec![Side::Consume],
            None => vec![Side::Produce, Side::Consume],
        };
        for side in sides {
            // A test of both sides that fails on both for one reason is told once.
            if problems.len() == before {
                Asked { test, side, config, map: &map, configuration }.judge(&mut problems);
            }
        }
        if problems.len() == before { tally.passed += 1 } else { tally.failed += 1 }
    }
    configuration.loaded.report.problems.extend(problems);
    tally
}

/// One test, on one side.
struct Asked<'a> {
    test: &'a Expectation,
    side: Side,
    config: &'a Config,
    map: &'a ServiceMap,
    configuration: &'a Configuration,
}

impl Asked<'_> {
    fn judge(&self, problems: &mut Vec<Problem>) {
        let test = self.test;
        let candidate = Candidate {
            side: self.side,
            topic: &test.topic.value,
            client_id: test.client_id.as_deref().unwrap_or("rdkafka"),
            group_id: test.group_id.as_deref().filter(|_| self.side == Side::Consume),
            bound: None,
        };
        let explanation = self.map.explain(&candidate);
        let (came, settings) = match explanation.selection {
            Selection::Service { service, settings, .. } => (self.name(service), Some(settings)),
            Selection::Excluded | Selection::Unmatched => (None, None),
        };
        if let Some(expected) = &test.service {
            if expected.value.as_deref() != came {
                problems.push(self.other_service(expected, came, &candidate, &explanation));
                return; // What else differs follows from that.
            }
        }
        self.judge_settings(settings, problems);
    }

    fn judge_settings(&self, settings: Option<&Settings>, problems: &mut Vec<Problem>) {
        let test = self.test;
        let mut differ = |span: &Range<usize>, key: &str, expected: String, came: Option<String>| {
            let came = came.unwrap_or_else(|| "nothing: it belongs to no service".to_owned());
            let message = format!("test failed: {} has {key} = {came}, not {expected}", self.what());
            let problem = Problem::error(FAILED, message).at(span.clone(), "expected here");
            problems.push(problem.help(ASK));
        };
        if let Some(expected) = &test.trace {
            // What belongs to no service is as good as off.
            let came = settings.map_or(Trace::Off, |settings| settings.trace);
            if came != expected.value {
                let (expected_text, came) = (toml_text::trace(expected.value), toml_text::trace(came));
                differ(&expected.span, "trace", expected_text.to_owned(), Some(came.to_owned()));
            }
        }
        if let Some(expected) = &test.sampler {
            let came = settings.map(|settings| settings.sampler);
            if came != Some(expected.value) {
                let expected_text = toml_text::sampler(expected.value);
                differ(&expected.span, "sampler", expected_text, came.map(toml_text::sampler));
            }
        }
        if let Some(expected) = &test.export {
            let names = |settings: &Settings| -> Vec<String> {
                let backends = settings.export.iter().filter_map(|index| self.config.backends.get(*index));
                backends.map(|backend| backend.name.clone()).collect()
            };
            let came = settings.map(names);
            let sorted = |names: &[String]| {
                let mut names = names.to_vec();
                names.sort();
                names
            };
            if came.as_deref().map(sorted) != Some(sorted(&expected.value)) {
                let written = |names: &[String]| toml_text::list(names.iter().map(|name| toml_text::string(name)));
                differ(&expected.span, "export", written(&expected.value), came.as_deref().map(written));
            }
        }
    }

    fn other_service(
        &self,
        expected: &config::Placed<Option<String>>,
        came: Option<&str>,
        candidate: &Candidate<'_>,
        explanation: &Explanation<'_>,
    ) -> Problem {
        let to = |name: Option<&str>| name.map_or("no service".to_owned(), |name| format!("service `{name}`"));
        let message =
            format!("test failed: {} belongs to {}, not to {}", self.what(), to(came), to(expected.value.as_deref()));
        let mut problem = Problem::error(FAILED, message).at(expected.span.clone(), "expected here");
        let winner = explanation.rules.iter().find(|rule| rule.verdict == Verdict::Won);
        if let Some(winner) = winner {
            if let Some(rule) = rule_place::of(self.configuration, self.config, winner) {
                problem = problem.also(rule, "this rule takes it");
            }
        } else if let (Some(_), Some(default)) = (came, explanation.default_service) {
            let place = self.configuration.written.at(&["default_service"]).map(|written| written.span.clone());
            let name = self.name(default).unwrap_or_default();
            problem = match place {
                Some(place) => problem.also(place, format!("no rule claims it, and `{name}` takes what is left")),
                None => problem,
            };
        }
        let near = near_miss::nearest(self.config, candidate, explanation);
        let near = near
            .into_iter()
            .find(|near| expected.value.as_deref().is_none_or(|name| self.name(near.rule.service) == Some(name)));
        match (explanation.selection, near) {
            (Selection::Excluded, _) => problem.help(format!("`exclude` leaves it out; {ASK}")),
            (_, Some(near)) if winner.is_none() || expected.value.is_some() => {
                problem.help(format!("{}; {ASK}", near.words(self.config)))
            }
            _ => problem.help(ASK),
        }
    }

    fn name(&self, service: usize) -> Option<&str> {
        self.config.services.get(service).map(|service| service.name.as_str())
    }

    /// `a message sent to orders`.
    fn what(&self) -> String {
        let side = match self.side {
            Side::Produce => "sent to",
            Side::Consume => "received from",
        };
        format!("a message {side} `{}`", self.test.topic.value)
    }
}

const ASK: &str = "`tracer-interceptors explain` says why";
/// A test of the file's own that failed.
const FAILED: &str = "C600";
