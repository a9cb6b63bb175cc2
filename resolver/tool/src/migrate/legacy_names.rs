//! Names of the old format that TOML does not take.

#![forbid(unsafe_code)]

use tracer_resolver::config::{Pattern, Source, Variables, load_with};

use crate::toml_text;

/// The pattern of a topic as TOML writes it; `None` for a name that no topic of Kafka's can have, so that it never
/// matched anything. The engine's own reader of TOML is asked.
pub(super) fn topic(pattern: &Pattern) -> Option<String> {
    let text = pattern.text();
    let is_glob = text.contains(['*', '?']);
    let written = toml_text::literal(text);
    (!is_glob && is_taken(&format!("version = 1\n[services.s]\ntopics = [{written}]\n"))).then_some(written)
}

/// The name of a service as TOML takes it: without what nobody sees, and without blanks at its ends.
pub(super) fn service(name: &str) -> String {
    let taken = |name: &str| is_taken(&format!("version = 1\n[services.{}]\n", toml_text::key(name)));
    if taken(name) {
        return name.to_owned();
    }
    let seen: String = name.chars().filter(|c| taken(&format!("a{c}a"))).collect();
    let trimmed = seen.trim().to_owned();
    if taken(&trimmed) { trimmed } else { "unnamed".to_owned() }
}

fn is_taken(text: &str) -> bool {
    let source = Source::Text { name: "t.toml".to_owned(), text: text.to_owned() };
    !load_with(source, &Variables::of::<&str, &str>([])).report.has_errors()
}
