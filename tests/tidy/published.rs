//! What is published is whole: a package's archive holds its own folder, and nothing beside it.

use std::fs;
use std::path::Path;

use super::sources;

/// The folders of the packages that are published, as paths from the top.
fn published() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (_, members) = manifest.split_once("members = [").unwrap();
    let members = members.split_once("\n]").unwrap().0.lines().filter_map(|line| line.split('"').nth(1));
    let is_published = |folder: &&str| {
        !fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap().contains("\npublish = false\n")
    };
    members.filter(is_published).map(str::to_owned).collect()
}

#[test]
fn no_published_package_is_built_of_files_beside_it() {
    let packages = published();
    assert!(packages.len() > 10, "{packages:?}");
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| !file.is_test()) {
        let homes = packages.iter().filter_map(|home| file.path.strip_prefix(home.as_str())?.strip_prefix('/'));
        // Of packages one in the other, the inner one.
        let Some(place) = homes.min_by_key(|place| place.len()) else { continue };
        let above = "../".repeat(place.matches('/').count() + 1);
        let built = file.text.split("#[cfg(test)]").next().unwrap().split("#[cfg(doctest)]").next().unwrap();
        let leaves = |line: &&str| line.contains(&format!("\"{above}")) && !line.contains("doctest");
        wrong.extend(built.lines().filter(leaves).map(|line| format!("{}: {}", file.path, line.trim())));
    }
    assert!(wrong.is_empty(), "these are not in the package's archive:\n{}", wrong.join("\n"));
}

#[test]
fn every_published_package_brings_the_licence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let licence = fs::read(root.join("LICENSE")).unwrap();
    let without: Vec<_> = published()
        .into_iter()
        .filter(|folder| fs::read(root.join(folder).join("LICENSE")).ok().as_ref() != Some(&licence))
        .collect();
    assert!(without.is_empty(), "link ../LICENSE there: {without:?}");
}
