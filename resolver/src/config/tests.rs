//! The folders are the layers that `config.rs` lists, in that order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each layer's line in the list. Those of one line do not know each other either.
fn lines_of_layers() -> BTreeMap<&'static str, usize> {
    let list = include_str!("../config.rs").lines().filter_map(|line| line.strip_prefix("//! - "));
    let of_line = |(line, text): (usize, &'static str)| {
        let names = text.split(": ").next().unwrap().split('`').skip(1).step_by(2);
        names.filter(|name| !name.contains('*')).map(move |name| (name, line))
    };
    list.enumerate().flat_map(of_line).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}

/// The names that follow `prefix` in `code`.
fn after<'c>(prefix: &'c str, code: &'c str) -> impl Iterator<Item = &'c str> {
    code.split(prefix).skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
}

#[test]
fn each_layer_uses_only_those_above_it_in_the_list() {
    let layers = lines_of_layers();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config");
    let mut files = Vec::new();
    collect(&folder, &mut files);
    assert!(layers.len() > 8 && files.len() > 70, "{layers:?}, and {} files", files.len());
    let (mut arrows, mut wrong) = (0, Vec::new());
    for file in files {
        let place = file.strip_prefix(&folder).unwrap().display().to_string();
        let layer = place.split(['/', '.']).next().unwrap();
        let Some(line) = layers.get(layer) else {
            wrong.push(format!("{place}: the list has no `{layer}`"));
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        let code: String = shipped.lines().map(|line| line.split("//").next().unwrap()).collect();
        // What stands beside a layer's folder is the layer's too, and `super` is the whole there.
        let beside = if place.contains('/') { "" } else { code.as_str() };
        for used in after("crate::config::", &code).chain(after("super::", beside)).filter(|used| *used != layer) {
            arrows += 1;
            if layers.get(used).is_none_or(|other| other >= line) {
                wrong.push(format!("{place} uses `{used}`, which does not stand above `{layer}`"));
            }
        }
    }
    assert!(arrows > 100, "{arrows} uses were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
