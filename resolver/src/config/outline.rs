//! The values of a file as they are written, with their places: for whoever explains where a setting comes from.
//!
//! References are not replaced here, so nothing of it is a secret but what somebody wrote into the file itself.

#![forbid(unsafe_code)]

use std::ops::Range;

use serde_json::{Map, Value as Json};

use super::model::{Origin, Pattern};
use super::report::findings::Findings;
use super::text::node::{Node, Text, Value};
use super::text::{json_parser, toml_parser};

/// Every value of a text, tables and arrays too, in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// What the text says, before references are replaced.
    pub written: Vec<Written>,
}

/// One value.
#[derive(Clone, Debug)]
pub struct Written {
    /// The keys that lead to it; an entry of a list has its number.
    pub path: Vec<String>,
    /// Where its key stands; for an entry of a list, the entry.
    pub key_span: Range<usize>,
    /// Where the value stands.
    pub span: Range<usize>,
    /// The value; dates, which no key wants, are null.
    pub value: Json,
}

impl Outline {
    /// Of TOML or JSON, told apart as `load` does; empty if it is neither.
    pub fn of(text: &str) -> Self {
        let mut findings = Findings::new("", text);
        let mut outline = Self::default();
        let mut path = Vec::new();
        if text.trim_start().starts_with('{') {
            if let Some(node) = json_parser::parse(text, &mut findings) {
                outline.add(&node, node.span.clone(), &mut path);
            }
        } else if let Some(table) = toml_parser::parse(text, &mut findings) {
            for entry in &table.entries {
                path.push(entry.key.clone());
                outline.add(&entry.node, entry.key_span.clone(), &mut path);
                path.pop();
            }
        }
        outline
    }

    /// The value at `path`.
    pub fn at(&self, path: &[&str]) -> Option<&Written> {
        self.written.iter().find(|written| written.path == path)
    }

    /// Where a rule of a service stands: the entry of the list `key` that says `pattern`, which is the list's `index`th; without
    /// a pattern the list itself. `None` where no text says it, as of what variables say.
    pub fn rule(
        &self,
        origin: &Origin,
        service: &str,
        key: &str,
        pattern: Option<&Pattern>,
        index: usize,
    ) -> Option<Range<usize>> {
        match origin {
            Origin::File(_) => {}
            Origin::LegacyFile(_) => return self.legacy_rule(service, pattern?),
            // What comes out of a pipe may be either.
            Origin::Once(_) if self.at(&["services"]).is_some_and(|services| services.value.is_array()) => {
                return self.legacy_rule(service, pattern?);
            }
            Origin::Once(_) => {}
            Origin::Environment => return None,
        }
        let list = self.at(&["services", service, key])?;
        let entry = pattern.and_then(|pattern| self.entry(list, pattern, index));
        Some(entry.unwrap_or(list).span.clone())
    }

    /// The entry of a list that says `pattern`: the first one that has its very text, since of repeated ones the first counts;
    /// else the one in its place, which has a reference.
    fn entry(&self, list: &Written, pattern: &Pattern, index: usize) -> Option<&Written> {
        let text = Json::from(pattern.text());
        let says = |written: &&Written| written.value == text || written.value.get("regex") == Some(&text);
        let is_entry =
            |written: &&Written| written.path.len() == list.path.len() + 1 && written.path.starts_with(&list.path);
        let entries = || self.written.iter().filter(is_entry);
        entries().find(says).or_else(|| entries().nth(index))
    }

    fn legacy_rule(&self, service: &str, pattern: &Pattern) -> Option<Range<usize>> {
        let text = pattern.text();
        self.written.iter().find_map(|written| {
            let [top, index, list, _] = written.path.as_slice() else { return None };
            let named = self.at(&["services", index, "service"])?;
            let is_it = top == "services" && list == "topics" && named.value == service && written.value == text;
            is_it.then(|| written.span.clone())
        })
    }

    fn add(&mut self, node: &Node, key_span: Range<usize>, path: &mut Vec<String>) {
        self.written.push(Written { path: path.clone(), key_span, span: node.span.clone(), value: json(node) });
        match &node.value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    self.add(item, item.span.clone(), path);
                    path.pop();
                }
            }
            Value::Table(table) => {
                for entry in &table.entries {
                    path.push(entry.key.clone());
                    self.add(&entry.node, entry.key_span.clone(), path);
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Text(Text::Written(text)) => Json::from(text.as_str()),
        Value::Text(text) => text.value().map_or(Json::Null, Json::from),
        Value::Integer(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::Boolean(value) => Json::from(*value),
        Value::Datetime | Value::Null => Json::Null,
        Value::Array(items) => Json::Array(items.iter().map(json).collect()),
        Value::Table(table) => {
            let members = table.entries.iter().map(|entry| (entry.key.clone(), json(&entry.node)));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_path_and_its_place_and_keeps_its_references() {
        let text = "version = 1\n[services.\"a.b\"]\nproduces = [\"x\", { regex = 'y' }]\nresource.k = \"${env:K}\"\n";
        let outline = Outline::of(text);
        let at = |path: &[&str]| outline.at(path).map(|written| (&text[written.span.clone()], written.value.clone()));
        assert_eq!(at(&["version"]), Some(("1", Json::from(1))));
        assert_eq!(at(&["services", "a.b", "produces", "1", "regex"]), Some(("'y'", Json::from("y"))));
        assert_eq!(at(&["services", "a.b", "resource", "k"]), Some(("\"${env:K}\"", Json::from("${env:K}"))));
        assert_eq!(at(&["services", "a"]), None);
    }

    #[test]
    fn the_json_of_2019_has_an_outline_too_and_what_is_neither_has_none() {
        let outline = Outline::of("{\"services\": [{\"service\": \"a\"}]}");
        assert_eq!(outline.at(&["services", "0", "service"]).unwrap().value, Json::from("a"));
        assert!(Outline::of("= no").written.is_empty());
    }
}
