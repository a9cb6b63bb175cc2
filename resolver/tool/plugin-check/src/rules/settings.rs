//! The schema of the settings, and `validate`.

#![forbid(unsafe_code)]

use std::thread;

use serde_json::Value as Json;
use tracer_plugin_api::abi::{TRACER_ERR_CONFIG, TRACER_OK};

use crate::case::{Case, code_name};
use crate::library::Lending;
use crate::process_view;
use crate::rule::Rule;
use crate::settings::Peer;
use crate::stop::{Stop, Tried};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "schema",
        sentence: "`\"type\": \"object\"` and `\"additionalProperties\": false` at every level: a misspelt key must be an error.",
        help: "say both for every object; a map of free keys says what its values are: \"additionalProperties\": {\"type\": \
               \"string\"}",
        is_gate: false,
        run: schema,
    },
    Rule {
        name: "descriptions",
        sentence: "`\"description\"` on every property: tools print it.",
        help: "one sentence for each: what it is, its unit, its default",
        is_gate: false,
        run: descriptions,
    },
    Rule {
        name: "secrets",
        sentence: "`\"x-secret\": true` on every string that is a password, a token or may hold one: the host never prints its \
                   value.",
        help: "add \"x-secret\": true beside its \"type\"; for a map, into its \"additionalProperties\"",
        is_gate: false,
        run: secrets,
    },
    Rule {
        name: "validate",
        sentence: "Pure: no file is written, no thread, no connection.",
        help: "look at the text and at files that must exist, and leave everything else to create and export_batch; a key is \
               named by its JSON pointer",
        is_gate: false,
        run: validate,
    },
    Rule {
        name: "validate-threads",
        sentence: "Called for every backend before the first is created, so that all errors of a configuration are shown at \
                   once, and by tools that never create.",
        help: "keep no state in validate: any thread may call it, several at once",
        is_gate: false,
        run: validate_threads,
    },
];

fn schema(case: &Case) -> Tried {
    let schema = read(case)?;
    let closed = |pointer: &str, schema: &Json| {
        let is_object = schema.get("properties").is_some() || schema.get("type") == Some(&Json::from("object"));
        if !is_object {
            return;
        }
        if schema.get("type").is_none() {
            case.broken(format!(
                "the schema has properties at \"{pointer}\", and does not say that it is an object there"
            ));
        }
        match schema.get("additionalProperties") {
            Some(Json::Bool(true)) | None => {
                case.broken(format!("the schema lets any other key pass at \"{pointer}\": no additionalProperties"));
            }
            Some(_) => {}
        }
    };
    if schema.get("type") != Some(&Json::from("object")) {
        case.broken("the settings are a table, but the schema does not say \"type\": \"object\" at its top");
    }
    visit(&schema, "", &closed);
    Ok(())
}

fn descriptions(case: &Case) -> Tried {
    let schema = read(case)?;
    let described = |pointer: &str, within: &Json| {
        for (key, property) in properties(within) {
            let target =
                property.get("$ref").and_then(Json::as_str).and_then(|to| schema.pointer(to.trim_start_matches('#')));
            let says = |schema: &Json| {
                schema.get("description").and_then(Json::as_str).is_some_and(|text| !text.trim().is_empty())
            };
            if !says(property) && !target.is_some_and(says) {
                case.broken(format!("`{key}` has no description (\"{pointer}/properties/{key}\" in the schema)"));
            }
        }
    };
    visit(&schema, "", &described);
    Ok(())
}

fn secrets(case: &Case) -> Tried {
    let schema = read(case)?;
    let marked = |pointer: &str, within: &Json| {
        for (key, property) in properties(within) {
            let values = property.get("additionalProperties").unwrap_or(&Json::Null);
            let is_marked = [property, values].iter().any(|schema| schema.get("x-secret") == Some(&Json::Bool(true)));
            let holds_text = [property, values].iter().any(|schema| schema.get("type") == Some(&Json::from("string")));
            if sounds_secret(key) && holds_text && !is_marked {
                case.broken(format!(
                    "`{key}` sounds like a secret, and is not marked (\"{pointer}/properties/{key}\" in the schema)"
                ));
            }
        }
    };
    visit(&schema, "", &marked);
    Ok(())
}

/// By a word in its name. A key *file* is a path, and a `public_key` is none.
fn sounds_secret(key: &str) -> bool {
    let words: Vec<_> = key.split(['_', '-', '.']).map(str::to_ascii_lowercase).collect();
    let is_path =
        words.last().is_some_and(|last| ["file", "path", "name", "id", "env", "url"].contains(&last.as_str()));
    let is_secret = |word: &String| SECRET.contains(&word.as_str());
    let key_of = |first: &str| words.iter().any(|word| word == first) && words.iter().any(|word| word == "key");
    !is_path
        && (words.iter().any(is_secret) || ["api", "access", "private", "license"].iter().any(|first| key_of(first)))
}

