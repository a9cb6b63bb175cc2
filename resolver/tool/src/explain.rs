//! `explain`: whose a message is and why, what holds for it, and what becomes of the trace that its headers name.

#![forbid(unsafe_code)]

mod answer;
mod malformed;
mod sampling;
mod text;

use std::process::ExitCode;

use serde_json::json;
use tracer_resolver::config::Config;
use tracer_resolver::services::{Candidate, ServiceMap, Side};

use crate::command_line::{Explain, Format};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output;
use answer::Answer;

pub(crate) fn explain(question: &Explain) -> Result<ExitCode, Failure> {
    let configuration = Configuration::of(question.file.file.as_deref());
    let Some(config) = &configuration.loaded.config else { return nothing(&configuration, question.format.format) };
    let map = ServiceMap::new(config);
    let sides = match (question.produce, question.consume) {
        (true, _) => vec![Side::Produce],
        (_, true) => vec![Side::Consume],
        _ => vec![Side::Produce, Side::Consume],
    };
    let answers: Vec<_> = sides.into_iter().map(|side| answer(question, &configuration, config, &map, side)).collect();
    let has_span = answers.iter().any(Answer::has_span);
    match question.format.format {
        Format::Json => {
            let answers: Vec<_> = answers.iter().map(Answer::as_json).collect();
            output::json(
                &json!({ "source": configuration.name(), "topic": question.topic, "answers": answers }),
                has_span,
            )
        }
        Format::Text => {
            let errors = configuration.loaded.report.has_errors();
            output::text(&text::render(&answers, errors, output::has_colors()), has_span)
        }
    }
}

fn answer<'a>(
    question: &'a Explain,
    configuration: &'a Configuration,
    config: &'a Config,
    map: &'a ServiceMap,
    side: Side,
) -> Answer {
    let candidate = Candidate {
        side,
        topic: &question.topic,
        client_id: &question.client_id,
        // A producer has none.
        group_id: question.group_id.as_deref().filter(|_| side == Side::Consume),
        bound: None,
    };
    Answer::new(configuration, config, map, &candidate, &question.headers)
}

/// There is no configuration: the report says why.
fn nothing(configuration: &Configuration, format: Format) -> Result<ExitCode, Failure> {
    let report = &configuration.loaded.report;
    match format {
        Format::Json => {
            let problems: Vec<_> = report.problems.iter().map(|problem| problem.message.clone()).collect();
            output::json(&json!({ "source": report.name, "nothing_is_traced": problems }), false)
        }
        Format::Text => {
            let shown = report.render(output::has_colors());
            output::text(&format!("{shown}{}: nothing is traced\n", report.name), false)
        }
    }
}
