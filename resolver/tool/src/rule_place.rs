//! Where a rule stands in the file.

#![forbid(unsafe_code)]

use std::ops::Range;

use tracer_resolver::config::Config;
use tracer_resolver::services::ExplainedRule;

use crate::configuration::Configuration;

/// The bytes of the file that make a rule; `None` where no file does.
pub(crate) fn of(configuration: &Configuration, config: &Config, rule: &ExplainedRule<'_>) -> Option<Range<usize>> {
    let service = config.services.get(rule.service)?;
    let place = |key: &str| configuration.written.rule(&config.origin, &service.name, key, rule.pattern, rule.index);
    match rule.pattern {
        Some(_) => place(rule.list.key()),
        None => place("client_ids").or_else(|| place("group_ids")),
    }
}
