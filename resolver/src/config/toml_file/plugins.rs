//! `[plugins]` and `[plugins.NAME]`.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::keys;
use super::section::Section;
use crate::config::model::{PluginEntry, Plugins};
use crate::config::reading::field::Field;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::did_you_mean;
use crate::config::text::node::Value;
use crate::config::text::written_key::written_key;
use crate::counted::counted;

/// Where plugins are, and the names of those whose section is broken by a reference.
pub(super) fn read(top: &Section<'_>, folder: &Path, findings: &mut Findings) -> (Plugins, Vec<String>) {
    let mut plugins = Plugins::default();
    let mut broken = Vec::new();
    let title = |field: Field<'_>| match &field.node.value {
        Value::Array(_) => "[plugins.NAME]".to_owned(),
        _ => "[plugins]".to_owned(),
    };
    let section = top.field("plugins").map(|field| Section::open_map(field, title(field), findings));
    let Some(Ok(section)) = section else { return (plugins, broken) };
    for field in section.fields() {
        match (field.key, &field.node.value) {
            ("dirs", _) => match directories(field, folder, findings) {
                Ok(dirs) => plugins.dirs = dirs,
                // Searching elsewhere than was asked for might find another plugin.
                Err(Broken) => findings.distrust(),
            },
            (_, Value::Table(_)) => match entry(field, findings) {
                Ok(entry) => plugins.entries.push(entry),
                Err(Broken) => broken.push(field.key.to_owned()),
            },
            (key, _) => {
                let problem = Problem::error(code::UNKNOWN_KEY, format!("unknown key `{key}` in [plugins]"));
                let label = did_you_mean(key, keys::PLUGINS);
                let help = "known here: dirs, and one table [plugins.NAME] for each plugin";
                findings.refuse(problem.at(field.key_span.clone(), label).help(help));
            }
        }
    }
    (plugins, broken)
}

fn directories(field: Field<'_>, folder: &Path, findings: &mut Findings) -> Result<Vec<PathBuf>, Broken> {
    let mut dirs = Vec::new();
    let mut outcome = Ok(());
    for item in field.items("a list of directories", findings)? {
        match item.name("the name of this directory", "a directory", findings) {
            Ok("") => {
                let problem = Problem::error(code::OUT_OF_RANGE, "an empty name is no directory").at(item.span(), "");
                outcome = Err(item.unacceptable(problem, "the name of a directory", findings));
            }
            Ok(dir) => {
                let dir = folder.join(dir);
                if dirs.contains(&dir) {
                    let problem = Problem::warning(code::REPEATED_ENTRY, "`dirs` lists this twice");
                    findings.mention(problem.at(item.span(), "again"));
                } else {
                    dirs.push(dir);
                }
            }
            Err(broken) => outcome = Err(broken),
        }
    }
    outcome.map(|()| dirs)
}

fn entry(field: Field<'_>, findings: &mut Findings) -> Result<PluginEntry, Broken> {
    let title = format!("[plugins.{}]", written_key(field.key));
    let section = Section::open(field, title, keys::PLUGIN, findings)?;
    let file = section.field("file").map(|field| file(field, findings)).transpose();
    let sha256 = section.field("sha256").map(|field| sha256(field, findings)).transpose();
    Ok(PluginEntry { name: field.key.to_owned(), span: field.key_span.clone(), file: file?, sha256: sha256? })
}

fn file(field: Field<'_>, findings: &mut Findings) -> Result<PathBuf, Broken> {
    let wants = "the name of a file in one of the `dirs`, or an absolute path";
    let path = Path::new(field.name("the name of this file", wants, findings)?);
    // `..` ends in no file name either, so a bare name is exactly what it says.
    let is_bare = path.file_name().is_some_and(|name| name == path.as_os_str());
    if is_bare || (path.is_absolute() && path.file_name().is_some()) {
        return Ok(path.to_owned());
    }
    let problem = Problem::error(code::OUT_OF_RANGE, format!("`file` takes {wants}")).at(field.span(), "neither");
    Err(field.unacceptable(problem, wants, findings))
}

fn sha256(field: Field<'_>, findings: &mut Findings) -> Result<[u8; 32], Broken> {
    let wants = "64 hexadecimal digits, as sha256sum prints them";
    let text = field.text(wants, findings)?;
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map(|()| digest).map_err(|_| {
        let digits =
            text.trim().rsplit([':', '=']).next().unwrap_or_default().split_whitespace().next().unwrap_or_default();
        let label = match hex::decode_to_slice(digits, &mut [0; 32]) {
            Ok(()) => "write the digits alone".to_owned(),
            Err(_) => counted(text.chars().count() as u64, "character"),
        };
        let problem = Problem::error(code::BAD_NOTATION, format!("`sha256` takes {wants}")).at(field.span(), label);
        field.unacceptable(problem, wants, findings)
    })
}
