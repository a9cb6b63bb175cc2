//! A service: which messages are its own, and how they are traced.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::settings::Settings;

/// One service: which messages are its own, and how they are traced.
#[derive(Clone, Debug)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// Bytes of the file that name it.
    pub span: Range<usize>,
    /// Topics it produces to.
    pub produces: Vec<Pattern>,
    /// Topics it consumes from.
    pub consumes: Vec<Pattern>,
    /// Topics on both sides.
    pub topics: Vec<Pattern>,
    /// `client.id` constraint; empty is no constraint.
    pub client_ids: Vec<Pattern>,
    /// `group.id` constraint; empty is no constraint.
    pub group_ids: Vec<Pattern>,
    /// Topics never touched for this service, whatever its rules say.
    pub exclude: Vec<Pattern>,
    /// Its settings, `[defaults]` merged in.
    pub settings: Settings,
    /// Per-topic settings, the service's merged in; in file order.
    pub topic_settings: Vec<(Pattern, Settings)>,
    /// Resource attributes from the file, `[defaults]` merged in, without `service.name`.
    pub resource: Vec<(String, String)>,
}

/// A name pattern. Case-sensitive, always anchored.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// The very name.
    Exact(String),
    /// `*` is any run of characters, dots too; `?` is one.
    Glob(String),
    /// `{ regex = "…" }`, compiled, and anchored at both ends by the reader.
    Regex(regex::Regex),
}

impl Pattern {
    /// The text of it, as the file has it: of a regular expression what stands in `regex`.
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Glob(text) => text,
            // What the reader put around it.
            Self::Regex(regex) => {
                let anchored = regex.as_str();
                anchored.strip_prefix("^(?:").and_then(|text| text.strip_suffix(")$")).unwrap_or(anchored)
            }
        }
    }
}
