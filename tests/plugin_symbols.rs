//! Promise: a plugin exports one symbol, `tracer_plugin_v1`. Whatever else it exported could clash with another plugin or
//! with the program: two copies of one symbol in a process are one of them, and nobody chose which.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The plugins of this repository, the one that tests use among them.
const PLUGINS: [&str; 5] = ["file", "jaeger", "misbehaving", "otlp", "zipkin"];
/// The same is asked of them by `tests/references`, where they are built: not for whoever runs an example.
const ELSEWHERE: [&str; 2] = ["kafka", "otlp_grpc"];

#[test]
fn every_plugin_exports_its_entry_point_and_nothing_else() {
    for plugin in PLUGINS {
        assert_eq!(exported_symbols(plugin), ["tracer_plugin_v1"], "{plugin}");
    }
}

#[test]
fn no_plugin_is_missing_from_the_list_above() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = ["plugins", "tests/fixtures"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let mut plugins: Vec<_> = packages
        .into_iter()
        .flatten()
        .filter_map(|package| fs::read_to_string(package.unwrap().path().join("Cargo.toml")).ok())
        .filter(|manifest| manifest.contains("\"cdylib\""))
        .filter_map(|manifest| {
            Some(manifest.split_once("name = \"tracer-plugin-")?.1.split_once('"')?.0.replace('-', "_"))
        })
        .collect();
    plugins.sort_unstable();
    let mut known = [&PLUGINS[..], &ELSEWHERE].concat();
    known.sort_unstable();
    assert_eq!(plugins, known);
}

/// What the dynamic linker sees of the shared object that cargo built beside this test.
fn exported_symbols(plugin: &str) -> Vec<String> {
    let test = std::env::current_exe().unwrap();
    let library: PathBuf = test.with_file_name(format!("libtracer_plugin_{plugin}.so"));
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output().unwrap();
    assert!(output.status.success(), "{}: {}", library.display(), String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split_whitespace().next_back()).map(str::to_owned).collect()
}
