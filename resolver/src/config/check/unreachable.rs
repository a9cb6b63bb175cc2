//! Services whose rules can match no message at all. Only what is certain is said: whatever is only unlikely is let be.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ops::Range;

use super::overlap::covers;
use super::rules::{Constraints, constraints};
use crate::config::draft::config::ConfigDraft;
use crate::config::draft::service::ServiceDraft;
use crate::config::model::Pattern;
use crate::config::reading::pattern::{Kind, PlacedPattern, identity};
use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::problem::Problem;

/// Reports the services that can match nothing, and lists of one side that can.
///
/// Not the default service, which takes what nobody claims, nor a service without any rule, which the program may bind.
///
/// The answer says of each service whether it was reported, so that no doubt about it repeats that.
pub(super) fn find(draft: &ConfigDraft, findings: &mut Findings) -> Vec<bool> {
    let mut unreachable = vec![false; draft.services.len()];
    let mut earlier = Earlier::default();
    for ((index, service), is_unreachable) in draft.services.iter().enumerate().zip(&mut unreachable) {
        if service.rules.is_err() || service.constraints.is_err() {
            continue;
        }
        let constraints = constraints(service);
        *is_unreachable = draft.default_service != Some(index) && judge(service, &constraints, &earlier, findings);
        earlier.add(service, &constraints);
    }
    unreachable
}

/// Whether `service` can match nothing, which is reported.
fn judge(service: &ServiceDraft, constraints: &Constraints, earlier: &Earlier<'_>, findings: &mut Findings) -> bool {
    let mut dead = Vec::new();
    let mut alive = 0;
    for (key, list) in service.sides() {
        for placed in list {
            match reason(service, key, placed, constraints, earlier) {
                Some(reason) => dead.push((key, placed, reason)),
                None => alive += 1,
            }
        }
    }
    let Some((key, placed, reason)) = dead.first() else {
        return service.all_rules().next().is_none() && same_clients(service, constraints, earlier, findings);
    };
    if alive == 0 && dead.iter().all(|(.., reason)| matches!(reason, Reason::Excluded(_))) {
        // `exclude` does not hold for what the program itself binds: such a service may be meant for that.
        let why = reason.what(service, key);
        let message = format!("service `{}` can match nothing unless the program binds it: {why}", service.name);
        findings.mention(reason.show(Problem::warning(code::ALWAYS_EXCLUDED, message), service, placed));
        return true;
    }
    if alive == 0 {
        let message = format!("service `{}` can match nothing: {}", service.name, reason.what(service, key));
        findings.refuse(reason.show(Problem::error(code::MATCHES_NOTHING, message), service, placed));
        return true;
    }
    // A list of one side of a service whose other side works.
    if let Some((key, placed, reason)) = dead.iter().find(|(.., reason)| matches!(reason, Reason::NoGroup)) {
        let message = format!("`{key}` of service `{}` can match nothing: {}", service.name, reason.what(service, key));
        findings.mention(reason.show(Problem::warning(code::HALF_OF_A_SERVICE, message), service, placed));
    }
    false
}

/// Whether a service that names clients or groups and no topic comes after one that names the same, which is reported.
fn same_clients(
    service: &ServiceDraft,
    constraints: &Constraints,
    earlier: &Earlier<'_>,
    findings: &mut Findings,
) -> bool {
    let Some((name, first)) = earlier.clients.get(constraints) else { return false };
    let message = format!(
        "service `{}` can match nothing: service `{name}`, which stands before it, has the same clients and no topics either",
        service.name
    );
    let problem = Problem::error(code::MATCHES_NOTHING, message).at(service.span.clone(), "never reached");
    let help = "let each client or group stand in one service, or tell the services apart by their topics";
    findings.refuse(problem.also(first.clone(), "always first").help(help));
    true
}

