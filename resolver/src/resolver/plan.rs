//! A backend as its configuration has it, and then with its plugin loaded and its settings checked. Nothing runs yet.

#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::tell;
use crate::config::{Backend, Plugins, Problem, Report, Untrusted};
use crate::diagnostics;
use crate::plugin::{self, Complaint, Failed, Instance, Loader, PluginLibrary, Rebirth, Trust};
use crate::quiet_thread;

/// A backend as its configuration has it, and where its plugin is looked for.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) settings: Backend,
    plugins: Plugins,
    loader: Loader,
    /// The configuration's name and text: what is wrong is shown there.
    text: Arc<Report>,
}

/// What it takes to create a backend, again in every fork.
pub(super) struct Plan {
    pub(super) settings: Backend,
    /// The plugin's settings, references read as the types its schema wants.
    pub(super) config: Value,
    pub(super) library: Arc<PluginLibrary>,
}

/// Looks for the plugins of a configuration that is not used, and lets them check their settings: all problems are told
/// in one run. Creates nothing.
pub(super) fn check(untrusted: &Untrusted, strict: bool, report: &mut Report) {
    check_with(&loader(strict), &untrusted.backends, &untrusted.plugins, report);
}

/// The same for a configuration that an application's client asked for: it does not wait, and what is wrong is told when it
/// is known.
pub(super) fn check_later(untrusted: Untrusted, report: &Report) {
    let mut later = Report::new(report.name.clone(), report.text.clone());
    let body = move || {
        check(&untrusted, false, &mut later);
        tell::tell(&later, false);
    };
    if let Err(error) = quiet_thread::spawn("tr-check".to_owned(), body) {
        diagnostics::warn(&format!("the plugins were not asked for their opinion: {error}"));
    }
}

/// The same of any backends.
pub(crate) fn check_with(loader: &Loader, backends: &[Backend], plugins: &Plugins, report: &mut Report) {
    let text = text_of(report);
    for backend in backends {
        if let Err(problems) = Wanted::new(loader, plugins, backend, &text).plan_in_time() {
            report.problems.extend(problems);
        }
    }
}

/// The configuration itself, without what is wrong with it.
pub(super) fn text_of(report: &Report) -> Arc<Report> {
    Arc::new(Report::new(report.name.clone(), report.text.clone()))
}

pub(super) fn loader(strict: bool) -> Loader {
    Loader::new(if strict { Trust::Strict } else { Trust::Lenient })
}

impl Wanted {
    pub(super) fn new(loader: &Loader, plugins: &Plugins, backend: &Backend, text: &Arc<Report>) -> Self {
        let (settings, plugins) = (backend.clone(), plugins.clone());
        Self { settings, plugins, loader: loader.clone(), text: Arc::clone(text) }
    }

    /// Loads the plugin, and lets it check the settings; else, all that is wrong. On a thread of the host's: runs code of the
    /// plugin, and nobody knows how long it takes.
    pub(super) fn plan(&self) -> Result<Plan, Vec<Problem>> {
        let backend = &self.settings;
        let library = self.loader.load(&backend.plugin, &self.plugins).map_err(|error| {
            let message = format!("backend `{}`: {}", backend.name, one_line(&error.message()));
            let problem = Problem::error(error.code(), message).at(backend.plugin_span.clone(), "named here");
            vec![problem.help(error.help())]
        })?;
        self.is_ready(&library)?;
        let settings = library.typed_settings(&backend.config, &backend.config_references);
        let complaints = library.check(&settings, &backend.config_secrets);
        if !complaints.is_empty() {
            return Err(complaints.iter().map(|complaint| self.complaint(complaint)).collect());
        }
        Ok(Plan { settings: backend.clone(), config: settings, library })
    }

    /// The same for whoever waits for it, which nobody does for ever.
    pub(super) fn plan_in_time(&self) -> Result<Plan, Vec<Problem>> {
        let wanted = self.clone();
        plugin::within(plugin::PATIENCE, move || wanted.plan()).unwrap_or_else(|failed| Err(vec![self.late(&failed)]))
    }

    /// It has not answered in time.
    pub(super) fn late(&self, failed: &Failed) -> Problem {
        let help = "the plugin hangs in its constructors, its validate or its create: tell its author";
        self.cannot_start(&failed.to_string(), help)
    }

    /// Whether the plugin may be used in this process.
    pub(super) fn is_ready(&self, library: &PluginLibrary) -> Result<(), Vec<Problem>> {
        library.is_ready().map_err(|why| vec![self.cannot_start(why, "create the first client after the fork")])
    }

    fn cannot_start(&self, why: &str, help: &str) -> Problem {
        let Backend { name, plugin, plugin_span, .. } = &self.settings;
        let message = format!("backend `{name}`: plugin `{plugin}` cannot start: {why}");
        Problem::error("P109", message).at(plugin_span.clone(), "named here").help(help)
    }

