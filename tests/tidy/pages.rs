//! What the pages and comments say of files is so.

use std::fs;
use std::path::Path;

use super::{markdown_pages, sources};

/// What stands in backticks in the Markdown `text`, outside of its blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

#[test]
fn every_file_that_the_architecture_names_is_there_and_about_as_long_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let found =
        |name: &str| [root.join("resolver/src").join(name), root.join(name)].into_iter().find(|path| path.exists());
    let is_path = |name: &&str| name.contains('/') || name.ends_with(".rs");
    let names: Vec<_> = quoted(&page).filter(is_path).collect();
    let mut wrong: Vec<_> =
        names.iter().filter(|name| found(name).is_none()).map(|name| format!("{name}: gone")).collect();
    let rows: Vec<_> = page
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .filter_map(|cells| Some((quoted(cells.get(1)?).next()?.to_owned(), cells.get(2)?.parse::<usize>().ok()?)))
        .collect();
    for (name, said) in &rows {
        let lines = fs::read_to_string(found(name).unwrap()).unwrap().lines().count();
        if lines.abs_diff(*said) > said / 4 {
            wrong.push(format!("{name}: {lines} lines, not {said}"));
        }
    }
    for folder in fs::read_dir(root.join("resolver/src")).unwrap().map(|entry| entry.unwrap()) {
        let name = format!("{}/", folder.file_name().to_string_lossy());
        if folder.path().is_dir() && !names.contains(&name.as_str()) {
            wrong.push(format!("{name}: a room of which the page says nothing"));
        }
    }
    assert!(wrong.is_empty() && rows.len() > 20, "{} rows: {wrong:#?}", rows.len());
}

#[test]
fn every_file_that_a_comment_or_a_page_names_by_its_path_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for file in sources().into_iter().chain(markdown_pages()) {
        let comments: Vec<_> = file.text.lines().filter_map(|line| line.split("//").nth(1)).collect();
        let prose = if file.path.ends_with(".md") { file.text.clone() } else { comments.join("\n") };
        let is_ours = |name: &&str| {
            let is_file = [".rs", ".md", ".toml", ".py", ".h", ".sh"].iter().any(|ending| name.ends_with(ending));
            let begins = ["resolver/", "plugins/", "examples/", "tests/"].iter().any(|start| name.starts_with(start));
            is_file && begins && !name.contains(['*', '<', ' ', '…'])
        };
        // From the top, or from any folder on the way to whoever names it.
        let exists =
            |name: &&str| Path::new(&file.path).ancestors().any(|folder| root.join(folder).join(name).exists());
        let gone = quoted(&prose).filter(is_ours).filter(|name| !exists(name));
        wrong.extend(gone.map(|name| format!("{}: {name}", file.path)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_test_that_the_coverage_names_exists() {
    let files = sources();
    let coverage = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/COVERAGE.md")).unwrap();
    let names: Vec<_> = coverage.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::")).collect();
    let exists = |(file, test): &(&str, &str)| {
        let ending = format!("/{file}.rs");
        let declared = format!("fn {test}(");
        *file == "file" || files.iter().any(|known| known.path.ends_with(&ending) && known.text.contains(&declared))
    };
    let missing: Vec<_> = names.iter().filter(|name| !exists(name)).collect();
    assert!(names.len() > 100 && missing.is_empty(), "of {}: {missing:#?}", names.len());
}
