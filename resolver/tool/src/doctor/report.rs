//! All that was tried, as lines for people or as JSON.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::step::{State, Step};
use crate::command_line::Format;
use crate::failure::Failure;
use crate::output;

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
    /// Whether nothing failed.
    fn is_well(&self) -> bool {
        self.steps().all(|step| step.state != State::Failed)
    }

    /// Prints it, and says by the exit status whether all is well.
    pub(super) fn print(&self, format: Format) -> Result<ExitCode, Failure> {
        match format {
            Format::Text => output::text(&self.text(output::has_colors()), self.is_well()),
            Format::Json => output::json(&self.json(), self.is_well()),
        }
    }

    fn text(&self, colors: bool) -> String {
        let mut text = String::new();
        for part in &self.parts {
            // Writing into a `String` cannot fail.
            let _ = writeln!(text, "{}", part.title);
            for step in &part.steps {
                let word = format!("{:<7}", step.state.word());
                let word = if colors { format!("\x1b[{}m{word}\x1b[0m", color(step.state)) } else { word };
                let _ = writeln!(text, "  {word} {:<13} {}", step.name, step.what);
                if let Some(way_out) = &step.way_out {
                    let _ = writeln!(text, "          {:<13} → {way_out}", "");
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

fn color(state: State) -> u8 {
    match state {
        State::Ok => 32,
        State::Doubtful => 33,
        State::Failed => 31,
        State::Skipped => 2,
    }
}
