//! Promise: the code is laid out as it says it is: who may use whom, where `unsafe` may stand, how files begin and how
//! long they get.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "tidy/field_words.rs"]
mod field_words;
#[path = "tidy/file_graph.rs"]
mod file_graph;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/published.rs"]
mod published;
#[path = "tidy/stand_in.rs"]
mod stand_in;
#[path = "tidy/unsafe_files.rs"]
mod unsafe_files;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use unsafe_files::MAY_BE_UNSAFE;

/// What a module of the engine may use of the others: this table *is* the architecture. No module uses one that uses it.
const MAY_USE: &[(&str, &[&str])] = &[
    // What the file says.
    ("config", &["counted", "trusted_path"]),
    ("services", &["config"]),
    // What is decided without I/O.
    ("tracer", &["cancellation", "config", "per_process", "services"]),
    ("propagation", &["config", "tracer"]),
    // Finished spans on their way out. What a span's record names is the batches' own (`SpanOrigin`).
    ("export", &["config", "counted", "diagnostics", "per_process", "process_lock", "quiet_thread", "trusted_path"]),
    (
        "batch",
        &["clock", "config", "diagnostics", "export", "metrics", "per_process", "quiet_thread", "tracer", "zeroed"],
    ),
    // What is measured, as OpenTelemetry has it, and how it leaves.
    ("metrics", &["per_process"]),
    (
        "metric_readers",
        &[
            "batch",
            "clock",
            "config",
            "diagnostics",
            "export",
            "metrics",
            "own_descriptor",
            "per_process",
            "quiet_thread",
            "status",
            "swap",
        ],
    ),
    // A plugin's instance is an exporter.
    (
        "plugin",
        &[
            "config",
            "counted",
            "diagnostics",
            "export",
            "host",
            "loaded_modules",
            "per_process",
            "quiet_thread",
            "swap",
            "trusted_path",
        ],
    ),
    // What is said of all that, and done at the end of the process.
    ("status", &["batch", "config", "counted", "diagnostics", "export", "per_process", "services", "swap", "tracer"]),
    ("ends", &["cancellation", "batch", "diagnostics", "host", "per_process", "plugin"]),
    // Puts everything together that one configuration means.
    (
        "resolver",
        &[
            "batch",
            "clock",
            "config",
            "control_page",
            "counted",
            "diagnostics",
            "ends",
            "error",
            "export",
            "host",
            "metric_readers",
            "metrics",
            "per_process",
            "plugin",
            "quiet_thread",
            "services",
            "stack_room",
            "status",
            "swap",
            "tracer",
        ],
    ),
    // Per message: what a client's callbacks do, for the resolver that the client belongs to.
    (
        "interceptor",
        &[
            "batch",
            "cancellation",
            "clock",
            "config",
            "counted",
            "diagnostics",
            "ends",
            "export",
            "host",
            "loaded_modules",
            "metrics",
            "per_process",
            "propagation",
            "resolver",
            "services",
            "stack_room",
            "status",
            "tracer",
            "zeroed",
        ],
    ),
    // What a tool asks of all that, while nothing runs.
    ("inspect", &["config", "export", "plugin", "resolver"]),
    // The application's own spans, past the interceptor.
    ("bridge", &["batch", "clock", "ends", "export", "propagation", "resolver", "tracer"]),
    // What is measured, for the application's own provider.
    ("application_meter", &["diagnostics", "metric_readers", "metrics", "per_process", "resolver"]),
    // Plain things, which know nobody.
    ("cancellation", &[]),
    ("clock", &[]),
    ("control_page", &["own_descriptor", "per_process"]),
    ("counted", &[]),
    ("error", &["config"]),
    ("host", &["loaded_modules", "per_process", "tracer"]),
    ("loaded_modules", &[]),
    ("per_process", &[]),
    ("own_descriptor", &[]),
    ("process_lock", &["own_descriptor", "per_process"]),
    ("quiet_thread", &[]),
    ("swap", &[]),
    ("diagnostics", &["cancellation"]),
    ("stack_room", &["cancellation", "diagnostics", "quiet_thread"]),
    ("trusted_path", &[]),
    ("zeroed", &[]),
];

/// Longer files are two files.
const MOST_LINES: usize = 600;

struct SourceFile {
    /// Relative to the workspace.
    path: String,
    text: String,
}

