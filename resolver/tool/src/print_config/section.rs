//! One section of what is printed.

#![forbid(unsafe_code)]

use serde_json::{Value as Json, json};

use crate::effective::Origin;

/// One section, with lines of key, value and origin.
pub(crate) struct Section {
    /// `[services.shop]`; empty for the top of the file.
    pub(crate) title: String,
    pub(crate) lines: Vec<(String, String, Origin)>,
}

impl Section {
    pub(super) fn as_json(&self) -> Json {
        let lines = self
            .lines
            .iter()
            .map(|(key, value, origin)| json!({ "key": key, "value": value, "origin": origin.to_string() }));
        json!({ "section": self.title, "settings": lines.collect::<Vec<_>>() })
    }
}
