//! Promise: what the README and the other pages show is true, and where they point there is something.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tracer_resolver::config::{self, Source};

const README: &str = include_str!("../README.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");
const CONTRIBUTING: &str = include_str!("../CONTRIBUTING.md");
const CHANGELOG: &str = include_str!("../CHANGELOG.md");
const TROUBLESHOOTING: &str = include_str!("../docs/troubleshooting.md");
const MANIFEST: &str = include_str!("../Cargo.toml");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below the workspace whose name ends so, but for what is built.
fn files(ending: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["target", "node_modules"].contains(&name) && !name.starts_with('.') {
                    collect(&path, ending, found);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(root(), ending, &mut found);
    found
}

/// A page's code blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// A page without its code: in blocks, and in lines.
fn prose(page: &str) -> String {
    let lines = page.split("```").step_by(2).collect::<String>();
    lines.split('`').step_by(2).collect()
}

fn load(text: &str) -> config::Report {
    config::load(Source::Text { name: "tracing.toml".into(), text: text.to_owned() }).report
}

#[test]
fn the_configurations_they_show_are_right() {
    let mut shown = 0;
    for page in files(".md") {
        let text = fs::read_to_string(&page).unwrap();
        for text in blocks(&text, "toml").into_iter().filter(|text| text.starts_with("version = 1")) {
            let report = load(text);
            assert!(report.problems.is_empty(), "{}: {}", page.display(), report.render(false));
            shown += 1;
        }
    }
    assert!(shown >= 3, "{shown}");
}

#[test]
fn the_json_they_show_is_read() {
    let shown = blocks(CONFIGURATION, "json");
    assert_eq!(shown.len(), 1);
    for text in shown {
        let report = load(text);
        assert!(!report.has_errors(), "{}", report.render(false));
    }
}

#[test]
fn a_mistake_looks_as_they_show() {
    let text = "version = 1

[services.orders]
produces = [\"orders\"]
export   = [\"jeager\"]
sampler  = { ratio = 1.5 }

[backends.jaeger]
plugin = \"jaeger\"
";
    let rendered = load(text).render(false);
    assert!(blocks(CONFIGURATION, "text").iter().any(|block| block.trim_end() == rendered.trim_end()), "{rendered}");
}

#[test]
fn the_crates_they_name_are_those_that_fit() {
    let shown = blocks(README, "toml").into_iter().find(|block| block.starts_with("[dependencies]")).unwrap();
    for line in shown.lines().skip(1) {
        let (name, value) = line.split_once(" = ").unwrap();
        if let Some((_, path)) = value.split_once("path = \"../tracer-resolver/") {
            assert!(root().join(path.split('"').next().unwrap()).join("Cargo.toml").exists(), "{line}");
        } else {
            let version = value.split('"').nth(1).unwrap();
            assert!(MANIFEST.contains(&format!("\n{name} = {{ version = \"{version}\",")), "{line}");
        }
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in files(".md") {
        let text = fs::read_to_string(&page).unwrap();
        for to in prose(&text).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !to.starts_with("https://") {
                followed += 1;
                let (file, heading) = to.split_once('#').unwrap_or((to, ""));
                let file = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
                if !file.exists() || !heading.is_empty() && !headings(&file).contains(heading) {
                    broken.push(format!("{}: {to}", page.strip_prefix(root()).unwrap().display()));
                }
            }
        }
    }
    assert!(followed > 100 && broken.is_empty(), "{followed}: {broken:#?}");
}

/// What cargo says of this workspace.
fn said_by_cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo.args(arguments).args(["--locked", "--offline"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What is not ours, with its features, as cargo builds these packages; with what its examples take, if `edges` has `dev`.
fn code_of_others(packages: &[&str], edges: &str) -> BTreeSet<String> {
    let mut arguments = vec!["tree", "--edges", edges, "--target", "x86_64-unknown-linux-gnu", "--prefix", "none"];
    arguments.extend(["--format", "{p} [{f}]", "--no-dedupe"]);
    arguments.extend(packages.iter().flat_map(|package| ["--package", package]));
    let tree = said_by_cargo(&arguments);
    let others: BTreeSet<_> =
        tree.lines().filter(|line| !line.is_empty() && !line.contains("(/")).map(str::to_owned).collect();
    assert!(others.len() > 20, "cargo said nothing: {tree}");
    others
}

/// Without the `[build-dependencies]` of `plugins/kit` and `resolver`, `serde` and what uses it are built again.
#[test]
fn the_commands_for_a_plugin_build_nothing_of_others_again_that_the_shop_has_built() {
    let shop = code_of_others(&["tracer-resolver-contracts"], "normal,build,dev");
    // In README.md, and in `examples/zero_code/README.md`.
    for packages in [&["tracer-plugin-otlp"][..], &["tracer-plugin-otlp", "tracer-resolver-librdkafka"]] {
        let again: Vec<_> = code_of_others(packages, "normal,build").difference(&shop).cloned().collect();
        assert!(again.is_empty(), "{packages:?}: {again:#?}");
    }
}

/// The commands of cargo in a text, each as its words: to the end of the line, of the code, or where a comment or another command begins.
fn commands_of_cargo(text: &str) -> Vec<Vec<&str>> {
    let mut commands = Vec::new();
    for (at, _) in text.match_indices("cargo ") {
        let line = text[at..].lines().next().unwrap_or_default();
        let command = line.split(['`', '#', '|', '&', ';', '…', '"', ')', '<']).next().unwrap_or_default();
        let words: Vec<_> = command.split_whitespace().collect();
        let begins = text[..at].chars().next_back().is_none_or(|before| " `\n".contains(before));
        if begins && ["build", "run", "test", "bench"].contains(words.get(1).unwrap_or(&"")) {
            commands.push(words);
        }
    }
    commands
}

/// What is wrong with a command, by what this workspace has.
fn mistake_in(command: &[&str], packages: &[serde_json::Value]) -> Option<String> {
    let mut words = command.iter().skip(2).copied();
    let (mut named, mut targets, mut features, mut filters) = (Vec::new(), Vec::new(), Vec::new(), 0);
    while let Some(word) = words.next() {
        match word {
            "--" => break,
            "-p" | "--package" => named.push(words.next()?),
            "--example" | "--test" | "--bench" | "--bin" => {
                targets.push((word.trim_start_matches("--"), words.next()?))
            }
            "--features" => features.push(words.next()?),
            "--target" | "--jobs" | "--target-dir" => drop(words.next()),
            _ if word.starts_with('-') => {}
            _ => filters += 1,
        }
    }
    let allowed = usize::from(command.contains(&"test") || command.contains(&"bench"));
    if filters > allowed {
        return Some(format!("cargo takes {allowed} word here, and more behind `--`"));
    }
    let has = |package: &serde_json::Value, name: &str| package["name"] == name;
    if let Some(name) = named.iter().find(|name| !packages.iter().any(|package| has(package, name))) {
        return Some(format!("there is no package {name}"));
    }
    let is_meant = |package: &&serde_json::Value| match &*named {
        [] => command.contains(&"--workspace") || has(package, "tracer-resolver-contracts"),
        named => named.iter().any(|name| has(package, name)),
    };
    let meant: Vec<_> = packages.iter().filter(is_meant).collect();
    for (kind, name) in targets {
        let is_it = |target: &serde_json::Value| {
            target["name"] == name && target["kind"].as_array().unwrap().iter().any(|one| one == kind)
        };
        if !meant.iter().any(|package| package["targets"].as_array().unwrap().iter().any(is_it)) {
            return Some(format!("these packages have no {kind} {name}"));
        }
    }
    for feature in features {
        let (package, name) = feature.split_once('/').unwrap_or(("", feature));
        let of =
            |one: &&serde_json::Value| one["features"].get(name).is_some() && (package.is_empty() || has(one, package));
        if !meant.iter().any(of) {
            return Some(format!("these packages have no feature {feature}"));
        }
    }
    None
}

/// The packages of this workspace, as cargo describes them.
fn packages() -> Vec<serde_json::Value> {
    let metadata = said_by_cargo(&["metadata", "--no-deps", "--format-version=1"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    metadata.get("packages").unwrap().as_array().unwrap().clone()
}

#[test]
fn the_commands_of_cargo_that_they_show_name_what_there_is() {
    let packages = &packages();
    let (mut shown, mut wrong) = (0, Vec::new());
    for file in [".md", ".py", ".js", ".rs", ".sh"].into_iter().flat_map(files) {
        let text = fs::read_to_string(&file).unwrap();
        for command in commands_of_cargo(&text) {
            shown += 1;
            if let Some(mistake) = mistake_in(&command, packages) {
                wrong.push(format!("{}: {}: {mistake}", file.display(), command.join(" ")));
            }
        }
    }
    assert!(shown > 40 && wrong.is_empty(), "{shown}: {wrong:#?}");
    for command in
        ["build -p nobody", "test --test readme one two", "run --example nothing", "test --features no", "build word"]
    {
        let command: Vec<_> = ["cargo"].into_iter().chain(command.split(' ')).collect();
        assert!(mistake_in(&command, packages).is_some(), "{command:?}");
    }
}

/// Of a package in a lock file that is not ours, what says where it comes from stands there too.
#[test]
fn a_workspace_of_its_own_has_all_that_our_crates_need_in_its_lock_file() {
    let packages = packages();
    let (mut looked_at, mut wrong) = (0, Vec::new());
    for lock in files("Cargo.lock").into_iter().filter(|lock| *lock != root().join("Cargo.lock")) {
        let text = fs::read_to_string(&lock).unwrap();
        for entry in text.split("\n\n").filter(|entry| !entry.contains("\nsource = ")) {
            let is_it = |package: &&serde_json::Value| {
                entry.contains(&format!("\nname = \"{}\"\n", package["name"].as_str().unwrap()))
            };
            let Some(package) = packages.iter().find(is_it) else { continue };
            looked_at += 1;
            let needed = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|needed| needed["kind"] != "dev" && needed["optional"] == false);
            let names = needed.map(|needed| needed["name"].as_str().unwrap());
            // Where there are several versions of it, the one that is meant stands behind the name.
            let is_missing =
                |name: &&str| !entry.contains(&format!("\n \"{name}\"")) && !entry.contains(&format!("\n \"{name} "));
            wrong.extend(
                names.filter(is_missing).map(|name| format!("{}: {}: {name}", lock.display(), package["name"])),
            );
        }
    }
    assert!(looked_at > 2 && wrong.is_empty(), "{looked_at} (cargo metadata, in these folders, mends it): {wrong:#?}");
}

/// The anchors of a page's headings, as hosts of Git make them: small letters, no punctuation, dashes for blanks.
fn headings(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let lines = text.split("```").step_by(2).flat_map(str::lines).filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        title.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
    };
    lines.map(anchor).collect()
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::from([root().join("README.md")]);
    let mut next: Vec<_> = reached.iter().cloned().collect();
    while let Some(page) = next.pop() {
        let text = fs::read_to_string(&page).unwrap();
        let links = prose(&text);
        let links = links.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        // A page that is named leads there too.
        for to in links.chain(text.split('`').skip(1).step_by(2)) {
            let Ok(file) = page.with_file_name(to).canonicalize() else { continue };
            if to.ends_with(".md") && reached.insert(file.clone()) {
                next.push(file);
            }
        }
    }
    // A page of a project that `plugins new` makes is read there.
    let templates = root().join("resolver/tool/templates");
    let lost: Vec<_> =
        files(".md").into_iter().filter(|page| !reached.contains(page) && !page.starts_with(&templates)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn every_rationale_stands_beside_what_it_explains_in_the_table_of_the_code() {
    let rationales = files("RATIONALE.md");
    let inside = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let missing: Vec<_> = rationales.iter().map(inside).filter(|path| !CONTRIBUTING.contains(path)).collect();
    assert!(rationales.len() > 5 && missing.is_empty(), "{missing:?}");
}

#[test]
fn the_example_of_a_test_is_one() {
    assert_eq!(blocks(CONTRIBUTING, "rust"), [include_str!("example_of_a_test.rs")]);
}

#[test]
fn the_files_of_the_examples_are_right() {
    for file in ["examples/shop/tracing.toml", "examples/quickstart.toml", "examples/zero_code/tracing.toml"] {
        let report = config::load(Source::File(root().join(file))).report;
        assert!(report.problems.is_empty(), "{}", report.render(false));
    }
}

#[test]
fn all_packages_have_the_version_that_the_changelog_begins_with() {
    let ours = env!("CARGO_PKG_VERSION");
    let newest = CHANGELOG.split("\n## [").nth(1).unwrap().split(']').next().unwrap();
    assert_eq!(newest, ours);
    for line in MANIFEST.lines().filter(|line| line.starts_with("tracer-") && line.contains("version = ")) {
        assert!(line.contains(&format!("version = \"{ours}\"")), "{line}");
    }
    for manifest in files("Cargo.toml") {
        let text = fs::read_to_string(&manifest).unwrap();
        // A workspace of its own inside of this one is a bench's, and is not published.
        let is_apart = text.contains("\npublish = false\n") && text.ends_with("\n[workspace]\n");
        assert!(is_apart || text.contains("\nversion.workspace = true\n"), "{}", manifest.display());
    }
    // package.sh takes the version for these out of the workspace: none of them has one of its own.
    let python = include_str!("../resolver/librdkafka/python/pyproject.toml");
    let node = include_str!("../resolver/librdkafka/npm/package.json");
    let debian = include_str!("../resolver/librdkafka/debian/control");
    assert!(python.contains("dynamic = [\"version\"]") && !python.contains("\nversion = \""));
    assert!(node.contains("\"version\": \"0.0.0\"") && debian.contains("\nVersion: @VERSION@\n"));
}

#[test]
fn the_lines_of_the_troubleshooting_are_lines_that_the_code_says() {
    let mut code = String::new();
    for file in files(".rs").iter().filter(|path| path.components().any(|part| part.as_os_str() == "src")) {
        // A long text is continued by a backslash at the end of its line.
        let text = fs::read_to_string(file).unwrap();
        let mut parts = text.split("\\\n");
        code.push_str(parts.next().unwrap());
        parts.for_each(|part| code.push_str(part.trim_start()));
    }
    let ours = |line: &&str| ["tracer-", "error[", " = help"].iter().any(|start| line.starts_with(start));
    let mut looked_for = 0;
    for line in blocks(TROUBLESHOOTING, "text").into_iter().flat_map(str::lines).filter(ours) {
        for words in fixed_words(line) {
            looked_for += 1;
            assert!(is_said(&code, &words), "{words:?} of {line:?} is in no source");
        }
    }
    assert!(looked_for > 20, "{looked_for}");
}

/// Whether the code has these words as they stand, or as two texts that it puts together.
fn is_said(code: &str, words: &str) -> bool {
    let halves = words.match_indices(' ').map(|(at, _)| (&words[..at], &words[at + 1..]));
    let long = |half: &str| half.contains(' ') && code.contains(half);
    code.contains(words) || halves.into_iter().any(|(first, second)| long(first) && long(second))
}

/// What of a line is the same in every run: four words or more without a name, a number or a path among them.
fn fixed_words(line: &str) -> Vec<String> {
    let names = line.split('`').enumerate();
    let without_names = names.map(|(at, part)| if at % 2 == 0 { part } else { "\n" }).collect::<String>();
    let is_file = |word: &str| word.contains('/') || word.trim_end_matches('.').contains('.');
    let words = without_names.split(' ').map(|word| if is_file(word) { "\n" } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    let parts = text.split(|letter: char| letter.is_ascii_digit() || "\n:;,()[]{}=\"".contains(letter));
    parts.map(str::trim).filter(|part| part.split(' ').count() >= 4).map(str::to_owned).collect()
}