impl SourceFile {
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap();
        self.path.split('/').any(|part| part == "tests" || part == "benches")
            || ["tests.rs", "test_words.rs", "queue_state_tests.rs"].contains(&name)
    }

    /// Without comments, and without the tests at its end.
    fn code(&self) -> String {
        let shipped = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        shipped.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
    }

    /// The root of a program one file of which is listed can only deny it: whoever is listed says that it expects it.
    fn forbids_unsafe(&self) -> bool {
        let words =
            if self.path.ends_with("/src/main.rs") { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        self.text.lines().any(|line| line == "#![forbid(unsafe_code)]" || line == words)
    }
}

/// Every Rust file of the workspace.
fn sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["resolver", "plugins", "examples", "tests"] {
        collect(root, &root.join(folder), ".rs", &mut files);
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.len() > 100, "the workspace was not found: {}", files.len());
    files
}

/// Every page of the workspace.
fn markdown_pages() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for folder in ["docs", "resolver", "plugins", "examples", "tests"] {
        collect(root, &root.join(folder), ".md", &mut pages);
    }
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"] {
        pages.push(SourceFile { path: name.to_owned(), text: fs::read_to_string(root.join(name)).unwrap() });
    }
    pages
}

fn collect(root: &Path, folder: &Path, ending: &str, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        // What is linked is looked at where it is.
        if path.is_symlink() {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "node_modules" && !name.starts_with('.') {
                collect(root, &path, ending, files);
            }
        } else if name.ends_with(ending) {
            let relative = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push(SourceFile { path: relative, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

/// The paths after `crate::` in a file, as module and item: `use crate::{batch::{BackendSet, Pipeline}, clock};` has three.
fn used_paths(code: &str) -> BTreeSet<(String, String)> {
    let mut paths = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        expand("", after, &mut paths);
    }
    paths
}

/// Reads one path or group at the start of `text`; what it names is below `prefix`.
fn expand(prefix: &str, text: &str, paths: &mut BTreeSet<(String, String)>) {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    if !group[start..at].trim().is_empty() {
                        expand(prefix, &group[start..at], paths);
                    }
                    start = at + 1;
                    if character == '}' {
                        return;
                    }
                }
                _ => {}
            }
        }
        return;
    }
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match (prefix, rest.strip_prefix("::")) {
        ("", Some(rest)) => expand(name, rest, paths),
        ("", None) => drop(paths.insert((name.to_owned(), String::new()))),
        // `use crate::config::{self, Report}`: the module itself is used by what follows it in the code.
        (module, _) if name == "self" => drop(paths.insert((module.to_owned(), String::new()))),
        (module, _) => drop(paths.insert((module.to_owned(), name.to_owned()))),
    }
}

/// What `lib.rs` gives out at the top, by name: `crate::Resolver` is `resolver::Resolver`.
fn given_out(lib: &SourceFile) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for line in lib.code().split("pub use ").skip(1) {
        let (module, items) = line.split(';').next().unwrap().split_once("::").unwrap();
        for item in items.trim_matches(['{', '}']).split(',') {
            names.insert(item.trim().to_owned(), module.to_owned());
        }
    }
    names
}

