//! The process in which one rule is tried.

#![forbid(unsafe_code)]

use std::io;

use serde_json::Value as Json;

use crate::all_rules::rules;
use crate::case::Case;
use crate::desk::Desk;
use crate::stop::Stop;
use crate::{sample_run, signals};

/// Does what the judge at standard input says, and ends the process. What is registered for the end of a process is not run:
/// the rules that ask for it do that themselves.
///
/// # Errors
///
/// There is no judge.
pub fn obey() -> io::Result<std::convert::Infallible> {
    signals::as_in_a_host();
    let desk = Desk::new(signals::socket_of_stdin()?);
    let job = desk.job()?;
    let wanted = job.get("rule").and_then(Json::as_str).unwrap_or_default().to_owned();
    let case = Case::of(&job, desk.clone());
    let tried = match rules().into_iter().find(|rule| rule.name == wanted) {
        Some(rule) => (rule.run)(&case),
        None => sample_run::tried(&case, &job),
    };
    match tried {
        Ok(()) => {}
        Err(Stop::Broken(what)) => desk.broken(&what),
        Err(Stop::Skipped(why)) => desk.skipped(&why),
    }
    desk.done();
    signals::leave_at_once(0)
}