const SECRET: [&str; 12] = [
    "authorization",
    "credential",
    "credentials",
    "headers",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "secret",
    "secrets",
    "token",
    "apikey",
];

fn validate(case: &Case) -> Tried {
    let table = case.table()?;
    let config = case.config(&table, Peer::Collector);
    let before = (process_view::threads(), process_view::descriptors(), process_view::Belongings::now());
    let reply = table.validate(config.as_bytes(), Lending::Plain)?;
    if reply.code != TRACER_OK {
        case.broken(format!("validate refuses the settings {}: {}", case.settings(&table), reply.words()));
    }
    // The host has checked the schema before it asks. What is no such table is a defect of the host's, and no crash.
    for text in [&b""[..], b"{}", b"[1, 2", b"null", b"\"x\"", b"{\"checked\": [1, {\"a\": null}]}", b"\xff\xfe"] {
        let shown = String::from_utf8_lossy(text);
        let reply = table.validate(text, Lending::Plain)?;
        if ![TRACER_OK, TRACER_ERR_CONFIG].contains(&reply.code) {
            case.broken(format!("validate of \"{shown}\" returns {}, which it may not", code_name(reply.code)));
        }
        let field = reply.told.field();
        if reply.code == TRACER_ERR_CONFIG && !field.is_empty() && !field.starts_with('/') {
            case.broken(format!("`field` is \"{field}\", which is no JSON pointer: it begins with a slash"));
        }
        table.validate(text, Lending::WithoutError)?;
    }
    if !process_view::soon(|| process_view::threads().keys().all(|thread| before.0.contains_key(thread))) {
        case.broken("validate leaves a thread behind");
    }
    if process_view::descriptors() != before.1 {
        case.broken("validate leaves files or sockets open");
    }
    for change in before.2.changes(&process_view::Belongings::now()) {
        case.broken(format!("in validate {change}"));
    }
    if case.seen().connections > 0 {
        case.broken("validate opens a connection to the backend");
    }
    let is_empty = std::fs::read_dir(".")?.next().is_none();
    if !is_empty {
        case.broken("validate writes a file");
    }
    Ok(())
}

fn validate_threads(case: &Case) -> Tried {
    let table = case.table()?;
    let config = case.config(&table, Peer::Collector);
    let many = || -> Vec<i32> {
        let asked = (0..20).map(|_| table.validate(config.as_bytes(), Lending::Plain));
        asked.map(|reply| reply.map_or(-1, |reply| reply.code)).collect()
    };
    let codes: Vec<i32> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(many)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    if let Some(code) = codes.iter().find(|code| **code != TRACER_OK) {
        case.broken(format!("validate returns {} when four threads ask at once", code_name(*code)));
    }
    Ok(())
}

fn read(case: &Case) -> Result<Json, Stop> {
    let table = case.table()?;
    serde_json::from_slice(&table.schema()).map_err(|error| Stop::Broken(format!("config_schema is not JSON: {error}")))
}

fn properties(schema: &Json) -> impl Iterator<Item = (&String, &Json)> {
    schema.get("properties").and_then(Json::as_object).into_iter().flatten()
}

/// Every schema in this one, each with its pointer.
fn visit(schema: &Json, pointer: &str, look: &dyn Fn(&str, &Json)) {
    look(pointer, schema);
    for word in ["properties", "$defs", "definitions", "patternProperties"] {
        for (name, inner) in schema.get(word).and_then(Json::as_object).into_iter().flatten() {
            visit(inner, &format!("{pointer}/{word}/{name}"), look);
        }
    }
    for word in ["items", "additionalProperties", "contains", "not"] {
        if let Some(inner) = schema.get(word).filter(|inner| inner.is_object()) {
            visit(inner, &format!("{pointer}/{word}"), look);
        }
    }
    for word in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        // What a choice says of some keys only is closed by the object that it is part of.
        for (at, inner) in schema.get(word).and_then(Json::as_array).into_iter().flatten().enumerate() {
            if inner.get("type").is_some() {
                visit(inner, &format!("{pointer}/{word}/{at}"), look);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_sounds_secret_by_its_words() {
        for key in ["token", "api_key", "sasl_password", "headers", "Authorization"] {
            assert!(sounds_secret(key), "{key}");
        }
        for key in ["key_file", "token_file", "endpoint", "key", "monkey", "partition_key", "secret_name"] {
            assert!(!sounds_secret(key), "{key}");
        }
    }
}
