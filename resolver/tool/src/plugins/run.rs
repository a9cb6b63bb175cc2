//! `plugins run`: batches through a built plugin, without Kafka.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use serde_json::{Value as Json, json};
use tracer_plugin_check::{Fault, RunWanted};

use super::author;
use crate::command_line::{Format, PluginFault, PluginRun};
use crate::failure::{self, Failure};
use crate::output::{self, Shown, counted};

pub(super) fn run(asked: &PluginRun) -> Result<ExitCode, Failure> {
    let faults = asked.faults.iter().map(|fault| match fault {
        PluginFault::Retry => Fault::Retry,
        PluginFault::Slow => Fault::Slow,
        PluginFault::Fork => Fault::Fork,
    });
    let wanted = RunWanted {
        plugin: author::wanted(&asked.plugin)?,
        spans: asked.spans,
        services: asked.services,
        faults: faults.collect(),
    };
    let is_text = asked.format.format == Format::Text;
    let (mut calls, mut failed) = (Vec::new(), None);
    // At once: where it hangs is what one wants to see.
    let mut watch = |call: &Json| {
        if !is_text {
            calls.push(call.clone());
        } else if failed.is_none() {
            failed = match output::write(line(call).as_bytes()) {
                Ok(Shown::All) => None,
                Ok(Shown::Enough) => Some(Ok(())),
                Err(failure) => Some(Err(failure)),
            };
        }
    };
    let ran = tracer_plugin_check::run(&wanted, &mut watch)
        .map_err(|error| Failure::of_ours(format!("this machine does not let a plugin be run: {error}")))?;
    if let Some(Err(failure)) = failed {
        return Err(failure);
    }
    let is_well = ran.faults.is_empty() && count(&ran.verdict, "sent") == u64::from(asked.spans);
    if !is_text {
        return output::json(&json!({ "calls": calls, "verdict": ran.verdict, "faults": ran.faults }), is_well);
    }
    let mut out: String = ran.faults.iter().map(|fault| format!("error: {fault}\n")).collect();
    out.push_str(&match ran.verdict.is_null() {
        true => "it did not come to an end\n".to_owned(),
        false => verdict(&ran.verdict),
    });
    output::write(out.as_bytes())?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(failure::WRONG) })
}

/// One call: what it was, its code, its time, and of a batch what it had.
fn line(call: &Json) -> String {
    let text = |key: &str| call.get(key).and_then(Json::as_str).unwrap_or_default();
    if call.get("log").is_some() {
        return format!("log                             {}: {}\n", text("target"), text("log"));
    }
    let name = match call.get("batch") {
        Some(batch) => format!("{} {batch}", text("call")),
        None => text("call").to_owned(),
    };
    let millis = call.get("ms").and_then(Json::as_f64).unwrap_or_default();
    let mut facts = Vec::new();
    if call.get("batch").is_some() {
        facts.push(format!("{} spans, {} bytes", count(call, "spans"), count(call, "bytes")));
        if count(call, "attempt") > 1 {
            facts.push(format!("attempt {}", count(call, "attempt")));
        }
    }
    if count(call, "retry_after_ms") > 0 {
        facts.push(format!("not before {} ms", count(call, "retry_after_ms")));
    }
    if !text("said").is_empty() {
        facts.push(text("said").to_owned());
    }
    format!("{}\n", format!("{name:<19} {:<11} {millis:>7.1} ms  {}", text("code"), facts.join("; ")).trim_end())
}

fn verdict(verdict: &Json) -> String {
    let seconds = verdict.get("seconds").and_then(Json::as_f64).unwrap_or_default();
    let lost = match count(verdict, "lost") {
        0 => String::new(),
        lost => format!(", {lost} given up"),
    };
    let mut out = format!(
        "{} in {}: {} sent, {} refused{lost}; {}; {seconds:.1} s\n",
        counted(count(verdict, "spans") as usize, "span"),
        counted(count(verdict, "batches") as usize, "batch"),
        count(verdict, "sent"),
        count(verdict, "refused"),
        counted(count(verdict, "retried") as usize, "further try"),
    );
    if let Some(its_own) = verdict.get("counted_by_the_plugin").filter(|it| !it.is_null()) {
        out.push_str(&format!(
            "the plugin counts {} sent in {}{}\n",
            count(its_own, "sent"),
            counted(count(its_own, "batches") as usize, "batch"),
            if count(its_own, "sent") > count(verdict, "sent") { ": what comes again counts again" } else { "" }
        ));
    }
    out
}

fn count(of: &Json, key: &str) -> u64 {
    of.get(key).and_then(Json::as_u64).unwrap_or_default()
}
