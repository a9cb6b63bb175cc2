//! The npm package puts the library, the plugins and the tool beside a Node program, and gives it the properties
//! of a traced client.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use words::foreign::skip;

use crate::support::{Kind, LIBRARIES, expect_success, package, stands_alone};

#[test]
fn it_installs_and_works() {
    let Some(folder) = installed() else { return };
    let package = folder.path().join("node_modules/tracer-interceptors");
    brings_what_it_promises(&package);
    says_where_the_library_is(folder.path(), &package);
    gives_the_properties_of_a_client(folder.path());
    runs_every_node_with_the_layer(folder.path(), &package);
}

/// A program's folder with nothing but the package in its `node_modules`; none where there is no Node.js.
#[track_caller]
pub(crate) fn installed() -> Option<TempDir> {
    Command::new("node").arg("--version").output().map_err(|error| skip(&format!("node: {error}"))).ok()?;
    let package = package(Kind::Npm)?;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("package.json"), r#"{"private": true}"#).unwrap();
    let install = ["install", "--offline", "--no-audit", "--no-fund", "--silent"];
    expect_success(Command::new("npm").args(install).arg(package).current_dir(folder.path()).output().unwrap());
    Some(folder)
}

fn brings_what_it_promises(installed: &Path) {
    for name in [
        "index.d.ts",
        "layer/register.js",
        "default-config.toml",
        "include/tracer_interceptors.h",
        "LICENSE",
        "THIRD-PARTY.txt",
        "README.md",
    ] {
        assert!(installed.join(name).is_file(), "{name}");
    }
    for name in LIBRARIES {
        assert!(installed.join("lib").join(name).is_file(), "{name}");
    }
    let manifest = fs::read_to_string(installed.join("package.json")).unwrap();
    assert!(manifest.contains(concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"")), "{manifest}");
    let page = fs::read_to_string(installed.join("README.md")).unwrap();
    let oldest = page.split("works with Node ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert!(manifest.contains(&format!("\"node\": \">={oldest}\"")), "the page says {oldest}: {manifest}");
    stands_alone(&page, "tracing.toml");
}

fn says_where_the_library_is(folder: &Path, installed: &Path) {
    let library = format!("{}\n", installed.join("lib/libtracer_interceptors.so").display());
    let mut path = Command::new(folder.join("node_modules/.bin/tracer-interceptors"));
    assert_eq!(expect_success(path.arg("path").output().unwrap()), library);

    let program = "console.log(require('tracer-interceptors').libraryPath)";
    let mut node = Command::new("node");
    assert_eq!(expect_success(node.args(["-e", program]).current_dir(folder).output().unwrap()), library);
}

fn runs_every_node_with_the_layer(folder: &Path, installed: &Path) {
    let program = "\
const { processing, currentContext } = require('tracer-interceptors');
console.log(Object.keys(require.cache).includes(process.argv[1]));
console.log(process.env.NODE_OPTIONS);
console.log(processing({ topic: 't', partition: 0, offset: 0 }, () => 7), currentContext());
";
    let layer = installed.join("layer/register.js");
    let mut run = Command::new(folder.join("node_modules/.bin/tracer-interceptors"));
    run.args(["run", "node", "-e", program]).arg(&layer).current_dir(folder).env("NODE_OPTIONS", "--no-deprecation");
    let options = format!("--require \"{}\" --no-deprecation", layer.display());
    assert_eq!(expect_success(run.output().unwrap()), format!("true\n{options}\n7 undefined\n"));
}

fn gives_the_properties_of_a_client(folder: &Path) {
    let program = "\
import assert from 'node:assert';
import { clientProperties, libraryPath } from 'tracer-interceptors';
const given = { 'metadata.broker.list': 'b' };
const made = clientProperties(given);
assert.deepStrictEqual(made, { 'plugin.library.paths': libraryPath, 'metadata.broker.list': 'b' });
assert.strictEqual(Object.keys(made)[0], 'plugin.library.paths');
assert.deepStrictEqual(given, { 'metadata.broker.list': 'b' });
assert.deepStrictEqual(clientProperties(made), made);
assert.deepStrictEqual(clientProperties(), { 'plugin.library.paths': libraryPath });
const other = clientProperties({ 'plugin.library.paths': 'monitoring-interceptor;' });
assert.deepStrictEqual(other, { 'plugin.library.paths': 'monitoring-interceptor;' + libraryPath });
";
    fs::write(folder.join("properties.mjs"), program).unwrap();
    expect_success(Command::new("node").arg("properties.mjs").current_dir(folder).output().unwrap());
}
