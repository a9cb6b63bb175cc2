//! Where a rule stands in the file.

#![forbid(unsafe_code)]

use std::ops::Range;

use serde_json::Value as Json;
use tracer_resolver::config::{Config, Origin, Pattern, Written};
use tracer_resolver::services::ExplainedRule;

use crate::configuration::Configuration;

/// The bytes of the file that make a rule; `None` where no file does.
pub(crate) fn of(configuration: &Configuration, config: &Config, rule: &ExplainedRule<'_>) -> Option<Range<usize>> {
    let service = config.services.get(rule.service)?;
    let section = match &config.origin {
        Origin::File(_) | Origin::Once(_) => vec!["services".to_owned(), service.name.clone()],
        Origin::LegacyFile(_) => return in_legacy(configuration, &service.name, rule.pattern?),
        Origin::Environment => return None,
    };
    let at = |key: &str| {
        let path: Vec<&str> = section.iter().map(String::as_str).chain([key]).collect();
        configuration.written.at(&path)
    };
    let Some(pattern) = rule.pattern else {
        return at("client_ids").or_else(|| at("group_ids")).map(|list| list.span.clone());
    };
    let list = at(rule.list.key())?;
    let entry = entry(configuration, list, pattern, rule.index);
    Some(entry.map_or(list.span.clone(), |entry| entry.span.clone()))
}

/// The entry of a list that says `pattern`: the first one that has its very text, since of repeated ones the first counts;
/// else the one in its place, which has a reference.
fn entry<'c>(configuration: &'c Configuration, list: &Written, pattern: &Pattern, index: usize) -> Option<&'c Written> {
    let text = Json::from(pattern.text());
    let says = |written: &&Written| written.value == text || written.value.get("regex") == Some(&text);
    let is_entry =
        |written: &&Written| written.path.len() == list.path.len() + 1 && written.path.starts_with(&list.path);
    let entries = || configuration.written.written.iter().filter(is_entry);
    entries().find(says).or_else(|| entries().nth(index))
}

fn in_legacy(configuration: &Configuration, service: &str, pattern: &Pattern) -> Option<Range<usize>> {
    let text = pattern.text();
    configuration.written.written.iter().find_map(|written| {
        let [top, index, list, _] = written.path.as_slice() else { return None };
        let named = configuration.written.at(&["services", index, "service"])?;
        let is_it = top == "services" && list == "topics" && named.value == service && written.value == text;
        is_it.then(|| written.span.clone())
    })
}
