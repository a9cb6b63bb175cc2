//! `plugins new`: a project that builds a plugin, tests it, and holds it against the contract.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::command_line::{PluginLanguage, PluginNew};
use crate::failure::{self, Failure};
use crate::output::{self, counted};

pub(super) fn begin(asked: &PluginNew) -> Result<ExitCode, Failure> {
    let name = &asked.name;
    let is_right = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    if !is_right || name.len() > 64 {
        let what =
            format!("`{name}` is no name of a plugin: small letters, digits, _ and -, at most 64, a letter first");
        return Err(Failure { status: failure::MISUNDERSTOOD, what });
    }
    let folder = asked.dir.clone().unwrap_or_else(|| PathBuf::from(format!("tracer-plugin-{name}")));
    let files = project(asked.lang, name)
        .map_err(|error| Failure::of_ours(format!("the templates cannot be read: {error}")))?;
    // Nothing that is there is written over.
    match fs::read_dir(&folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(Failure::wrong(format!("{} is there already, and not empty", folder.display()))),
        Ok(false) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::wrong(format!("{} cannot be used: {error}", folder.display()))),
    }
    for (path, text) in &files {
        write(&folder.join(path), text)
            .map_err(|error| Failure::wrong(format!("{} cannot be written: {error}", folder.join(path).display())))?;
    }
    let next = match asked.lang {
        PluginLanguage::Rust => "cargo test && cargo build --release".to_owned(),
        _ => "make test && make check".to_owned(),
    };
    let (count, folder) = (counted(files.len(), "file"), folder.display());
    output::text(&format!("{count} in {folder}; README.md says what is where\nnext: cd {folder} && {next}\n"), true)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// The files of a project, by their paths in it.
fn project(language: PluginLanguage, name: &str) -> io::Result<BTreeMap<String, String>> {
    let mut text = String::new();
    flate2::read::ZlibDecoder::new(PACKED).read_to_string(&mut text)?;
    let packed: BTreeMap<String, String> = serde_json::from_str(&text)?;
    let (folder, title) = match language {
        PluginLanguage::Rust => ("rust/", "Rust"),
        PluginLanguage::C => ("c/", "C"),
        PluginLanguage::Cpp => ("cpp/", "C++"),
        PluginLanguage::Go => ("go/", "Go"),
        PluginLanguage::Zig => ("zig/", "Zig"),
    };
    let filled = |text: &str| {
        let identifier = name.replace('-', "_");
        text.replace("@NAME@", name)
            .replace("@IDENTIFIER@", &identifier)
            .replace("@LANGUAGE@", title)
            .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
    };
    let mut files = BTreeMap::new();
    for (path, text) in &packed {
        let Some(path) = path.strip_prefix(folder) else { continue };
        // Hidden files, and manifests that cargo would take for its own, have other names among the templates.
        let path = match path {
            "gitignore" => ".gitignore",
            other => other.strip_suffix(".template").unwrap_or(other),
        };
        files.insert(path.to_owned(), filled(text));
    }
    let is_rust = language == PluginLanguage::Rust;
    for (path, text) in &packed {
        let to = match path.as_str() {
            "ci/make.yml" if !is_rust => ".github/workflows/plugin.yml".to_owned(),
            "ci/cargo.yml" if is_rust => ".github/workflows/plugin.yml".to_owned(),
            // The crate includes nothing from outside its folder; the header is for who reads it.
            "include/tracer_plugin.h" | "include/tracer_plugin.map" if !is_rust => path.replace("include/", ""),
            "include/tracer_plugin.hpp" if language == PluginLanguage::Cpp => path.replace("include/", ""),
            "include/tracer_plugin.hpp" => continue,
            path if is_rust && path.starts_with("include/") => format!("tracer-plugin-api/{path}"),
            path if is_rust && path.starts_with("api/") => path.replacen("api/", "tracer-plugin-api/", 1),
            _ => continue,
        };
        let text = if to.starts_with('.') { filled(text) } else { text.clone() };
        files.insert(to, text);
    }
    Ok(files)
}

/// See `build.rs`.
const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/templates.json.z"));
