//! Promise: what the README shows is true.

use tracer_resolver::config::{self, Source};

const README: &str = include_str!("../README.md");

/// The code blocks of a language.
fn blocks(language: &str) -> impl Iterator<Item = &'static str> {
    README.split("```").skip(1).step_by(2).filter_map(move |block| block.strip_prefix(language)?.strip_prefix('\n'))
}

fn load(text: &str) -> config::Report {
    config::load(Source::Text { name: "tracing.toml".into(), text: text.to_owned() }).report
}

#[test]
fn the_configuration_it_shows_is_right() {
    assert_eq!(blocks("toml").count(), 1);
    for text in blocks("toml") {
        let report = load(text);
        assert!(report.problems.is_empty(), "{}", report.render(false));
    }
}

#[test]
fn the_json_it_shows_is_read() {
    assert_eq!(blocks("json").count(), 1);
    for text in blocks("json") {
        let report = load(text);
        assert!(!report.has_errors(), "{}", report.render(false));
    }
}

#[test]
fn a_mistake_looks_as_it_shows() {
    let text = "version = 1

[services.orders]
produces = [\"orders\"]
export   = [\"jeager\"]
sampler  = { ratio = 1.5 }

[backends.jaeger]
plugin = \"jaeger\"
";
    let rendered = load(text).render(false);
    assert!(blocks("text").any(|block| block.trim_end() == rendered.trim_end()), "{rendered}");
}

#[test]
fn the_links_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let broken: Vec<_> = targets.filter(|to| !to.starts_with("https://") && !root.join(to).exists()).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_rationale_can_be_found_from_it() {
    fn rationales(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
                rationales(&path, found);
            } else if path.ends_with("RATIONALE.md") {
                found.push(path);
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    rationales(root, &mut found);
    let missing: Vec<_> =
        found.iter().filter(|path| !README.contains(path.strip_prefix(root).unwrap().to_str().unwrap())).collect();
    assert!(found.len() > 5 && missing.is_empty(), "{missing:?}");
}

#[test]
fn the_files_of_the_examples_are_right() {
    for file in ["examples/shop/tracing.toml", "examples/quickstart.toml", "examples/zero_code/tracing.toml"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let report = config::load(Source::File(path)).report;
        assert!(report.problems.is_empty(), "{}", report.render(false));
    }
}
