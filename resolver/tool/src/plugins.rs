//! `plugins`: which are there, what their settings are, and which file each is; and what the author of one asks.

#![forbid(unsafe_code)]

mod author;
mod check;
mod new;
mod run;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value as Json, json};
use tracer_resolver::config::{PluginEntry, Plugins as Declared};
use tracer_resolver::inspect::{InstalledPlugin, UnusablePlugin};

use crate::command_line::{Format, Plugins};
use crate::configuration::Configuration;
use crate::effective;
use crate::failure::{Failure, MISUNDERSTOOD};
use crate::given_file::Kind;
use crate::output;
use crate::plugin_warnings;
use crate::toml_text;

pub(crate) fn answer(asked: Plugins) -> Result<ExitCode, Failure> {
    plugin_warnings::collect();
    let answered = match asked {
        Plugins::Check(asked) => check::check(&asked),
        Plugins::Describe { name, file, format } => describe(&name, file.file.as_deref(), format.format),
        Plugins::List { file, format } => list(file.file.as_deref(), format.format),
        Plugins::New(asked) => new::begin(&asked),
        Plugins::OneRule => check::one_rule(),
        Plugins::Pin { file } => pin(file.file.as_deref()),
        Plugins::Run(asked) => run::run(&asked),
    };
    plugin_warnings::tell();
    answered
}

/// Where the configuration wants plugins to be looked for; without one, the default places count.
fn declared(configuration: &Configuration) -> Declared {
    let loaded = &configuration.loaded;
    let used = loaded.config.as_ref().map(|config| &config.plugins);
    used.or(loaded.untrusted.as_ref().map(|untrusted| &untrusted.plugins)).cloned().unwrap_or_default()
}

/// A file that is named and cannot be read is not taken for one that says nothing.
fn configuration(file: Option<&Path>) -> Result<Configuration, Failure> {
    let configuration = Configuration::of(file);
    let loaded = &configuration.loaded;
    let is_nothing = loaded.config.is_none() && loaded.untrusted.is_none();
    if is_nothing && loaded.report.has_errors() {
        let shown = loaded.report.render(false);
        return Err(Failure::wrong(format!("{} cannot be used\n{shown}", loaded.report.name)));
    }
    Ok(configuration)
}

fn list(file: Option<&Path>, format: Format) -> Result<ExitCode, Failure> {
    let configuration = configuration(file)?;
    let (search, declared) = (configuration.plugin_search(), declared(&configuration));
    let found: Vec<(String, Result<InstalledPlugin, UnusablePlugin>)> = search
        .present(&declared)
        .into_iter()
        .map(|name| {
            let loaded = search.load(&name, &declared);
            (name, loaded)
        })
        .collect();
    let is_well = found.iter().all(|(_, plugin)| plugin.is_ok());
    if format == Format::Json {
        let plugins: Vec<Json> = found.iter().map(|(name, plugin)| one_as_json(name, plugin)).collect();
        return output::json(&json!({ "plugins": plugins }), is_well);
    }
    let width = found.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for (name, plugin) in &found {
        match plugin {
            Ok(plugin) => out.push_str(&format!("{name:width$}  {}  {}\n", plugin.version(), plugin.path().display())),
            Err(error) => {
                let message = error.message.replace('\n', "\n    ");
                out.push_str(&format!(
                    "{name:width$}  cannot be used [{}]: {message}\n    {}\n",
                    error.code, error.help
                ));
            }
        }
    }
    if found.is_empty() {
        out.push_str("no plugin is installed\n");
    }
    output::text(&out, is_well)
}

fn one_as_json(name: &str, plugin: &Result<InstalledPlugin, UnusablePlugin>) -> Json {
    match plugin {
        Ok(plugin) => json!({
            "name": name,
            "version": plugin.version(),
            "file": plugin.path(),
            "sha256": plugin.sha256().ok().map(hex::encode),
        }),
        Err(error) => json!({ "name": name, "code": error.code, "error": error.message, "help": error.help }),
    }
}

