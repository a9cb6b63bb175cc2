//! What the rules of the services have to say against each other.

#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::overlap::{covers, literal_characters, meet};
use crate::config::draft::config::ConfigDraft;
use crate::config::draft::service::ServiceDraft;
use crate::config::model::Pattern;
use crate::config::reading::pattern::{Kind, PlacedPattern, from_text, identity, shown_list};
use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::problem::Problem;

/// What cannot be obeyed.
pub(super) fn contradictions(draft: &ConfigDraft, findings: &mut Findings) {
    same_topic_twice(draft, findings);
}

/// What can be obeyed, but is hardly meant.
///
/// `unreachable` says of each service whether it is known to match nothing at all.
pub(super) fn doubts(draft: &ConfigDraft, unreachable: &[bool], findings: &mut Findings) {
    if draft.services.is_empty() {
        let problem = Problem::warning(code::NO_SERVICE, "no service is defined: no message is traced").at(0..0, "");
        findings.mention(problem.help("add for example [services.orders] with topics = [\"orders.*\"]"));
    }
    ties(draft, unreachable, findings);
    for ((index, service), _) in draft.services.iter().enumerate().zip(unreachable).filter(|(_, is_so)| !**is_so) {
        let is_default = draft.default_service == Some(index);
        empty_service(service, is_default, findings);
        always_excluded(service, findings);
        overrides_without_topic(service, is_default, findings);
        captured_secrets(service, findings);
    }
}

/// The original let the last one win, silently.
fn same_topic_twice(draft: &ConfigDraft, findings: &mut Findings) {
    let mut first: HashMap<(&str, &str, Constraints), (&ServiceDraft, &PlacedPattern)> = HashMap::new();
    for service in draft.services.iter().filter(|service| service.constraints.is_ok()) {
        let constraints = constraints(service);
        for (key, list) in service.sides() {
            for placed in list {
                let Pattern::Exact(topic) = &placed.pattern else { continue };
                let (other, place) = *first.entry((key, topic, constraints.clone())).or_insert((service, placed));
                if std::ptr::eq(other, service) {
                    continue;
                }
                let name = placed.shown.as_ref().map_or("this topic".into(), |topic| format!("topic `{topic}`"));
                let message = format!("{name} is claimed by two services: `{}` and `{}`", other.name, service.name);
                let help = "a topic belongs to one service on each side; \
                            let it stand in one of them, or tell their clients apart by `client_ids` or `group_ids`";
                findings.refuse(
                    Problem::error(code::TOPIC_CLAIMED_TWICE, message)
                        .at(placed.span.clone(), format!("`{key}` of `{}`", service.name))
                        .also(place.span.clone(), format!("`{key}` of `{}`", other.name))
                        .help(help),
                );
            }
        }
    }
}

/// Two patterns of equal rank that can match the same name: the order of the file decides, which is easily overlooked.
///
/// Looks at a bounded number of pairs, so that a huge file costs no time.
fn ties(draft: &ConfigDraft, unreachable: &[bool], findings: &mut Findings) {
    type Rank<'d> = (&'d str, usize, Constraints);
    let mut groups: HashMap<Rank<'_>, Vec<(&ServiceDraft, &PlacedPattern)>> = HashMap::new();
    let mut pairs = 0;
    let services = draft.services.iter().zip(unreachable);
    let services = services.filter(|(service, is_unreachable)| service.constraints.is_ok() && !**is_unreachable);
    for (service, _) in services {
        let constraints = constraints(service);
        for (key, list) in service.sides() {
            for placed in list {
                let rank = match &placed.pattern {
                    Pattern::Exact(_) => continue,
                    Pattern::Glob(glob) => literal_characters(glob),
                    Pattern::Regex(_) => usize::MAX,
                };
                let group = groups.entry((key, rank, constraints.clone())).or_default();
                for (other, place) in group.iter().filter(|(other, _)| !std::ptr::eq(*other, service)) {
                    pairs += 1;
                    if pairs > MAX_PAIRS {
                        return;
                    }
                    if !tie(&placed.pattern, &place.pattern) {
                        continue;
                    }
                    let message = format!(
                        "patterns of `{}` and `{}` can match the same topic with equal rank: `{}` wins, being first",
                        other.name, service.name, other.name
                    );
                    findings.mention(
                        Problem::warning(code::PATTERNS_TIE, message)
                            .at(placed.span.clone(), format!("`{key}` of `{}`", service.name))
                            .also(place.span.clone(), format!("`{key}` of `{}`", other.name))
                            .help("make the one that is meant to win longer, or name its topics exactly"),
                    );
                }
                group.push((service, placed));
            }
        }
    }
}

