//! `schema`: the JSON Schema of the configuration file, for editors and for whoever makes such files.

#![forbid(unsafe_code)]

mod plugin_schema;

use std::process::ExitCode;

use serde_json::{Value as Json, json};
use tracer_resolver::config::Plugins;

use crate::configuration::plugin_search;
use crate::failure::Failure;
use crate::output;
use crate::plugin_warnings;

pub(crate) fn print(with_plugins: bool) -> Result<ExitCode, Failure> {
    let mut schema: Json = serde_json::from_str(FILE)
        .map_err(|error| Failure::of_ours(format!("this command was built with a broken schema: {error}")))?;
    if with_plugins {
        plugin_warnings::collect();
        let search = plugin_search(false);
        let plugins = Plugins::default();
        for name in search.present(&plugins) {
            match search.load(&name, &plugins) {
                Ok(plugin) => add(&mut schema, &name, plugin.schema()),
                // Whoever wants to know why asks for the list of plugins.
                Err(error) => output::note(&format!("not in the schema: {}", error.message)),
            }
        }
        plugin_warnings::tell();
    }
    output::json(&schema, true)
}

/// Lets the `config` of a backend be what its plugin's schema says.
fn add(schema: &mut Json, name: &str, plugin: &Json) {
    let definition = format!("plugin_{name}");
    let place = format!("#/$defs/{definition}");
    let is_required = plugin.get("required").and_then(Json::as_array).is_some_and(|required| !required.is_empty());
    let plugin = plugin_schema::embedded(plugin, &place);
    if let Some(definitions) = schema.get_mut("$defs").and_then(Json::as_object_mut) {
        definitions.insert(definition, plugin);
    }
    let mut then = json!({ "properties": { "config": { "$ref": place } } });
    if let (true, Some(then)) = (is_required, then.as_object_mut()) {
        then.insert("required".to_owned(), json!(["config"]));
    }
    let rule = json!({ "if": { "properties": { "plugin": { "const": name } }, "required": ["plugin"] }, "then": then });
    if let Some(backend) = schema.pointer_mut("/$defs/backend").and_then(Json::as_object_mut) {
        let rules = backend.entry("allOf").or_insert_with(|| json!([]));
        if let Some(rules) = rules.as_array_mut() {
            rules.push(rule);
        }
    }
}

/// The file's own part; a test holds it against the keys that the engine reads.
const FILE: &str = include_str!("schema/file.schema.json");
