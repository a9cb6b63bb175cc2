//! A Node.js with the Kafka client of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::made_once::{made_once, said};
use super::skip::or_skip;

/// What traces the programs of `tests/node`.
pub const BILLING: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.billing]
    consumes = ["orders"]
    produces = ["bills", "drafts"]
"#;

/// A folder of Node modules with `CLIENT`, for `NODE_PATH`: made once in cargo's target folder, where its native part and
/// the librdkafka in it are compiled, which takes minutes. Without Node.js, its headers, npm, node-gyp, a compiler or the
/// package registry there is none, and the test is skipped: that is said here.
#[track_caller]
pub fn node_modules() -> Option<PathBuf> {
    static MODULES: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    or_skip(MODULES.get_or_init(|| compiled("node", CLIENT)).clone())
}

/// The same with `KAFKAJS`, Confluent's client.
#[track_caller]
pub fn kafka_javascript() -> Option<PathBuf> {
    or_skip(compiled("kafka-javascript", KAFKAJS))
}

/// The same as Confluent's own build of it is, which `npm install` brings where it reaches GitHub: librdkafka is in the add-on
/// itself, and nothing but the exported names is left of its symbols. Linked anew from what [`kafka_javascript`] has compiled.
#[track_caller]
pub fn kafka_javascript_in_one() -> Option<PathBuf> {
    or_skip(compiled("kafka-javascript", KAFKAJS).and_then(|from| in_one(&from)))
}

fn in_one(from: &Path) -> Result<PathBuf, String> {
    let folder = made_once("kafka-javascript-in-one", &format!("{KAFKAJS} from {}", from.display()), |folder| {
        said(Command::new("cp").arg("-r").arg(from).arg(folder))?;
        let name = "@confluentinc/kafka-javascript";
        let (compiled, package) = (from.join(name), folder.join("node_modules").join(name));
        let objects = compiled.join("build/Release/obj.target/confluent-kafka-javascript/src");
        let objects = std::fs::read_dir(&objects).map_err(|error| format!("{}: {error}", objects.display()))?;
        let objects = objects.flatten().map(|object| object.path());
        let objects: Vec<_> = objects.filter(|object| object.extension().is_some_and(|kind| kind == "o")).collect();
        let addon = package.join("build/Release/confluent-kafka-javascript.node");
        let mut linker = Command::new("c++");
        linker
            .args(["-shared", "-pthread", "-rdynamic", "-s", "-o"])
            .arg(&addon)
            .arg("-Wl,--start-group")
            .args(objects);
        linker.args(["librdkafka++.a", "librdkafka-static.a"].map(|archive| compiled.join("build/deps").join(archive)));
        // What librdkafka itself uses is a library here: its own build names those.
        let build = compiled.join("deps/librdkafka/Makefile.config");
        let build = std::fs::read_to_string(&build).map_err(|error| format!("{}: {error}", build.display()))?;
        let used = build.lines().filter_map(|line| line.strip_prefix("LIBS+=")).flat_map(str::split_whitespace);
        linker.arg("-Wl,--end-group").args(used);
        said(&mut linker)?;
        std::fs::remove_dir_all(package.join("build/deps")).map_err(|error| error.to_string())
    })?;
    Ok(folder.join("node_modules"))
}

/// A folder of these packages, without native parts, `NAME@VERSION` each: in the folder `name` of
/// [`build_folder`](super::build_folder).
#[track_caller]
pub fn node_packages(name: &str, packages: &[&str]) -> Option<PathBuf> {
    or_skip(made_once(name, &packages.join(" "), |folder| installed(folder, packages)))
        .map(|made| made.join("node_modules"))
}

fn installed(folder: &Path, packages: &[&str]) -> Result<(), String> {
    let install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", "--loglevel=error"];
    said(Command::new("npm").args(install).args(packages).current_dir(folder)).map(drop)
}

fn compiled(name: &str, client: &str) -> Result<PathBuf, String> {
    let node = said(Command::new("node").args(["-p", "process.versions.modules + ' ' + process.execPath"]))?;
    let (binary_interface, node) = node.split_once(' ').ok_or_else(|| format!("node -p says {node:?}"))?;
    let prefix = headers_of(Path::new(node))?;
    let builder = node_gyp()?;
    for compiler in ["cc", "c++", "make"] {
        said(Command::new(compiler).arg("--version"))?;
    }
    let wanted = format!("{client} for {binary_interface}");
    let folder = made_once(name, &wanted, |folder| {
        installed(folder, &[client])?;
        let mut build = Command::new(node);
        build.arg(&builder).arg("rebuild").arg(format!("--nodedir={}", prefix.display()));
        // One job: its rules do not say that librdkafka is configured before it is compiled.
        let (package, _version) = client.rsplit_once('@').unwrap_or((client, ""));
        build.current_dir(folder.join("node_modules").join(package)).env_remove("MAKEFLAGS").env("JOBS", "1");
        // Confluent's would fetch what its librdkafka is linked with statically.
        build.env("CKJS_LINKING", "dynamic");
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

/// The clients, each with a librdkafka of its own.
const CLIENT: &str = "node-rdkafka@3.6.1";
const KAFKAJS: &str = "@confluentinc/kafka-javascript@1.10.1";
