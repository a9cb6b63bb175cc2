//! What a plugin shows to the dynamic linker.

#![forbid(unsafe_code)]

use std::process::Command;

/// The symbols of the shared object that cargo built beside the running test, as `tests/plugin_symbols.rs` asks of others.
///
/// # Panics
///
/// If it is not there, or there is no `nm`.
pub fn exported_symbols(plugin: &str) -> Vec<String> {
    let library = std::env::current_exe().unwrap().with_file_name(format!("libtracer_plugin_{plugin}.so"));
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output().unwrap();
    assert!(output.status.success(), "{}: {}", library.display(), String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split_whitespace().next_back()).map(str::to_owned).collect()
}
