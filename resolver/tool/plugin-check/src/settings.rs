//! The settings that a plugin is checked with: what was given, or what its schema lets one guess.

#![forbid(unsafe_code)]

use serde_json::{Map, Value as Json, json};

/// Who is at the other end of `{endpoint}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Collector,
    /// Nobody listens.
    Nobody,
    /// Somebody who takes connections, and nothing that comes over them.
    Silence,
}

/// What the words in braces stand for.
#[derive(Clone)]
pub(crate) struct Places {
    /// `127.0.0.1:4711`
    pub(crate) collector: String,
    pub(crate) silence: String,
    pub(crate) nobody: String,
    pub(crate) folder: String,
}

impl Places {
    /// `{endpoint}`, `{address}` and `{folder}` replaced in every text.
    pub(crate) fn filled(&self, settings: &Json, peer: Peer) -> Json {
        let address = match peer {
            Peer::Collector => &self.collector,
            Peer::Nobody => &self.nobody,
            Peer::Silence => &self.silence,
        };
        match settings {
            Json::String(text) => Json::String(
                text.replace(ENDPOINT, &format!("http://{address}"))
                    .replace(ADDRESS, address)
                    .replace(FOLDER, &self.folder),
            ),
            Json::Array(items) => items.iter().map(|item| self.filled(item, peer)).collect(),
            Json::Object(members) => {
                let filled = members.iter().map(|(key, value)| (key.clone(), self.filled(value, peer)));
                Json::Object(filled.collect())
            }
            other => other.clone(),
        }
    }
}

/// Where the settings say nothing, `endpoint` is the collector and `path` a file of the check's; everything else is what
/// the plugin takes by default.
pub(crate) fn guessed(schema: &Json) -> Json {
    let takes_text = |key: &str| {
        let kind = schema.pointer(&format!("/properties/{key}/type"));
        kind.is_some_and(|kind| *kind == json!("string"))
    };
    let mut settings = Map::new();
    for (key, value) in [("endpoint", ENDPOINT.to_owned()), ("path", format!("{FOLDER}/batches"))] {
        if takes_text(key) {
            settings.insert(key.to_owned(), Json::String(value));
        }
    }
    Json::Object(settings)
}

pub(crate) fn names_the_collector(settings: &Json) -> bool {
    let text = settings.to_string();
    text.contains(ENDPOINT) || text.contains(ADDRESS)
}

const ENDPOINT: &str = "{endpoint}";
const ADDRESS: &str = "{address}";
const FOLDER: &str = "{folder}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_in_braces_are_replaced_wherever_they_stand() {
        let places = Places {
            collector: "1.1.1.1:1".to_owned(),
            silence: "2.2.2.2:2".to_owned(),
            nobody: "3.3.3.3:3".to_owned(),
            folder: "/f".to_owned(),
        };
        let settings = json!({ "a": ["{endpoint}/v1", 7], "b": { "c": "{folder}/x", "d": "{address}" } });
        assert!(names_the_collector(&settings));
        let filled = places.filled(&settings, Peer::Collector);
        assert_eq!(filled, json!({ "a": ["http://1.1.1.1:1/v1", 7], "b": { "c": "/f/x", "d": "1.1.1.1:1" } }));
        assert_eq!(places.filled(&json!("{address}"), Peer::Nobody), json!("3.3.3.3:3"));
    }

    #[test]
    fn what_the_schema_has_no_text_for_is_left_out() {
        assert_eq!(guessed(&json!({ "properties": { "path": { "type": "integer" } } })), json!({}));
        assert_eq!(
            guessed(&json!({ "properties": { "endpoint": { "type": "string" } } })),
            json!({ "endpoint": "{endpoint}" })
        );
    }
}
