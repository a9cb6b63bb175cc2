//! The page that says whose code is in the files says it truly.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Files, LIBRARIES, SCRIPT, TOOL, expect_success};

const PAGE: &str = include_str!("../../../../docs/third-party.md");

/// How package.sh builds the plugin kafka.
const AS_SHIPPED: &[&str] = &["--features", "tls"];

#[test]
fn the_page_names_all_code_of_others_in_each_file_and_says_what_it_is_for() {
    let mut rows = PAGE.lines().filter(|line| line.starts_with('|')).map(cells);
    let header = rows.next().unwrap();
    let shipped: Vec<_> = LIBRARIES.iter().copied().chain([TOOL]).collect();
    assert_eq!(&header[2..], shipped, "a column for each file that is shipped");
    let rows: Vec<_> = rows.skip(1).collect();
    assert!(rows.is_sorted_by(|one, other| one[0] < other[0]), "in the order of the alphabet, each once");
    for row in &rows {
        assert!(!row[1].is_empty(), "{} is there for something", row[0]);
        assert!(row[2..].contains(&"x".to_owned()), "{} is in none of them", row[0]);
    }
    let mut wrong = Vec::new();
    for (column, file) in shipped.iter().enumerate() {
        let listed: BTreeSet<_> = rows.iter().filter(|row| row[2 + column] == "x").map(|row| row[0].clone()).collect();
        let built = code_of_others(file, "x86_64-unknown-linux-gnu", AS_SHIPPED);
        assert_eq!(code_of_others(file, "aarch64-unknown-linux-gnu", AS_SHIPPED), built, "{file}");
        let missing: Vec<_> = built.difference(&listed).collect();
        let gone: Vec<_> = listed.difference(&built).collect();
        if !(missing.is_empty() && gone.is_empty()) {
            wrong.push(format!("{file}: not on the page {missing:?}; no longer in it {gone:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_names_the_packages_of_view_s_page() {
    let text = include_str!("../../view/package-lock.json");
    let lock: serde_json::Value = serde_json::from_str(text).unwrap();
    let packages = lock["packages"].as_object().unwrap().iter();
    let shipped = packages.filter(|(path, package)| !path.is_empty() && package["dev"] != true);
    let shipped: Vec<_> = shipped.map(|(path, _)| path.trim_start_matches("node_modules/")).collect();
    let named = PAGE.lines().filter_map(|line| line.strip_prefix("- `")?.split_once("`: ").map(|(name, _)| name));
    assert_eq!(named.collect::<Vec<_>>(), shipped);
    assert!(
        !text.contains("\"resolved\""),
        "the lock file names no registry: checksums say what is meant, wherever it comes from"
    );
}

/// A bill of materials, for programs that look for known flaws.
#[test]
fn the_bill_of_materials_says_the_same_and_the_versions() {
    let files = Files::new();
    let mut script = Command::new(SCRIPT.replace("package.sh", "third-party.sh"));
    script.args(["x86_64-unknown-linux-gnu", "1.2.3"]).arg(files.path()).env("SOURCE_DATE_EPOCH", "86400");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bill: Value = serde_json::from_str(&expect_success(script.current_dir(&root).output().unwrap())).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(bill["metadata"]["timestamp"], "1970-01-02T00:00:00Z");
    assert_eq!(bill["metadata"]["component"]["version"], "1.2.3");

    let components = bill["components"].as_array().unwrap();
    let text = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
    let of_crates: Vec<_> = components.iter().filter(|it| text(it, "bom-ref").starts_with("pkg:cargo/")).collect();
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    for component in &of_crates {
        let [name, version] = ["name", "version"].map(|field| text(component, field));
        let checksum = text(&component["hashes"][0], "content");
        let package = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        let (_, locked) = lock.split_once(&package).unwrap_or_else(|| panic!("{package}"));
        assert!(locked.split("\n\n").next().unwrap().contains(&format!("checksum = \"{checksum}\"")), "{package}");
    }
    for component in components {
        let licence = text(&component["licenses"][0], "expression");
        assert!(!licence.is_empty() && !licence.contains('/'), "{component}");
    }

    for file in LIBRARIES.iter().copied().chain([TOOL]) {
        let component = components.iter().find(|component| component["bom-ref"] == file).unwrap();
        let sum = expect_success(Command::new("sha256sum").arg(files.path().join(file)).output().unwrap());
        assert_eq!(component["hashes"][0]["content"], sum.split(' ').next().unwrap(), "{file}");
        let parts = bill["dependencies"].as_array().unwrap().iter().find(|parts| parts["ref"] == file).unwrap();
        let parts = parts["dependsOn"].as_array().unwrap().iter().map(|part| part.as_str().unwrap());
        let is_known = |part: &&str| components.iter().any(|component| component["bom-ref"] == *part);
        assert_eq!(parts.clone().find(|part| !is_known(part)), None, "{file}");
        let crates = parts.filter_map(|part| part.strip_prefix("pkg:cargo/")?.split('@').next()).map(str::to_owned);
        // These tests build the plugin kafka without TLS.
        let expected = code_of_others(file, "x86_64-unknown-linux-gnu", &[]);
        assert_eq!(crates.collect::<BTreeSet<_>>(), expected, "{file}");
    }
    // C code has names of its own, by which its flaws are known.
    let of_c = components.iter().filter(|component| component.get("cpe").is_some()).map(|it| text(it, "name"));
    assert_eq!(of_c.collect::<Vec<_>>(), ["zlib"]);
    assert!(
        components
            .iter()
            .any(|component| text(component, "purl").starts_with("pkg:github/confluentinc/librdkafka@v2."))
    );
}

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split(" |").map(|cell| cell.replace('`', "").trim().to_owned()).collect()
}

/// Of the packages that cargo makes the file of: those that are not the workspace's, and are no macros.
fn code_of_others(file: &str, target: &str, of_kafka: &[&str]) -> BTreeSet<String> {
    let package = match file.strip_prefix("libtracer_plugin_").and_then(|rest| rest.strip_suffix(".so")) {
        Some(plugin) => format!("tracer-plugin-{}", plugin.replace('_', "-")),
        None if file == TOOL => TOOL.to_owned(),
        None => "tracer-resolver-librdkafka".to_owned(),
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["tree", "--locked", "--offline", "--edges", "normal,no-proc-macro", "--package", &package]);
    cargo.args(["--target", target, "--prefix", "none", "--format", "{p}"]);
    if package == "tracer-plugin-kafka" {
        cargo.args(of_kafka);
    }
    let tree = expect_success(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap());
    // Those of the workspace have a path: `name v1.0.0 (/…)`.
    let others = tree.lines().filter(|line| !line.is_empty() && !line.contains("(/"));
    let names: BTreeSet<_> = others.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(names.len() > 5, "cargo said nothing: {tree}");
    names
}
