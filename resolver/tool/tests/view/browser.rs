//! In a browser: the page is built as its sources stand, shown by the command, and walked through by a real Chromium.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use words::foreign::{made_once, skip};

use crate::running::{Running, ask, command, head};

/// The sources of the page.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/view");

#[test]
fn the_page_does_what_it_promises_in_a_real_browser() {
    let Some(chromium) = chromium() else { return skip("no Chromium is installed") };
    let folder = match built() {
        Ok(folder) => folder,
        Err(reason) => return skip(&reason),
    };
    let mut node = Command::new("node");
    node.args(["--test", "test/browser.js"]).current_dir(&folder);
    node.env("COMMAND", env!("CARGO_BIN_EXE_tracer-interceptors")).env("PAGE", folder.join("dist"));
    node.env("SPANS", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/view/spans.jsonl")).env("CHROMIUM", chromium);
    let output = node.output().unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("# fail 0") && said.contains("# skipped 0") && !said.contains("# pass 0"), "{said}");

    let page =
        ["index.html", "app.js", "app.css"].map(|name| fs::metadata(folder.join("dist").join(name)).unwrap().len());
    assert!(page.iter().sum::<u64>() < 200_000, "the page is as small as it can be: {page:?}");
    let notices = fs::read_to_string(folder.join("dist/THIRD-PARTY.txt")).unwrap();
    for package in ["preact ", "@dagrejs/dagre ", "@dagrejs/graphlib "] {
        assert!(notices.contains(package), "{package} in {notices}");
    }
}

#[test]
fn a_command_has_the_page_that_was_built_before_it_and_otherwise_says_what_builds_it() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("spans.jsonl");
    fs::write(&input, "").unwrap();
    let words = ["--web", "127.0.0.1:0", input.to_str().unwrap()];
    let built_at = |file: &Path| fs::metadata(file).and_then(|it| it.modified()).ok();
    let page = built_at(&Path::new(SOURCES).join("dist/app.js"));
    // Another test may have built the page since.
    if page.is_some() && page < built_at(Path::new(env!("CARGO_BIN_EXE_tracer-interceptors"))) {
        let running = Running::start(&words);
        let address = running.address();
        for (path, holds) in [("/", "app.js"), ("/app.js", "/api/traces?"), ("/app.css", "color-scheme")] {
            let (status, answer) = ask(&address, &head("GET", path, &[&format!("Host: {address}")]));
            assert!(status == 200 && answer.contains(holds), "{path}: {status}");
        }
        return;
    }
    if page.is_some() {
        return;
    }
    let output = command(&words).output().unwrap();
    let said = said(&output);
    assert!(output.status.code() == Some(125) && said.contains("npm --prefix resolver/tool/view run page"), "{said}");
}

fn chromium() -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name))).find(|file| file.is_file())
}

/// The page, with the packages that its lock file names: in cargo's folder, and not among the sources. The packages are
/// kept from run to run.
fn built() -> Result<PathBuf, String> {
    let lock = fs::read_to_string(Path::new(SOURCES).join("package-lock.json")).unwrap();
    let folder = made_once("view", &lock, |folder| {
        copy(&["package.json", "package-lock.json", ".npmrc"], folder);
        let output = npm(folder, &["ci", "--fetch-retries=0", "--loglevel=error"]);
        let output = output.map_err(|error| format!("npm: {error}"))?;
        if output.status.success() { Ok(()) } else { Err(format!("npm ci: {}", said(&output))) }
    })?;
    copy(&["package.json", "tsconfig.json", "build.js", "src", "test", "dist"], &folder);
    let output = npm(&folder, &["run", "build"]).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    Ok(folder)
}

fn copy(sources: &[&str], folder: &Path) {
    let mut copy = Command::new("cp");
    copy.arg("-r").args(sources).arg(folder).current_dir(SOURCES);
    assert!(copy.status().unwrap().success());
}

fn npm(folder: &Path, words: &[&str]) -> io::Result<Output> {
    Command::new("npm").args(words).current_dir(folder).output()
}

fn said(output: &Output) -> String {
    [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat()
}