/// Why a pattern never claims a message for its service.
enum Reason<'d> {
    /// It is of producers, and `group_ids` wants a group.
    NoGroup,
    /// All that it can match is excluded, by this entry.
    Excluded(&'d PlacedPattern),
    /// An earlier service claims the very same first.
    Earlier(&'d str, Range<usize>),
}

fn reason<'d>(
    service: &'d ServiceDraft,
    key: &'static str,
    placed: &PlacedPattern,
    constraints: &Constraints,
    earlier: &Earlier<'d>,
) -> Option<Reason<'d>> {
    if key == "produces" && !service.group_ids.is_empty() {
        return Some(Reason::NoGroup);
    }
    if let Some(Ok(excludes)) = &service.layer.exclude {
        if let Some(exclude) = excludes.iter().find(|exclude| covers(&exclude.pattern, &placed.pattern)) {
            return Some(Reason::Excluded(exclude));
        }
    }
    // The same exact topic twice is a contradiction, which is reported as one.
    if matches!(placed.pattern, Pattern::Exact(_)) {
        return None;
    }
    let (name, span) = earlier.claims.get(&(key, identity(&placed.pattern), constraints.clone()))?;
    Some(Reason::Earlier(name, span.clone()))
}

impl Reason<'_> {
    fn what(&self, service: &ServiceDraft, key: &str) -> String {
        match self {
            Self::NoGroup => "a producer has no group, and `group_ids` asks for one".into(),
            Self::Excluded(_) => "all of its topics are left out by `exclude`".into(),
            Self::Earlier(name, _) => {
                let same = if service.all_rules().count() == 1 { "pattern" } else { "patterns" };
                format!("service `{name}`, which stands before it, has the same {same} in `{key}`")
            }
        }
    }

    fn show(&self, problem: Problem, service: &ServiceDraft, placed: &PlacedPattern) -> Problem {
        match self {
            Self::NoGroup => {
                let problem = problem.at(placed.span.clone(), "produced here");
                let problem = match service.group_ids.first() {
                    Some(group) => problem.also(group.span.clone(), "a consumer's group"),
                    None => problem,
                };
                problem.help("tell producers apart by `client_ids`, or write `consumes` for what the group reads")
            }
            Self::Excluded(exclude) => {
                let problem = problem.at(placed.span.clone(), "never traced");
                let shown = exclude.shown.as_deref().unwrap_or("(from a reference)");
                // A pattern of the embedded defaults has no place in this text.
                if exclude.span.is_empty() {
                    problem.help(format!(
                        "{shown:?} is excluded by default; write `exclude` in the service to change that"
                    ))
                } else {
                    problem
                        .also(exclude.span.clone(), "left out here")
                        .help("take it out of `exclude`, or take the service out")
                }
            }
            Self::Earlier(_, first) => {
                problem.at(placed.span.clone(), "never reached").also(first.clone(), "always first").help(
                    "let each pattern stand in one service, or tell their clients apart by `client_ids` or `group_ids`",
                )
            }
        }
    }
}

/// What the services before claim, and which one first.
#[derive(Default)]
struct Earlier<'d> {
    claims: HashMap<Claim, (&'d str, Range<usize>)>,
    /// Of the services that name clients or groups, and no topics.
    clients: HashMap<Constraints, (&'d str, Range<usize>)>,
}

/// A pattern, of which list, of which clients.
type Claim = (&'static str, (Kind, String), Constraints);

impl<'d> Earlier<'d> {
    fn add(&mut self, service: &'d ServiceDraft, constraints: &Constraints) {
        let has_clients = !service.client_ids.is_empty() || !service.group_ids.is_empty();
        if has_clients && service.all_rules().next().is_none() {
            self.clients.entry(constraints.clone()).or_insert((&service.name, service.span.clone()));
        }
        for (key, list) in service.sides() {
            for placed in list {
                let claim = (key, identity(&placed.pattern), constraints.clone());
                self.claims.entry(claim).or_insert((&service.name, placed.span.clone()));
            }
        }
    }
}