#[test]
fn the_engine_s_modules_use_only_what_the_table_grants_them() {
    let files = sources();
    let lib = files.iter().find(|file| file.path == "resolver/src/lib.rs").unwrap();
    let given_out = given_out(lib);
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for file in &files {
        let Some(place) = file.path.strip_prefix("resolver/src/") else { continue };
        if file.is_test() || place == "lib.rs" || place == "main.rs" || place.starts_with("bin/") {
            continue;
        }
        let module = place.split(['/', '.']).next().unwrap();
        let Some((_, granted)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: the table has no line for `{module}`", file.path));
            continue;
        };
        for (of, item) in used_paths(&file.code()) {
            let (of, item) = match given_out.get(&of) {
                Some(home) => (home.clone(), of),
                None => (of, item),
            };
            if of == module {
                continue;
            }
            if granted.contains(&of.as_str()) {
                used.entry(module.to_owned()).or_default().insert(of);
            } else {
                wrong.push(format!("{}: uses `{of}::{item}`, which the table does not grant", file.path));
            }
        }
    }
    for (module, granted) in MAY_USE {
        for grant in *granted {
            if !used.get(*module).is_some_and(|used| used.contains(*grant)) {
                wrong.push(format!("`{module}` is granted `{grant}` and does not use it: strike it out"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_module_uses_one_that_uses_it() {
    let mut left: Vec<_> = MAY_USE.to_vec();
    // Whatever uses nothing that is left, goes.
    while let Some(free) = left.iter().position(|(_, used)| !left.iter().any(|(name, _)| used.contains(name))) {
        left.remove(free);
    }
    assert!(left.is_empty(), "a ring among {:?}", left.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn no_file_uses_one_that_uses_it() {
    let files: Vec<_> = sources().into_iter().filter(|file| !file.is_test()).collect();
    let is_root = |file: &&SourceFile| {
        let path = file.path.as_str();
        path.contains("/src/") && (path.ends_with("/lib.rs") || path.ends_with("/main.rs"))
    };
    let roots: Vec<_> = files.iter().filter(is_root).map(|file| file.path.as_str()).collect();
    assert!(roots.len() > 10, "the crates were not found: {roots:?}");
    let all = || files.iter().map(|file| (file.path.as_str(), file.text.clone()));
    let rings: Vec<_> = roots.iter().flat_map(|root| file_graph::Graph::of(root, all()).rings()).collect();
    assert!(rings.is_empty(), "{} ring(s):\n{}", rings.len(), rings.join("\n"));
}

#[test]
fn kafka_plugins_and_files_are_each_known_in_one_place() {
    let known = [
        ("libloading", "resolver/src/plugin/"),
        ("tracer_plugin_api", "resolver/src/plugin/"),
        ("env::var_os", "resolver/src/config/"),
        ("toml::", "resolver/src/config/"),
        ("dl_iterate_phdr(", "resolver/src/loaded_modules.rs"),
        ("KafkaApi", "resolver/src/interceptor"),
    ];
    let mut wrong = Vec::new();
    for (word, place) in known {
        let holders: Vec<_> = sources()
            .into_iter()
            .filter(|file| file.path.starts_with("resolver/src/") && !file.is_test() && file.code().contains(word))
            .collect();
        let outside = holders.iter().filter(|file| !file.path.starts_with(place));
        wrong.extend(outside.map(|file| format!("{} knows `{word}`, which is for {place}", file.path)));
        assert!(!holders.is_empty(), "`{word}` is nowhere: the rule means nothing");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_only_where_it_is_listed_and_is_forbidden_everywhere_else() {
    let files = sources();
    let shipped = |file: &&SourceFile| {
        (file.path.starts_with("resolver/") || file.path.starts_with("plugins/")) && file.path.contains("/src/")
    };
    let mut wrong = Vec::new();
    let mut has_unsafe = BTreeSet::new();
    for file in files.iter().filter(shipped).filter(|file| !file.is_test()) {
        let words = file.code().replace("unsafe_code", "").replace("unsafe_op_in_unsafe_fn", "");
        let is_unsafe =
            words.split(|character: char| !character.is_alphanumeric() && character != '_').any(|w| w == "unsafe");
        if is_unsafe {
            has_unsafe.insert(file.path.as_str());
            if !MAY_BE_UNSAFE.contains(&file.path.as_str()) {
                wrong.push(format!("{} is unsafe and not listed", file.path));
            }
        } else if !is_parent_only(file) && !ancestors(&file.path, &files).any(SourceFile::forbids_unsafe) {
            wrong.push(format!("{} is safe: let it say #![forbid(unsafe_code)]", file.path));
        }
    }
    let unused = MAY_BE_UNSAFE.iter().filter(|path| !has_unsafe.contains(**path));
    wrong.extend(unused.map(|path| format!("{path} is listed and is not unsafe: strike it out")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a file holds modules and re-exports only: what it forbade, all of its modules would have to.
fn is_parent_only(file: &SourceFile) -> bool {
    !file.code().contains("fn ")
}

/// The file itself, the files of the modules around it, and its crate's root.
fn ancestors<'a>(path: &str, files: &'a [SourceFile]) -> impl Iterator<Item = &'a SourceFile> {
    let mut paths = vec![path.to_owned()];
    let mut folder = Path::new(path).parent().unwrap().to_owned();
    while !folder.ends_with("src") {
        paths.push(format!("{}.rs", folder.display()));
        folder = folder.parent().unwrap().to_owned();
    }
    paths.push(folder.join("lib.rs").display().to_string());
    files.iter().filter(move |file| paths.contains(&file.path))
}

/// The thread-locals that a file declares: name and type.
fn thread_locals(code: &str) -> Vec<(String, String)> {
    let mut declared = Vec::new();
    for after in code.split("thread_local!").skip(1) {
        let block = after.split("\n\n").next().unwrap();
        for one in block.split("static ").skip(1) {
            let (name, rest) = one.split_once(": ").unwrap();
            declared.push((name.to_owned(), rest.split(" = ").next().unwrap().to_owned()));
        }
    }
    declared
}

/// A thread may send, and with it run our callbacks, when its thread-locals are gone: those panic then. One whose type
/// has no destructor is there to the thread's end.
#[test]
fn no_callback_asks_for_a_thread_local_that_may_be_gone() {
    let folders = ["resolver/src/", "resolver/librdkafka/src/", "resolver/rdkafka/src/"];
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in sources() {
        // Elsewhere no client is traced, and no callback of ours is called.
        if file.is_test()
            || file.path.contains("/elsewhere/")
            || !folders.iter().any(|folder| file.path.starts_with(folder))
        {
            continue;
        }
        let code = file.code();
        if ["Context::current(", "map_current"].iter().any(|word| code.contains(word))
            && !file.path.ends_with("/application_context.rs")
        {
            wrong.push(format!("{} asks OpenTelemetry for the context: that is for application_context.rs", file.path));
        }
        for (name, of) in thread_locals(&code) {
            seen += 1;
            let keeps = ["Vec", "String", "Box", "Arc", "Rc<", "RefCell"].iter().any(|word| of.contains(word));
            let plain = of.starts_with("Cell<") && !keeps;
            for used in code.split(&format!("{name}.")).skip(1) {
                let how = used.split('(').next().unwrap();
                if how != "try_with" && !(plain && ["get", "set", "take", "replace"].contains(&how)) {
                    wrong.push(format!("{}: `{name}.{how}` may panic at the end of a thread", file.path));
                }
            }
        }
    }
    assert!(seen > 5, "the thread-locals were not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A child that is forked while another thread is in a `Once` or its like waits there for ever: `FirstMade` and `unless_done` do
/// not wait. Fields of what a client, a pipeline or one process has for itself are another matter.
#[test]
fn nobody_waits_for_a_thread_that_a_fork_has_left_behind() {
    // By whoever has claimed it alone, or holds the lock of Python, which whoever forks there holds; Node does not fork.
    let elsewhere = ["resolver/librdkafka/src/python/", "resolver/librdkafka/src/node_api/"];
    let claimed = ("resolver/src/resolver/global.rs", "LOADED");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in sources() {
        let folders = ["resolver/src/", "resolver/librdkafka/src/"];
        let is_meant = folders.iter().any(|folder| file.path.starts_with(folder)) && !file.is_test();
        if !is_meant || elsewhere.iter().any(|folder| file.path.starts_with(folder)) {
            continue;
        }
        for line in file.code().lines() {
            let Some((name, of)) = line.split_once("static ").and_then(|(_, declared)| declared.split_once(": "))
            else {
                continue;
            };
            seen += 1;
            let of = of.trim_start_matches("std::sync::");
            let waits = ["Once ", "OnceLock<", "LazyLock<"].iter().any(|word| of.starts_with(word));
            if waits && (&*file.path, name) != claimed {
                wrong.push(format!("{}: `{name}` is waited for", file.path));
            }
        }
    }
    assert!(seen > 50, "the statics were not found: {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A program without a logger hears warnings and errors on stderr: `report` sees to that, and `log`'s own macros do not.
#[test]
fn the_engine_warns_by_its_report_only() {
    let warns =
        |file: &SourceFile| ["log::warn!", "log::error!", "log::log!"].iter().any(|word| file.code().contains(word));
    let files = sources().into_iter().filter(|file| file.path.starts_with("resolver/src/") && !file.is_test());
    let warning: Vec<_> = files.filter(warns).map(|file| file.path).collect();
    assert_eq!(warning, ["resolver/src/diagnostics/log.rs"]);
}

#[test]
fn every_file_says_first_what_it_is_and_is_not_too_long() {
    let mut wrong = Vec::new();
    for file in sources() {
        let first = file.text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") {
            wrong.push(format!("{} does not begin with what it is", file.path));
        }
        let lines = file.text.lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{} has {lines} lines", file.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_has_banners_or_notes_to_self() {
    // Written in halves, so that this file does not hold them.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("// --", "--"),
        concat!("// ==", "=="),
        concat!("todo", "!("),
    ];
    let mut wrong = Vec::new();
    for file in sources() {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_contract_says_its_promise_in_its_first_line() {
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(name) = file.path.strip_prefix("tests/").filter(|name| !name.contains('/')) else { continue };
        if !file.text.starts_with("//! ") || !file.text.contains("#[test]") {
            wrong.push(name.to_owned());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_paths_reads_them_all() {
    let code = "use crate::{batch::{BackendSet, Pipeline}, clock};\nfn f() { crate::config::load(crate::Source) }\nuse crate::report;";
    let paths: Vec<_> = used_paths(code).into_iter().map(|(module, item)| format!("{module}::{item}")).collect();
    assert_eq!(paths, ["Source::", "batch::BackendSet", "batch::Pipeline", "clock::", "config::load", "report::"]);
}
