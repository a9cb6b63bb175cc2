//! Promise: a plugin exports one symbol, `tracer_plugin_v1`. Whatever else it exported could clash with another plugin or
//! with the program: two copies of one symbol in a process are one of them, and nobody chose which.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::PathBuf;
use std::process::Command;

/// The plugins of this repository, and the one of the tests.
const PLUGINS: [&str; 5] = ["file", "jaeger", "misbehaving", "otlp", "zipkin"];

#[test]
fn every_plugin_exports_its_entry_point_and_nothing_else() {
    for plugin in PLUGINS {
        assert_eq!(exported_symbols(plugin), ["tracer_plugin_v1"], "{plugin}");
    }
}

#[test]
fn no_plugin_is_missing_from_the_list_above() {
    let plugins = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins")).unwrap();
    for folder in plugins.map(|entry| entry.unwrap().path()) {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(manifest.contains("cdylib"), PLUGINS.contains(&name.as_str()), "{name}");
    }
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
