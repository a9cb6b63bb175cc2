//! `plugins check`: a built plugin against the contract.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value as Json, json};
use tracer_plugin_check::{Checked, Finding, Outcome, Step, Wanted, rules};

use super::author;
use crate::command_line::{Format, PluginCheck};
use crate::failure::{self, Failure};
use crate::output::{self, Progress, Shown, counted};

pub(super) fn check(asked: &PluginCheck) -> Result<ExitCode, Failure> {
    let mut wanted = author::wanted(&asked.plugin)?;
    let known: Vec<_> = rules().iter().map(|rule| rule.name).collect();
    if let Some(unknown) = asked.rules.iter().find(|name| !known.contains(&name.as_str())) {
        let what = format!("there is no rule `{unknown}`; there are: {}", known.join(", "));
        return Err(Failure { status: failure::MISUNDERSTOOD, what });
    }
    wanted.rules.clone_from(&asked.rules);
    let progress = Progress::new();
    let mut shown = Ok(Shown::All);
    // What is found is shown at once: a plugin whose every call waits takes minutes.
    let checked = tracer_plugin_check::check(&wanted, &mut |step| match step {
        Step::Tries { rule, number, of } => progress.show(&format!("{number} of {of}: {rule}")),
        Step::Found(finding) => {
            progress.show("");
            // Whoever has read enough, or cannot be written to, is told no more.
            if asked.format.format == Format::Text && matches!(shown, Ok(Shown::All)) {
                shown = output::write(broken_as_text(finding).as_bytes());
            }
        }
    })
    .map_err(|error| Failure::of_ours(format!("this machine does not let a plugin be checked: {error}")))?;
    shown?;
    let is_well = !checked.findings.iter().any(|finding| matches!(finding.outcome, Outcome::Broken(_)));
    if asked.format.format == Format::Json {
        return output::json(&as_json(&asked.plugin.file.to_string_lossy(), &checked), is_well);
    }
    output::text(&verdict_as_text(&asked.plugin.file.to_string_lossy(), &checked), is_well)
}

/// What a built plugin calls itself; asked in a process of its own. `None`: it does not come to that.
pub(super) fn type_name_of(file: &Path) -> Option<String> {
    let wanted = Wanted {
        file: file.to_owned(),
        config: None,
        hidden_words: author::HIDDEN.to_vec(),
        rules: vec!["table".to_owned()],
    };
    let checked = tracer_plugin_check::check(&wanted, &mut |_| {}).ok()?;
    text(&checked.about, "type_name").map(str::to_owned)
}

/// In the process of one rule. What it finds it says to whoever started it, and never returns.
pub(super) fn one_rule() -> Result<ExitCode, Failure> {
    match tracer_plugin_check::obey() {
        Ok(never) => match never {},
        Err(error) => Err(Failure::of_ours(format!("this word is for the command itself: {error}"))),
    }
}

/// Nothing for a rule that is kept or was not tried.
fn broken_as_text(finding: &Finding) -> String {
    let Outcome::Broken(ways) = &finding.outcome else { return String::new() };
    let mut out: String = ways.iter().map(|way| format!("error[{}]: {way}\n", finding.rule)).collect();
    out.push_str(&format!("  = header: {}\n  = help: {}\n", finding.sentence, finding.help));
    out
}

fn verdict_as_text(file: &str, checked: &Checked) -> String {
    let mut out = String::new();
    for (why, names) in skipped(&checked.findings) {
        out.push_str(&format!("not tried: {}: {why}\n", names.join(", ")));
    }
    let count = |is: fn(&Outcome) -> bool| checked.findings.iter().filter(|finding| is(&finding.outcome)).count();
    let kept = count(|outcome| *outcome == Outcome::Kept);
    let broken = count(|outcome| matches!(outcome, Outcome::Broken(_)));
    let left = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let name = match (text(&checked.about, "type_name"), text(&checked.about, "version")) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        _ => file.to_owned(),
    };
    let verdict =
        if broken == 0 { "no rule is broken".to_owned() } else { format!("{} broken", counted(broken, "rule")) };
    let left = if left == 0 { String::new() } else { format!(", {left} not tried") };
    out.push_str(&format!("{name}: {verdict}; {kept} kept{left}{}\n", needs(&checked.about)));
    out
}

/// Of which libraries and which C library the file needs to be loaded.
fn needs(about: &Json) -> String {
    let libraries = about.get("needs").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let libraries: Vec<_> = libraries.collect();
    let glibc = text(about, "glibc").map(|version| format!(" (glibc {version})")).unwrap_or_default();
    if libraries.is_empty() { String::new() } else { format!("; needs {}{glibc}", libraries.join(", ")) }
}

fn text<'j>(about: &'j Json, key: &str) -> Option<&'j str> {
    about.get(key).and_then(Json::as_str).filter(|text| !text.is_empty())
}

/// The rules that were not tried, those for the same reason together.
fn skipped(findings: &[Finding]) -> Vec<(&str, Vec<&str>)> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for finding in findings {
        let Outcome::Skipped(why) = &finding.outcome else { continue };
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, names)) => names.push(finding.rule),
            None => reasons.push((why, vec![finding.rule])),
        }
    }
    reasons
}

fn as_json(file: &str, checked: &Checked) -> Json {
    let one = |finding: &Finding| {
        let (outcome, found, why) = match &finding.outcome {
            Outcome::Kept => ("kept", &[][..], None),
            Outcome::Broken(ways) => ("broken", ways.as_slice(), None),
            Outcome::Skipped(why) => ("not tried", &[][..], Some(why)),
        };
        json!({
            "rule": finding.rule,
            "outcome": outcome,
            "found": found,
            "why_not_tried": why,
            "header": finding.sentence,
            "help": finding.help,
        })
    };
    json!({ "file": file, "plugin": checked.about, "rules": checked.findings.iter().map(one).collect::<Vec<_>>() })
}
