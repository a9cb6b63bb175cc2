//! A Node.js with the Kafka client of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::made_once::{made_once, said};
use super::skip::or_skip;

/// A folder of Node modules with `CLIENT`, for `NODE_PATH`: made once in cargo's target folder, where its native part and
/// the librdkafka in it are compiled, which takes minutes. Without Node.js, its headers, npm, node-gyp, a compiler or the
/// package registry there is none, and the test is skipped: that is said here.
#[track_caller]
pub fn node_modules() -> Option<PathBuf> {
    static MODULES: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    or_skip(MODULES.get_or_init(compiled).clone())
}

fn compiled() -> Result<PathBuf, String> {
    let node = said(Command::new("node").args(["-p", "process.versions.modules + ' ' + process.execPath"]))?;
    let (binary_interface, node) = node.split_once(' ').ok_or_else(|| format!("node -p says {node:?}"))?;
    let prefix = headers_of(Path::new(node))?;
    let builder = node_gyp()?;
    for compiler in ["cc", "c++", "make"] {
        said(Command::new(compiler).arg("--version"))?;
    }
    let wanted = format!("{CLIENT} for {binary_interface}");
    let folder = made_once("node", &wanted, |folder| {
        let install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"];
        said(Command::new("npm").args(install).args(["--loglevel=error", CLIENT]).current_dir(folder))?;
        let mut build = Command::new(node);
        build.arg(&builder).arg("rebuild").arg(format!("--nodedir={}", prefix.display()));
        // One job: its rules do not say that librdkafka is configured before it is compiled.
        build.current_dir(folder.join("node_modules/node-rdkafka")).env_remove("MAKEFLAGS").env("JOBS", "1");
        said(&mut build).map(drop)
    })?;
    Ok(folder.join("node_modules"))
}

/// Where the headers of this Node.js are: the folder above its `include/node`.
fn headers_of(node: &Path) -> Result<PathBuf, String> {
    let prefix = node.ancestors().nth(2).ok_or_else(|| format!("{} is in no folder", node.display()))?;
    let header = prefix.join("include/node/node.h");
    if header.exists() { Ok(prefix.to_owned()) } else { Err(format!("there is no {}", header.display())) }
}

/// The program of node-gyp: npm's own, or that of Debian's package.
fn node_gyp() -> Result<PathBuf, String> {
    let global = said(Command::new("npm").args(["root", "--global"]))?;
    let places = [Path::new(&global).join("npm/node_modules"), PathBuf::from("/usr/share/nodejs")];
    let programs = places.iter().map(|place| place.join("node-gyp/bin/node-gyp.js"));
    programs.into_iter().find(|program| program.exists()).ok_or_else(|| "there is no node-gyp".to_owned())
}

/// The client, with a librdkafka of its own.
const CLIENT: &str = "node-rdkafka@3.6.1";
