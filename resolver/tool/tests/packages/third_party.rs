//! The page that says whose code is in the files says it truly.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::{LIBRARIES, TOOL, expect_success};

const PAGE: &str = include_str!("../../../../docs/third-party.md");

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
    for (column, file) in shipped.iter().enumerate() {
        let listed: BTreeSet<_> = rows.iter().filter(|row| row[2 + column] == "x").map(|row| row[0].clone()).collect();
        let built = code_of_others(file, "x86_64-unknown-linux-gnu");
        assert_eq!(code_of_others(file, "aarch64-unknown-linux-gnu"), built, "{file}");
        let missing: Vec<_> = built.difference(&listed).collect();
        let gone: Vec<_> = listed.difference(&built).collect();
        assert!(missing.is_empty() && gone.is_empty(), "{file}: not on the page {missing:?}; no longer in it {gone:?}");
    }
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

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split(" |").map(|cell| cell.replace('`', "").trim().to_owned()).collect()
}

/// Of the packages that cargo makes the file of: those that are not the workspace's, and are no macros.
fn code_of_others(file: &str, target: &str) -> BTreeSet<String> {
    let package = match file.strip_prefix("libtracer_plugin_").and_then(|rest| rest.strip_suffix(".so")) {
        Some(plugin) => format!("tracer-plugin-{}", plugin.replace('_', "-")),
        None if file == TOOL => TOOL.to_owned(),
        None => "tracer-resolver-librdkafka".to_owned(),
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["tree", "--locked", "--offline", "--edges", "normal,no-proc-macro", "--package", &package]);
    cargo.args(["--target", target, "--prefix", "none", "--format", "{p}"]);
    // As package.sh builds it.
    if package == "tracer-plugin-kafka" {
        cargo.args(["--features", "tls"]);
    }
    let tree = expect_success(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap());
    // Those of the workspace have a path: `name v1.0.0 (/…)`.
    let others = tree.lines().filter(|line| !line.is_empty() && !line.contains("(/"));
    let names: BTreeSet<_> = others.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(names.len() > 5, "cargo said nothing: {tree}");
    names
}