    /// A plugin's complaint, at the line of the setting that it complains about.
    pub(super) fn complaint(&self, complaint: &Complaint) -> Problem {
        let backend = &self.settings;
        let place = key_path(&backend.config, &complaint.pointer).map_or(String::new(), |path| format!(" `{path}`"));
        let message =
            format!("backend `{}`: plugin `{}` rejects{place}: {}", backend.name, backend.plugin, complaint.message);
        let value = backend.place_of(&complaint.pointer);
        // An unknown key is wrong itself, and not its value.
        let key = complaint.is_of_key.then(|| key_before(&self.text.text, &value, &complaint.pointer));
        Problem::error("P107", message).at(key.flatten().unwrap_or(value), "here")
    }
}

impl Plan {
    /// Whether it is the same backend, wherever it stands in its file: what runs for the one may go on for the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let sending = |plan: &Self| {
            let Backend { timeout, concurrency, queue_bytes, shed_traces, retry, .. } = plan.settings;
            (timeout, concurrency, queue_bytes, shed_traces, retry)
        };
        self.settings.name == other.settings.name
            && Arc::ptr_eq(&self.library, &other.library)
            && self.config == other.config
            // What is read anew when it is refused, and what is blotted out.
            && are_the_same(&self.settings.config_files, &other.settings.config_files)
            && are_the_same(&self.settings.config_secrets, &other.settings.config_secrets)
            && sending(self) == sending(other)
            && self.settings.spool == other.settings.spool
    }

    /// Its name and its plugin's, for a line in the log.
    pub(super) fn describe(&self) -> String {
        format!("{} ({})", self.settings.name, self.library.description())
    }

    /// On a thread of the host's, as [`Wanted::plan`].
    pub(super) fn create(&self) -> Result<Instance, Complaint> {
        Instance::create(Arc::clone(&self.library), &self.settings, &self.config, Rebirth::default())
    }
}

/// A load error's list of places and hashes, as a title can show it.
fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let rest: Vec<_> = lines.collect();
    if rest.is_empty() { first.to_owned() } else { format!("{first} {}", rest.join("; ")) }
}

/// The bytes of the key whose value stands at `value`, if the text has it before an equals sign.
fn key_before(text: &str, value: &Range<usize>, pointer: &str) -> Option<Range<usize>> {
    let key = pointer.rsplit('/').next()?.replace("~1", "/").replace("~0", "~");
    let before = text.get(..value.start)?.trim_end().strip_suffix('=')?.trim_end();
    let bare = before.trim_end_matches(['"', '\'']);
    bare.ends_with(&key).then(|| bare.len() - key.len()..bare.len())
}

/// A JSON pointer into `config` as the file writes keys, `config.headers."x.y"`; an entry of a list has its number.
fn key_path(config: &Value, pointer: &str) -> Option<String> {
    let mut path = "config".to_owned();
    let mut here = Some(config);
    for token in pointer.strip_prefix('/')?.split('/') {
        let key = token.replace("~1", "/").replace("~0", "~");
        let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        match here {
            Some(Value::Array(_)) => path.push_str(&format!("[{key}]")),
            _ if is_bare => path.push_str(&format!(".{key}")),
            _ => path.push_str(&format!(".{key:?}")),
        }
        here = here.and_then(|value| match value {
            Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            Value::Object(members) => members.get(&key),
            _ => None,
        });
    }
    Some(path)
}

/// In whatever order a file has them.
fn are_the_same<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.len() == other.len() && one.iter().all(|each| other.contains(each))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_complaint_is_written_as_the_file_writes_it() {
        let config = serde_json::json!({ "headers": { "x.y/z": 1 }, "hosts": ["a", { "port": 1 }] });
        for (pointer, path) in [
            ("/endpoint", "config.endpoint"),
            ("/headers/x.y~1z", "config.headers.\"x.y/z\""),
            ("/hosts/1/port", "config.hosts[1].port"),
            ("/gone/0/~0", "config.gone.0.\"~\""),
        ] {
            assert_eq!(key_path(&config, pointer).as_deref(), Some(path));
        }
        assert_eq!(key_path(&config, ""), None);
    }

    #[test]
    fn an_unknown_key_is_shown_itself_where_it_is_written_before_its_value() {
        for (text, pointer, shown) in [
            ("config = { compresion = 1 }", "/compresion", Some("compresion")),
            ("config.tls.\"c/a\" =  1", "/tls/c~1a", Some("c/a")),
            ("[backends.b.config.tsl]\nx = 1", "/tsl", None),
        ] {
            let at = text.find('1').unwrap();
            let value = if shown.is_some() { at..at + 1 } else { 0..23 };
            assert_eq!(key_before(text, &value, pointer).map(|span| &text[span]), shown, "{text}");
        }
    }
}
