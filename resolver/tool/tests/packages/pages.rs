//! The page of each language is true: whoever does what it says sees what it shows.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use words::foreign::{GoBuild, go_program, node_modules, python, skip};
use words::{Traced, WayIn, draw_traces_with, run};

use crate::page::{blocks, changed, docs, without_times};
use crate::support::{Files, has_kcat};
use crate::{npm_package, wheel};

/// The pages with a program, its language, and its file.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("python.md", "python", "python/app.py"),
    ("node.md", "js", "node/app.js"),
    ("go.md", "go", "go/main.go"),
    ("c.md", "c", "c/app.c"),
    ("php.md", "php", "php/app.php"),
];

#[test]
fn every_program_is_shown_as_it_is_and_is_short() {
    for (page, language, file) in PROGRAMS {
        let program = fs::read_to_string(docs().join(file)).unwrap();
        let shown = blocks(page).into_iter().find(|block| block.language == language).unwrap();
        assert_eq!(shown.text, program, "{page}");
        assert!(program.lines().count() <= 28, "{file}");
    }
}

#[test]
fn the_links_lead_somewhere() {
    let pages = fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for page in pages.chain([docs().with_file_name("README.md")]) {
        let text = fs::read_to_string(&page).unwrap();
        for to in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = page.with_file_name(to.split('#').next().unwrap());
            assert!(to.starts_with("https://") || file.exists(), "{}: {to}", page.display());
        }
    }
}

#[test]
fn the_files_they_install_are_of_this_version() {
    for entry in fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&entry).unwrap();
        for name in ["/tracer_interceptors-", "/tracer-interceptors-", "/tracer-resolver_"] {
            for version in text.split(name).skip(1) {
                assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{}: {name}", entry.display());
            }
        }
    }
}

#[test]
fn the_index_names_every_page() {
    let index = fs::read_to_string(docs().with_file_name("README.md")).unwrap();
    for entry in fs::read_dir(docs()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".md") || index.contains(&format!("(docs/{name})")), "{name}");
    }
}

#[test]
fn the_page_of_python_is_true() {
    let (Some(python), Some(site)) = (python(), wheel::installed()) else { return };
    let mut place = Place::new();
    place.path.push(python.parent().unwrap().to_owned());
    place.variables.push(("PYTHONPATH", site.path().to_owned()));
    place.follow("python.md");
}

#[test]
fn the_page_of_node_is_true() {
    let (Some(clients), Some(ours)) = (node_modules(), npm_package::installed()) else { return };
    let place = Place::new();
    let modules = place.folder.path().join("node_modules");
    fs::create_dir(&modules).unwrap();
    symlink(clients.join("node-rdkafka"), modules.join("node-rdkafka")).unwrap();
    for ours_too in ["tracer-interceptors", ".bin"] {
        symlink(ours.path().join("node_modules").join(ours_too), modules.join(ours_too)).unwrap();
    }
    place.follow("node.md");
}

#[test]
fn the_page_of_go_is_true() {
    if go_program(GoBuild::Static).is_none() {
        return;
    }
    let mut place = Place::new();
    // The module of the tests names the client, and has been fetched.
    for file in ["go.mod", "go.sum"] {
        fs::copy(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/go").join(file),
            place.folder.path().join(file),
        )
        .unwrap();
    }
    place.variables.extend([("GOTOOLCHAIN", "local".into()), ("GOFLAGS", "-buildvcs=false".into())]);
    place.follow("go.md");
}

#[test]
fn the_page_of_c_is_true() {
    if !Command::new("pkg-config").args(["--exists", "rdkafka"]).status().is_ok_and(|status| status.success()) {
        return skip("pkg-config knows no rdkafka (Debian: librdkafka-dev)");
    }
    Place::new().follow("c.md");
}

#[test]
fn the_page_of_kcat_is_true() {
    if has_kcat() {
        Place::new().follow("kcat.md");
    }
}

#[test]
fn the_page_of_php_is_true() {
    match Command::new("php").args(["-r", "echo extension_loaded('rdkafka') ? 'yes' : 'no';"]).output() {
        Err(error) => skip(&format!("php: {error}")),
        Ok(said) if said.stdout != b"yes" => skip("PHP does not load the extension rdkafka"),
        Ok(_) => Place::new().follow("php.md"),
    }
}

/// Where a reader does what a page says.
struct Place {
    folder: TempDir,
    /// Where the tool is, and the library beside it.
    files: Files,
    /// Searched for programs before the others.
    path: Vec<PathBuf>,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["tracing.toml", "forwarding.toml"] {
            fs::copy(docs().join(file), folder.path().join(file)).unwrap();
        }
        Self { folder, files: Files::new(), path: Vec::new(), variables: Vec::new() }
    }

    /// Writes the page's program, runs it as often as the page does, each time with the changes so far, and compares what
    /// was traced with what the page shows.
    fn follow(&self, page: &str) {
        let program = PROGRAMS.into_iter().find(|(name, ..)| *name == page);
        let (_, language, file) = program.unwrap_or_default();
        let file = self.folder.path().join(Path::new(file).file_name().unwrap_or_default());
        let blocks = blocks(page);
        let mut shown = String::new();
        let mut runs = 0;
        for (at, block) in blocks.iter().enumerate() {
            if block.language == language {
                let present = fs::read_to_string(&file).ok();
                fs::write(&file, present.map_or(block.text.clone(), |present| changed(&present, &block.text))).unwrap();
            } else if block.is_run() {
                let after = blocks.get(at + 1).filter(|after| after.language == "text");
                shown = after.map_or(shown, |after| without_times(&after.text));
                assert_eq!(self.run(&block.text), shown, "{page}: {}", block.text);
                runs += 1;
            }
        }
        assert!(runs > 0, "{page} runs nothing");
    }

    /// What the commands' clients sent and got, drawn.
    fn run(&self, commands: &str) -> String {
        let traced = Traced::start(&["orders", "payments"], "");
        let mut shell = traced.command(WayIn::None, "sh");
        shell.args(["-euc", commands]).current_dir(self.folder.path());
        shell.env("OTEL_EXPORTER_OTLP_ENDPOINT", traced.collector.endpoint());
        let others = env::var_os("PATH").unwrap();
        let ours = self.path.iter().map(PathBuf::as_path).chain([self.files.path()]);
        let path = ours.map(Path::to_owned).chain(env::split_paths(&others));
        shell.env("PATH", env::join_paths(path).unwrap()).envs(self.variables.iter().cloned());
        let ended = run(&mut shell);
        ended.expect_success();
        draw_traces_with(&traced.take_spans(), &["tracer_resolver.process.end"])
    }
}
