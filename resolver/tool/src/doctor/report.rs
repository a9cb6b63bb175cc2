//! All that was tried, as lines for people or as JSON.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::step::{State, Step};
use crate::command_line::Format;
use crate::failure::Failure;
use crate::output;
use crate::terminal;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) parts: Vec<Part>,
}

/// What belongs together: the configuration, a backend, a program.
#[derive(Debug)]
pub(super) struct Part {
    /// What it is about: `backend collector`.
    pub(super) title: String,
    pub(super) steps: Vec<Step>,
}

impl Report {
    /// Joins what one cause has made in several parts: the first of them is the finding, and the others name it.
    pub(super) fn join(&mut self) {
        let mut found: Vec<(State, String, String)> = Vec::new();
        for part in &mut self.parts {
            for step in &mut part.steps {
                if !matches!(step.state, State::Failed | State::Doubtful) {
                    continue;
                }
                let cause = step.cause.as_ref().unwrap_or(&step.what);
                match found.iter().find(|(state, known, _)| *state == step.state && known == cause) {
                    Some((_, _, first)) => {
                        step.state = State::Follows;
                        step.way_out = None;
                        if *first == part.title {
                            step.what = "the same".to_owned();
                        } else {
                            step.what = format!("the same as in {first}: {cause}");
                        }
                    }
                    None => found.push((step.state, cause.clone(), part.title.clone())),
                }
            }
        }
    }

    /// Whether nothing failed.
    fn is_well(&self) -> bool {
        self.steps().all(|step| step.state != State::Failed)
    }

    /// Prints it, and says by the exit status whether all is well.
    pub(super) fn print(mut self, format: Format) -> Result<ExitCode, Failure> {
        self.join();
        match format {
            Format::Text => output::text(&self.text(output::has_colors(), terminal::width()), self.is_well()),
            Format::Json => output::json(&self.json(), self.is_well()),
        }
    }

    fn text(&self, colors: bool, width: Option<usize>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            // Writing into a `String` cannot fail.
            let _ = writeln!(text, "{}", part.title);
            for step in &part.steps {
                let word = format!("{:<7}", step.state.word());
                let word = if colors { format!("\x1b[{}m{word}\x1b[0m", color(step.state)) } else { word };
                let line = format!("  {word} {:<13} {}", step.name, step.what);
                let _ = writeln!(text, "{}", terminal::folded(&line, HANG, width));
                if let Some(way_out) = &step.way_out {
                    let line = format!("{:HANG$}→ {way_out}", "");
                    let _ = writeln!(text, "{}", terminal::folded(&line, HANG + 2, width));
                }
            }
            text.push('\n');
        }
        let failed = self.steps().filter(|step| step.state == State::Failed).count();
        let doubtful = self.steps().filter(|step| step.state == State::Doubtful).count();
        let _ = match (failed, doubtful) {
            (0, 0) => writeln!(text, "all is well"),
            (0, doubtful) => writeln!(text, "nothing failed; {doubtful} in doubt"),
            (failed, 0) => writeln!(text, "{failed} failed"),
            (failed, doubtful) => writeln!(text, "{failed} failed, {doubtful} in doubt"),
        };
        text
    }

    fn json(&self) -> Json {
        let steps = |part: &Part| -> Vec<Json> {
            let of_step = |step: &Step| json!({ "step": step.name, "state": step.state.word(), "what": step.what, "way_out": step.way_out });
            part.steps.iter().map(of_step).collect()
        };
        let parts: Vec<_> =
            self.parts.iter().map(|part| json!({ "about": part.title, "steps": steps(part) })).collect();
        json!({ "well": self.is_well(), "parts": parts })
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.parts.iter().flat_map(|part| &part.steps)
    }
}

/// The column in which begins what is said of a step.
const HANG: usize = 24;

fn color(state: State) -> u8 {
    match state {
        State::Ok => 32,
        State::Doubtful => 33,
        State::Failed => 31,
        State::Follows | State::Skipped => 2,
    }
}
