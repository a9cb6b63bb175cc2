//! What a file is that was given in place of another: a configuration, what a program says of itself, traces, a program.
//!
//! People mix up files and words. Whoever cannot use a file says what it is, and which word takes it.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::run::located;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// TOML that looks like ours.
    Configuration,
    /// The JSON of 2019.
    OldConfiguration,
    /// What `INTERCEPTORS_STATUS` names.
    Status,
    /// OTLP/JSON lines.
    Traces,
    Plugin,
    Program,
}

impl Kind {
    /// `None`: it cannot be read, or is anything else.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let mut start = Vec::new();
        if !path.is_file() {
            return None;
        }
        File::open(path).ok()?.take(ENOUGH).read_to_end(&mut start).ok()?;
        if start.starts_with(b"\x7fELF") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Some(if name.starts_with("libtracer_plugin_") { Self::Plugin } else { Self::Program });
        }
        if start.starts_with(b"#!") || interpreter(path).is_some() {
            return Some(Self::Program);
        }
        let text = String::from_utf8_lossy(&start);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with('{') {
            let kinds = [
                ("\"interceptors_status\"", Self::Status),
                ("\"resourceSpans\"", Self::Traces),
                ("\"services\"", Self::OldConfiguration),
            ];
            return kinds.into_iter().find(|(mark, _)| text.contains(mark)).map(|(_, kind)| kind);
        }
        let is_ours =
            |line: &str| ["version", "[services", "[backends", "[defaults"].iter().any(|key| line.starts_with(key));
        text.lines().any(|line| is_ours(line.trim_start())).then_some(Self::Configuration)
    }

    /// For a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Configuration => "a configuration",
            Self::OldConfiguration => "a configuration in the JSON of 2019",
            Self::Status => "a status file, which a program writes of itself",
            Self::Traces => "a file of traces",
            Self::Plugin => "a plugin",
            Self::Program => "a program",
        }
    }

    /// The command that takes it.
    pub(crate) fn way_out(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Configuration => format!("`tracer-interceptors check {path}` looks at it"),
            Self::OldConfiguration => format!("`tracer-interceptors migrate {path}` makes TOML of it"),
            Self::Status => format!("`tracer-interceptors status {path}` shows it"),
            Self::Traces => format!("`tracer-interceptors view {path}` shows them"),
            Self::Plugin => format!("`tracer-interceptors plugins describe {path}` describes it"),
            Self::Program => format!("`tracer-interceptors doctor -- {path}` looks at it"),
        }
    }

    /// Whether a configuration can be read from it, be it a broken one.
    fn may_configure(self) -> bool {
        matches!(self, Self::Configuration | Self::OldConfiguration)
    }
}

/// A file that is something else than a configuration: what, and what takes it.
pub(crate) fn no_configuration(path: &Path) -> Option<(String, String)> {
    let kind = Kind::of(path).filter(|kind| !kind.may_configure())?;
    Some((format!("{} is {}, and no configuration", path.display(), kind.name()), kind.way_out(path)))
}

/// A file in which there are no traces and never will be: what it is, and what takes it.
pub(crate) fn no_traces(path: &str) -> Option<String> {
    let path = Path::new(path);
    let kind = Kind::of(path).filter(|kind| *kind != Kind::Traces)?;
    Some(format!("{} is {}, and no file of traces: {}", path.display(), kind.name(), kind.way_out(path)))
}

/// What runs a script that is not executable by itself, by the end of its name.
pub(crate) fn interpreter(script: &Path) -> Option<&'static str> {
    INTERPRETERS.iter().find(|(ending, _)| script.extension().is_some_and(|of| of == *ending)).map(|(_, by)| *by)
}

/// What was given in place of a file may be a program, by its name alone: what takes it.
pub(crate) fn program(name: &Path) -> Option<String> {
    located(name.as_os_str()).filter(|program| program.is_file())?;
    let name = name.display();
    Some(format!("{name} is a program: `tracer-interceptors doctor -- {name}` looks at it"))
}

const INTERPRETERS: &[(&str, &str)] = &[
    ("py", "python3"),
    ("js", "node"),
    ("mjs", "node"),
    ("cjs", "node"),
    ("rb", "ruby"),
    ("php", "php"),
    ("sh", "sh"),
];

/// As much of a file as tells its kind.
const ENOUGH: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            ("a", "# ours\n[services.shop]\n", Some(Kind::Configuration)),
            ("b", "\u{feff}version = 1\n", Some(Kind::Configuration)),
            ("c", "{\"services\": []}", Some(Kind::OldConfiguration)),
            ("d", "{\"interceptors_status\":1,\"services\":[]}", Some(Kind::Status)),
            ("e", "{\"resourceSpans\":[]}\n", Some(Kind::Traces)),
            ("libtracer_plugin_otlp.so", "\x7fELF", Some(Kind::Plugin)),
            ("f", "\x7fELF", Some(Kind::Program)),
            ("g", "#!/bin/sh\n", Some(Kind::Program)),
            ("h.py", "import os\n", Some(Kind::Program)),
            ("i", "hello\n", None),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(Kind::of(&path), expected, "{name}");
        }
        assert_eq!((Kind::of(folder.path()), Kind::of(Path::new("/no/such/file"))), (None, None));
    }
}
