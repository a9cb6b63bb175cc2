//! What the author of a plugin gives with a file: its settings.

#![forbid(unsafe_code)]

use std::fs;

use serde_json::Value as Json;
use tracer_plugin_check::Wanted;

use crate::command_line::PluginFile;
use crate::failure::Failure;

/// The file, which is there, and its settings, which are a table.
pub(super) fn wanted(asked: &PluginFile) -> Result<Wanted, Failure> {
    if let Err(error) = fs::File::open(&asked.file) {
        return Err(Failure::wrong(format!("{} cannot be read: {error}", asked.file.display())));
    }
    Ok(Wanted {
        file: asked.file.clone(),
        config: asked.config.as_deref().map(settings).transpose()?,
        hidden_words: HIDDEN.to_vec(),
        rules: Vec::new(),
    })
}

fn settings(text: &str) -> Result<Json, Failure> {
    let wrong = |what: String| Failure { status: crate::failure::MISUNDERSTOOD, what };
    let text = match text.strip_prefix('@') {
        Some(file) => {
            fs::read_to_string(file).map_err(|error| wrong(format!("--config: {file} cannot be read: {error}")))?
        }
        None => text.to_owned(),
    };
    match serde_json::from_str(&text) {
        Ok(Json::Object(settings)) => Ok(Json::Object(settings)),
        Ok(_) => Err(wrong("--config takes a JSON object, {\"endpoint\": \"{endpoint}\"} for example".to_owned())),
        Err(error) => Err(wrong(format!("--config is not JSON: {error}"))),
    }
}

/// How the command calls itself for one rule.
pub(super) const HIDDEN: [&str; 2] = ["plugins", "check-one-rule"];
