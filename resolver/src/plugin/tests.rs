//! Plugins as the host meets them: C ones compiled here from a few lines, and the misbehaving one of the fixtures.

mod codes;
mod compatibility;
mod credentials;
mod loading;
mod misbehaviour;
mod refusals;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};

use super::load_error::{LoadError, LoadFailure};
use super::plugin_file::PluginFile;
use super::*;
use crate::config::{PluginEntry, Plugins};

/// For calls that no watchdog looks at.
fn unwatched(_: &'static str, _: std::time::Duration) {}

/// A folder of a test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tracer-resolver-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().canonicalize().unwrap().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// An error's text, with this folder's name replaced.
    fn hide_in(&self, error: &LoadError) -> String {
        format!("{} {error}", error.code()).replace(self.0.to_str().unwrap(), "DIR")
    }

    fn plugins(&self) -> Plugins {
        Plugins { dirs: vec![self.0.clone()], entries: Vec::new(), ..Plugins::default() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A plugin in C; the fields are C expressions, and good ones by default.
struct CPlugin {
    entry: &'static str,
    returns: &'static str,
    struct_size: &'static str,
    abi_major: &'static str,
    capabilities: &'static str,
    signals: &'static str,
    encodings: &'static str,
    type_name: &'static str,
    version: &'static str,
    schema: &'static str,
    /// The eight functions, in order.
    functions: &'static str,
    /// Whatever else.
    more: String,
}

impl Default for CPlugin {
    fn default() -> Self {
        Self {
            entry: "tracer_plugin_v1",
            returns: "&table",
            struct_size: "sizeof(tracer_plugin)",
            abi_major: "1",
            capabilities: "0",
            signals: "2",
            encodings: "2",
            type_name: "sample",
            version: "1.2.3",
            schema: r#"{"type": "object"}"#,
            functions: GOOD_FUNCTIONS,
            more: String::new(),
        }
    }
}

const GOOD_FUNCTIONS: &str = "validate, create, export_batch, timed, timed, destroy, stats, get_extension";

impl CPlugin {
    fn source(&self) -> String {
        // Rust's escapes of ASCII are C's.
        let text = |text: &str| format!("{{ {text:?}, sizeof({text:?}) - 1 }}");
        format!(
            r#"
#include "tracer_plugin.h"
struct tracer_instance {{ int unused; }};
static struct tracer_instance the_only_one;
{more}
#ifndef OWN_VALIDATE
static tracer_code validate(const tracer_validate_args *args, tracer_error *error) {{ (void)args; (void)error; return TRACER_OK; }}
#endif
#ifndef OWN_EXPORT
static tracer_code export_batch(tracer_instance *it, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error)
{{ (void)it; (void)batch; (void)timeout_ms; (void)error; return TRACER_OK; }}
#endif
static tracer_code create(const tracer_create_args *args, tracer_instance **out, tracer_error *error)
{{ (void)args; (void)error; *out = &the_only_one; return TRACER_OK; }}
static tracer_code timed(tracer_instance *it, const tracer_call *call, tracer_error *error)
{{ (void)it; (void)call; (void)error; return TRACER_OK; }}
static void destroy(tracer_instance *it) {{ (void)it; }}
static tracer_code stats(const tracer_instance *it, tracer_stats *out) {{ (void)it; (void)out; return TRACER_ERR_UNSUPPORTED; }}
static const void *get_extension(tracer_str id) {{ (void)id; return 0; }}
__attribute__((unused)) static const tracer_plugin table = {{ {size}, {major}, 0, {capabilities}, {signals}, {encodings},
    {type_name}, {version}, {{ 0, 0 }}, {schema}, {functions} }};
/* Some variants do not use them all. */
void *tracer_unused[] __attribute__((visibility("hidden"))) = {{ (void *)&table, (void *)validate, (void *)create,
    (void *)export_batch, (void *)timed, (void *)destroy, (void *)stats, (void *)get_extension }};
TRACER_PLUGIN_EXPORT const tracer_plugin *{entry}(uint32_t host_minor) {{ (void)host_minor; return {returns}; }}
"#,
            more = self.more,
            size = self.struct_size,
            major = self.abi_major,
            capabilities = self.capabilities,
            signals = self.signals,
            encodings = self.encodings,
            type_name = text(self.type_name),
            version = text(self.version),
            schema = text(self.schema),
            functions = self.functions,
            entry = self.entry,
            returns = self.returns,
        )
    }

    /// Compiles it to `path`.
    fn compile(&self, path: &Path) {
        compile(&self.source(), path);
    }

    /// Compiles it into the folder, under the name that the search expects.
    fn install(&self, folder: &Folder) -> PathBuf {
        let path = folder.join("libtracer_plugin_sample.so");
        self.compile(&path);
        path
    }
}

pub(super) fn compile(source: &str, path: &Path) {
    compile_with(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/api/include"), source, path);
}

/// With the header in this folder.
fn compile_with(include: &Path, source: &str, path: &Path) {
    let source_path = path.with_extension("c");
    fs::write(&source_path, source).unwrap();
    let output = Command::new("cc")
        .args([
            "-std=c99",
            "-Wall",
            "-Werror=incompatible-pointer-types",
            "-shared",
            "-fPIC",
            "-fvisibility=hidden",
            "-I",
        ])
        .arg(include)
        .arg("-o")
        .args([path, &source_path])
        .output()
        .expect("a C compiler, `cc`, is needed for this test");
    assert!(output.status.success(), "{}\n{source}", String::from_utf8_lossy(&output.stderr));
}

/// A loader that searches nothing but what the configuration says.
fn loader(trust: Trust) -> Loader {
    Loader::for_test(trust, Vec::new(), PluginFile::sealed_copy)
}

fn entry(file: Option<&Path>, sha256: Option<[u8; 32]>) -> PluginEntry {
    PluginEntry { name: "sample".to_owned(), span: 0..0, file: file.map(Path::to_owned), sha256 }
}

/// `[plugins.sample]` with a file, and perhaps a pin.
fn pinned(file: &Path, sha256: Option<[u8; 32]>) -> Plugins {
    Plugins { dirs: Vec::new(), entries: vec![entry(Some(file), sha256)], ..Plugins::default() }
}

fn sha256_of(path: &Path) -> [u8; 32] {
    PluginFile::open(path).unwrap().unwrap().sha256().unwrap()
}

/// Everything logged by this process since the first call.
fn logged() -> Vec<(log::Level, String, String)> {
    struct Capture;
    static LINES: Mutex<Vec<(log::Level, String, String)>> = Mutex::new(Vec::new());
    static INSTALL: Once = Once::new();

    impl log::Log for Capture {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            let line = (record.level(), record.target().to_owned(), record.args().to_string());
            LINES.lock().unwrap().push(line);
        }

        fn flush(&self) {}
    }

    INSTALL.call_once(|| {
        log::set_logger(&Capture).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    LINES.lock().unwrap().clone()
}

/// The lines that contain a word, a backend's name for example.
fn logged_about(word: &str) -> Vec<(log::Level, String, String)> {
    logged().into_iter().filter(|(_, _, text)| text.contains(word)).collect()
}