/// Of regular expressions only the very same ones are known to meet.
fn tie(left: &Pattern, right: &Pattern) -> bool {
    match (left, right) {
        (Pattern::Glob(left_glob), Pattern::Glob(right_glob)) => {
            left_glob.len().max(right_glob.len()) <= MAX_GLOB && meet(left, right)
        }
        _ => identity(left) == identity(right),
    }
}

fn empty_service(service: &ServiceDraft, is_default: bool, findings: &mut Findings) {
    let is_complete = service.rules.is_ok() && service.constraints.is_ok();
    let has_rules = service.all_rules().chain(&service.client_ids).chain(&service.group_ids).next().is_some();
    if has_rules || is_default || !is_complete {
        return;
    }
    let message = format!("no message belongs to service `{}` unless the program binds it", service.name);
    let help = "give it `produces`, `consumes`, `topics`, `client_ids` or `group_ids`, or make it the default_service";
    findings.mention(Problem::warning(code::EMPTY_SERVICE, message).at(service.span.clone(), "").help(help));
}

fn always_excluded(service: &ServiceDraft, findings: &mut Findings) {
    let Some(Ok(excludes)) = &service.layer.exclude else { return };
    for placed in service.all_rules().filter(|placed| matches!(placed.pattern, Pattern::Exact(_))) {
        let Some(exclude) = excludes.iter().find(|exclude| covers(&exclude.pattern, &placed.pattern)) else { continue };
        let message = format!("service `{}` names a topic that its `exclude` leaves out", service.name);
        let help = format!("in effect: exclude = [{}]", shown_list(&excludes.iter().collect::<Vec<_>>()));
        let problem = Problem::warning(code::ALWAYS_EXCLUDED, message).at(placed.span.clone(), "never traced");
        // A pattern of the embedded defaults has no place in this text.
        let is_of_this_text = !exclude.span.is_empty();
        let problem = if is_of_this_text { problem.also(exclude.span.clone(), "left out here") } else { problem };
        findings.mention(problem.help(help));
    }
}

/// Whoever names such a header wants its value, and does not get it.
fn captured_secrets(service: &ServiceDraft, findings: &mut Findings) {
    let own = std::iter::once((&service.span, &service.layer));
    let mut told: Vec<&str> = Vec::new();
    for (span, layer) in own.chain(service.overrides.iter().map(|(placed, layer)| (&placed.span, layer))) {
        let (Some(Ok(names)), Some(Ok(globs))) = (&layer.capture_headers, &layer.redact_headers) else { continue };
        for name in names.iter() {
            let lower = Pattern::Exact(name.to_ascii_lowercase());
            let hides = |glob: &&String| meet(&from_text(&glob.to_ascii_lowercase()), &lower);
            let Some(glob) = globs.iter().find(hides).filter(|_| !told.contains(&name.as_str())) else { continue };
            told.push(name);
            let message = format!("the values of the header `{name}` are not told: `redact_headers` has {glob:?}");
            let problem = Problem::warning(code::CAPTURED_SECRET, message).at(span.clone(), "in `capture_headers`");
            let help = "spans say \"REDACTED\"; if the header holds no secret, write a list without it: `redact_headers = […]`";
            findings.mention(problem.help(help));
        }
    }
}

fn overrides_without_topic(service: &ServiceDraft, is_default: bool, findings: &mut Findings) {
    // A service without topic rules takes whatever its clients send.
    if is_default || service.rules.is_err() || service.all_rules().next().is_none() {
        return;
    }
    for (placed, _) in &service.overrides {
        if service.all_rules().any(|rule| meet(&rule.pattern, &placed.pattern)) {
            continue;
        }
        let shown = placed.shown.as_deref().unwrap_or_default();
        let message = format!("no topic of service `{}` matches `{shown}`", service.name);
        let rules = shown_list(&service.all_rules().collect::<Vec<_>>());
        findings.mention(
            Problem::warning(code::OVERRIDE_WITHOUT_TOPIC, message)
                .at(placed.span.clone(), "these settings never apply")
                .help(format!("its topics: {rules}")),
        );
    }
}

/// What the clients of a service are told apart by, in an order that does not depend on the file's.
pub(super) fn constraints(service: &ServiceDraft) -> Constraints {
    let sorted = |list: &[PlacedPattern]| {
        let mut identities: Vec<_> = list.iter().map(|placed| identity(&placed.pattern)).collect();
        identities.sort_unstable();
        identities
    };
    (sorted(&service.client_ids), sorted(&service.group_ids))
}

pub(super) type Constraints = (Vec<(Kind, String)>, Vec<(Kind, String)>);

const MAX_PAIRS: usize = 100_000;
const MAX_GLOB: usize = 512;
