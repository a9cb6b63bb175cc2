//! A crate that writes `export_plugin!` and no unsafe builds a library with one exported symbol, or does not build.
//!
//! The crates here are built by cargo in a folder of their own: they need nothing but this package.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The README's Rust example, in a crate that forbids unsafe code.
#[test]
fn the_rust_plugin_of_the_readme_exports_one_symbol() {
    let folder = package("one_symbol");
    let output = cargo(&folder, &["build", "--offline"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let symbols = exported_symbols(&folder.join("target/debug/libtally.so"));
    assert_eq!(symbols, ["tracer_plugin_v1"]);
}

/// A test of another crate may link the plugin's rlib: it finds the symbol there once and does not clash with itself.
#[test]
fn a_test_program_may_link_the_plugin_as_a_library() {
    let folder = package("as_library");
    std::fs::create_dir_all(folder.join("tests")).unwrap();
    let test = "#[test]\nfn its_type_is_at_hand() {\n    \
                assert_eq!(<tally::Tally as tracer_plugin_api::Backend>::TYPE_NAME, \"tally\");\n}\n";
    std::fs::write(folder.join("tests/link.rs"), test).unwrap();
    let output = cargo(&folder, &["test", "--offline"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("its_type_is_at_hand ... ok"));
}

#[test]
fn a_plugin_that_would_abort_on_panic_does_not_compile() {
    let folder = package("aborting");
    let output = cargo(&folder, &["check", "--offline", "--config", "profile.dev.panic=\"abort\""]);
    assert!(!output.status.success());
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(why.contains("a tracer plugin must be built with panic = \"unwind\""), "{why}");
}

/// A new package around the README's Rust example.
fn package(name: &str) -> PathBuf {
    let (_, from_code) = include_str!("../README.md").split_once("```rust\n").unwrap();
    let (code, _) = from_code.split_once("```").unwrap();
    let code = format!("#![forbid(unsafe_code)]\n{}", code.replace("struct Tally(", "pub struct Tally("));
    let manifest = format!(
        "[package]\nname = \"tally\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\n\
         [dependencies]\ntracer-plugin-api = {{ path = {:?} }}\n\n[workspace]\n",
        env!("CARGO_MANIFEST_DIR")
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("api-exported-symbol").join(name);
    std::fs::create_dir_all(folder.join("src")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(folder.join("src/lib.rs"), code).unwrap();
    folder
}

/// Cargo, without what the cargo that runs this test has set: flags of coverage or sanitizers would reach the package.
fn cargo(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap()
}

fn exported_symbols(library: &Path) -> Vec<String> {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next_back()).map(str::to_owned).collect()
}
