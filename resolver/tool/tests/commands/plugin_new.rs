//! `plugins new` begins a plugin in each language that builds, passes its test, and keeps every rule as it stands.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use words::foreign::skip;

use crate::installed::{Installed, Said, repository};

#[test]
fn a_new_plugin_in_c_keeps_every_rule_as_it_stands() {
    made(&Installed::new(), "c", &[]);
}

#[test]
fn a_new_plugin_in_cpp_keeps_every_rule_as_it_stands() {
    if has("c++", &["--version"]) {
        made(&Installed::new(), "cpp", &[]);
    }
}

#[test]
fn a_new_plugin_in_go_keeps_every_rule_as_it_stands_but_for_forks() {
    if !has("go", &["version"]) {
        return;
    }
    let said = made(&Installed::new(), "go", &[("GOTOOLCHAIN", "local"), ("GOFLAGS", "-buildvcs=false")]);
    assert!(said.contains("not tried: fork: it says TRACER_CAP_NOT_IN_FORKED_CHILDREN"), "{said}");
}

#[test]
fn a_new_plugin_in_zig_keeps_every_rule_as_it_stands() {
    // The one of PyPI has another name.
    let zigs = ["zig", "python-zig"].into_iter().find(|zig| Command::new(zig).arg("version").output().is_ok());
    match zigs {
        Some(zig) => drop(made(&Installed::new(), "zig", &[("ZIG", zig)])),
        None => skip("there is no zig in the PATH (pip install ziglang)"),
    }
}

#[test]
fn a_new_plugin_in_rust_keeps_every_rule_as_it_stands_and_needs_no_registry() {
    let installed = Installed::new();
    let folder = begun(&installed, "rust");
    for words in [&["test", "--offline"][..], &["build", "--release", "--offline"]] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(words).current_dir(&folder).env("CARGO_TARGET_DIR", folder.join("target"));
        let built = cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").output().unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success() && !said.contains("warning"), "{said}");
    }
    let lock = fs::read_to_string(folder.join("Cargo.lock")).unwrap();
    assert!(!lock.contains("source = "), "{lock}");
    let file = folder.join("target/release/libtracer_plugin_a_b1.so");
    let said = installed.run(&["plugins", "check", file.to_str().unwrap()]);
    assert!(said.status == 0 && said.out.contains("a-b1 0.1.0: no rule is broken; "), "{said:?}");
    named_and_described(&folder);
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let installed = Installed::new();
    fs::create_dir(installed.work().join("mine")).unwrap();
    let begin = |words: &[&str]| installed.run(&[&["plugins", "new", "--lang", "c"], words].concat());
    assert_eq!(begin(&["mine", "--dir", "mine"]).status, 0);
    installed.file("mine/plugin.c", "my work");
    let said = begin(&["mine", "--dir", "mine"]);
    assert!(said.status == 1 && said.err.contains("mine is there already, and not empty"), "{said:?}");
    assert_eq!(fs::read_to_string(installed.work().join("mine/plugin.c")).unwrap(), "my work");
    for name in ["Mine", "1st", "a b", "../a", ""] {
        let said = begin(&[name]);
        assert!(said.status == 2 && said.err.contains("is no name of a plugin"), "{name}: {said:?}");
    }
    assert_eq!(fs::read_dir(installed.work()).unwrap().count(), 1);
}

/// The header of the command's own version, and not one that is a copy among the templates.
#[test]
fn the_header_is_the_one_of_the_contract() {
    let installed = Installed::new();
    let folder = begun(&installed, "cpp");
    for name in ["tracer_plugin.h", "tracer_plugin.hpp", "tracer_plugin.map"] {
        let ours = fs::read_to_string(repository("plugins/api/include").join(name)).unwrap();
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), ours);
    }
}

/// Made, tested and checked by its own Makefile; what the check said.
fn made(installed: &Installed, language: &str, variables: &[(&str, &str)]) -> String {
    let folder = begun(installed, language);
    let path = format!("{}:{}", installed.bin().display(), std::env::var("PATH").unwrap());
    let mut make = Command::new("make");
    make.args(["-s", "test", "check"]).current_dir(&folder).env("PATH", path).envs(variables.iter().copied());
    make.env_remove("MAKEFLAGS").env_remove("CFLAGS");
    let said = Said::of(make.output().unwrap());
    assert!(said.status == 0 && said.out.contains("a-b1 0.1.0: no rule is broken; "), "{language}: {said:?}");
    assert!(!said.err.contains("warning"), "{said:?}");
    named_and_described(&folder);
    said.out
}

fn begun(installed: &Installed, language: &str) -> PathBuf {
    let said = installed.run(&["plugins", "new", "--lang", language, "a-b1"]);
    assert!(said.status == 0 && said.out.contains("\nnext: cd tracer-plugin-a-b1 && "), "{said:?}");
    installed.work().join("tracer-plugin-a-b1")
}

/// No word of the templates is left, and there are a page, a CI file and what git is to pass over.
fn named_and_described(folder: &Path) {
    for name in ["README.md", ".github/workflows/plugin.yml", ".gitignore"] {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let words = ["@NAME@", "@IDENTIFIER@", "@LANGUAGE@", "@VERSION@"];
        assert!(!words.iter().any(|word| text.contains(word)), "{name}: {text}");
    }
}

#[track_caller]
fn has(tool: &str, words: &[&str]) -> bool {
    Command::new(tool).args(words).output().map_err(|error| skip(&format!("{tool}: {error}"))).is_ok()
}
