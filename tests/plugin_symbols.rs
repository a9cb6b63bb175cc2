//! Promise: a plugin exports one symbol, `tracer_plugin_v1`. Whatever else it exported could clash with another plugin or
//! with the program: two copies of one symbol in a process are one of them, and nobody chose which.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::PathBuf;
use std::process::Command;

/// The plugins of this repository that are plugins by now.
const PLUGINS: [&str; 1] = ["misbehaving"];

/// Packages that will be plugins and export nothing yet; each moves to [`PLUGINS`] with its `export_plugin!`.
const NOT_YET: [&str; 4] = ["otlp", "jaeger", "zipkin", "file"];

#[test]
fn every_plugin_exports_its_entry_point_and_nothing_else() {
    for plugin in PLUGINS {
        assert_eq!(exported_symbols(plugin), ["tracer_plugin_v1"], "{plugin}");
    }
}

#[test]
fn no_plugin_is_missing_from_the_list_above() {
    for plugin in NOT_YET {
        assert_eq!(exported_symbols(plugin), [""; 0], "{plugin} has become a plugin: move it to PLUGINS");
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