fn describe(name: &str, file: Option<&Path>, format: Format) -> Result<ExitCode, Failure> {
    let given = Path::new(name);
    let built = built(given);
    if let Some(kind) = Kind::of(given).filter(|_| file.is_none() && built.is_none()) {
        let what = format!("{name} is {}, and no plugin's name: {}", kind.name(), kind.way_out(given));
        return Err(Failure { status: MISUNDERSTOOD, what });
    }
    if name.contains('/') && built.is_none() {
        let what = if given.exists() { "it is no shared object" } else { "there is no such file" };
        return Err(Failure::wrong(format!("{name}: {what}")));
    }
    let configuration = configuration(file)?;
    let (search, mut declared) = (configuration.plugin_search(), declared(&configuration));
    let name = match &built {
        Some(entry) => &entry.name,
        None => name,
    };
    if let Some(entry) = &built {
        declared.entries.retain(|other| other.name != entry.name);
        declared.entries.push(entry.clone());
    }
    let plugin = match search.load(name, &declared) {
        Ok(plugin) => plugin,
        Err(error) if format == Format::Json => {
            return output::json(&one_as_json(name, &Err(error)), false);
        }
        Err(error) => {
            return output::text(
                &format!("error[{}]: {}\n = help: {}\n", error.code, error.message, error.help),
                false,
            );
        }
    };
    if format == Format::Json {
        let mut described = one_as_json(name, &Ok(plugin.clone()));
        if let Some(members) = described.as_object_mut() {
            members.insert("schema".to_owned(), plugin.schema().clone());
            members.insert("exports_concurrently".to_owned(), Json::from(plugin.exports_concurrently()));
            members.insert("signals".to_owned(), Json::from(plugin.signals()));
        }
        return output::json(&described, true);
    }
    let mut out = format!("{}\n", plugin.description());
    let hash = plugin.sha256().map_or_else(|error| format!("cannot be read: {error}"), hex::encode);
    out.push_str(&format!("sha256 {hash}\n"));
    let batches = if plugin.exports_concurrently() { "several batches at once" } else { "one batch at a time" };
    let signals = plugin.signals().join(" and ");
    out.push_str(&format!("takes {signals}, {batches}\n\n"));
    let mut keys = String::new();
    settings(plugin.schema(), plugin.schema(), "", &mut keys);
    match keys.as_str() {
        "" => out.push_str("it has no settings\n"),
        keys => out.push_str(&format!("settings, in [backends.NAME.config]:\n{keys}")),
    }
    output::text(&out, true)
}

/// A shared object, as its author has just built it: under the name that it calls itself, or else that of its file.
fn built(given: &Path) -> Option<PluginEntry> {
    let is_library = matches!(Kind::of(given), Some(Kind::Plugin | Kind::Program)) && given.extension()? == "so";
    let file = std::path::absolute(given).ok().filter(|_| is_library)?;
    let stem = given.file_stem()?.to_str()?.trim_start_matches("lib");
    let name = check::type_name_of(&file);
    let name = name.unwrap_or_else(|| stem.strip_prefix("tracer_plugin_").unwrap_or(stem).to_owned());
    Some(PluginEntry { name, span: 0..0, file: Some(file), sha256: None })
}

/// The keys of an object's schema, those of the objects in it below them.
fn settings(root: &Json, schema: &Json, above: &str, out: &mut String) {
    let schema = resolved(root, schema);
    let required = |key: &str| {
        schema.get("required").and_then(Json::as_array).is_some_and(|names| names.iter().any(|name| name == key))
    };
    for (key, inner) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let inner = resolved(root, inner);
        let path = format!("{above}{}", toml_text::key(key));
        let mut facts = vec![kind(inner)];
        if required(key) {
            facts.push("required".to_owned());
        }
        if let Some(default) = inner.get("default") {
            facts.push(format!("default {}", toml_text::value(default)));
        }
        let items = inner.get("additionalProperties").unwrap_or(&Json::Null);
        if [inner, items].iter().any(|schema| schema.get("x-secret") == Some(&Json::Bool(true))) {
            facts.push("secret".to_owned());
        }
        out.push_str(&format!("  {path}: {}\n", facts.join(", ")));
        if let Some(description) = inner.get("description").and_then(Json::as_str) {
            out.push_str(&format!("      {description}\n"));
        }
        settings(root, inner, &format!("{path}."), out);
    }
}

fn resolved<'s>(root: &'s Json, schema: &'s Json) -> &'s Json {
    let target = schema.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

fn kind(schema: &Json) -> String {
    if let Some(choices) = schema.get("enum").and_then(Json::as_array) {
        return choices.iter().map(toml_text::value).collect::<Vec<_>>().join(" | ");
    }
    match schema.get("type") {
        Some(Json::String(kind)) if kind == "object" => "table".to_owned(),
        Some(Json::String(kind)) => kind.clone(),
        Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any value".to_owned(),
    }
}

fn pin(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let configuration = configuration(file)?;
    let search = configuration.plugin_search();
    let mut declared = declared(&configuration);
    // The files as they are now are to be pinned, whatever was pinned before.
    declared.entries.iter_mut().for_each(|entry| entry.sha256 = None);
    let backends = configuration.loaded.config.as_ref().map_or(&[][..], |config| config.backends.as_slice());
    let mut names: Vec<String> = backends.iter().map(|backend| backend.plugin.clone()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        names = search.present(&declared);
    }
    let mut out = String::new();
    for name in names {
        let plugin = search.load(&name, &declared);
        let plugin = plugin.map_err(|error| Failure::wrong(format!("{}; {}", error.message, error.help)))?;
        let unreadable =
            |error: io::Error| Failure::wrong(format!("{} cannot be read: {error}", plugin.path().display()));
        let hash = plugin.sha256().map_err(unreadable)?;
        out.push_str(&format!("# {} {} from {}\n", plugin.name(), plugin.version(), plugin.path().display()));
        if let Some(section) = configuration.written.at(&["plugins", &name]) {
            let place = effective::file_and_line(&configuration, &section.key_span);
            out.push_str(&format!("# This section is there already: {place}.\n"));
        }
        out.push_str(&format!("[plugins.{}]\nsha256 = \"{}\"\n\n", toml_text::key(&name), hex::encode(hash)));
    }
    output::text(&format!("{}\n", out.trim_end()), true)
}
