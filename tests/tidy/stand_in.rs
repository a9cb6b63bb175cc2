//! The stand-in for platforms on which nothing is traced has the names of what it stands in for: the same types, fields,
//! variants and methods, with the same signatures. A program that is developed there names any of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{SourceFile, sources};

const STAND_IN: &str = "resolver/rdkafka/src/elsewhere";

/// What the engine gives out that no program on `rdkafka` has a use for. Whatever else it gives out, the stand-in has.
const NOT_FOR_PROGRAMS: [(&str, &str); 16] = [
    ("BackendTrial", "the command's"),
    ("Drained", "the command's"),
    ("TrialOutcome", "the command's"),
    ("TrialSpan", "the command's"),
    ("LoadedModule", "the integrations'"),
    ("find_loaded_module", "the integrations'"),
    ("Lent", "the integrations'"),
    ("with_room", "the integrations'"),
    ("counted", "the command's"),
    ("write_to_stderr", "the integrations'"),
    ("uncancelled", "the integrations'"),
    ("before_exit", "the integrations'"),
    ("export_in_hand", "the integrations'"),
    ("MessagePlace", "the integrations'"),
    ("is_code_of_a_plugin", "the integrations'"),
    ("is_in_plugin", "the integrations'"),
];

/// The same of `Resolver`'s methods.
const METHODS_NOT_FOR_PROGRAMS: [(&str, &str); 1] = [("status_of_process", "the integrations'")];

#[test]
fn what_stands_in_where_nothing_is_traced_has_every_name_that_a_program_may_use() {
    let files = sources();
    let engine = public(&files, |path| path.starts_with("resolver/src/"));
    let integration = public(&files, |path| path.starts_with("resolver/rdkafka/src/") && !path.starts_with(STAND_IN));
    let stand_in = public(&files, |path| path.starts_with(STAND_IN));
    let mut wrong = Vec::new();

    let lib = |path: &str| files.iter().find(|file| file.path == path).unwrap();
    let excluded: BTreeMap<_, _> = NOT_FOR_PROGRAMS.into_iter().collect();
    let mut wanted: BTreeSet<_> = given_out(&lib("resolver/src/lib.rs").code());
    wrong
        .extend(excluded.keys().filter(|name| !wanted.contains(**name)).map(|name| format!("{name} is not given out")));
    wanted.extend(given_out(&lib("resolver/rdkafka/src/lib.rs").code()));
    let has = given_out(&lib("resolver/rdkafka/src/elsewhere.rs").code());
    for name in wanted.iter().filter(|name| !excluded.contains_key(name.as_str())) {
        if !has.contains(name) {
            wrong.push(format!("{name}: the stand-in lacks it (or it is not for programs: say so in the test)"));
        }
    }
    for name in &has {
        let ours = integration.get(name).or_else(|| engine.get(name)).cloned().unwrap_or_default();
        let theirs = stand_in.get(name).cloned().unwrap_or_default();
        // Of what a configuration says only this much is a program's.
        if ["Report", "Source"].contains(&name.as_str()) {
            wrong.extend(theirs.difference(&ours).map(|part| format!("{name}: only the stand-in has `{part}`")));
            continue;
        }
        let not_for_programs = |part: &&String| {
            name == "Resolver"
                && METHODS_NOT_FOR_PROGRAMS.iter().any(|(method, _)| part.contains(&format!("fn {method}(")))
        };
        let lacks = ours.difference(&theirs).filter(|part| !not_for_programs(part));
        wrong.extend(lacks.map(|part| format!("{name}: the stand-in lacks `{part}`")));
        wrong.extend(theirs.difference(&ours).map(|part| format!("{name}: only the stand-in has `{part}`")));
    }
    assert!(has.len() > 15, "the names were not found: {has:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is left of a block that has begun.
fn body<'a>(lines: &mut std::str::Lines<'a>) -> Vec<&'a str> {
    lines.take_while(|line| !line.starts_with('}')).collect()
}

/// The names in `pub use`, whatever they are of.
fn given_out(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for one in code.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next()) {
        let list = one.rsplit_once("::").map_or(one, |(_, last)| last);
        let list = one.split_once('{').map_or(list, |(_, list)| list.trim_end().trim_end_matches('}'));
        let listed = list.split(',').map(|name| name.trim().to_owned());
        names.extend(listed.filter(|name| !name.is_empty() && name != "*" && !name.contains(' ')));
    }
    names
}

/// By type, its public parts as they are written: fields, variants, constants, functions, and what it implements.
fn public(files: &[SourceFile], is_of_it: impl Fn(&str) -> bool) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| is_of_it(&file.path) && !file.is_test()) {
        let code = file.code();
        let mut lines = code.lines();
        let mut marks: Vec<String> = Vec::new();
        while let Some(line) = lines.next() {
            let derived = line.strip_prefix("#[derive(").and_then(|rest| rest.strip_suffix(")]"));
            if let Some(derived) = derived {
                marks.extend(derived.split(", ").map(|name| format!("derive({name})")));
            } else if line == "#[non_exhaustive]" {
                marks.push(line.to_owned());
            } else if !line.starts_with("pub ") {
                marks.clear();
            }
            let words: Vec<_> = line.split([' ', '(', '<', ':', ';']).filter(|word| !word.is_empty()).collect();
            match words[..] {
                ["pub", "struct" | "enum", name, ..] if line.ends_with('{') => {
                    let is_enum = words[1] == "enum";
                    let parts = body(&mut lines).into_iter().filter(|part| !part.starts_with("     "));
                    let parts = parts.filter(|part| is_enum || part.starts_with("    pub "));
                    let parts = parts.filter_map(plain).chain(std::mem::take(&mut marks));
                    found.entry(name.to_owned()).or_default().extend(parts);
                }
                ["pub", "struct", name, ..] => {
                    found.entry(name.to_owned()).or_default().extend(std::mem::take(&mut marks));
                }
                // By hand or derived: it is there.
                ["impl", .., "for", name, "{"] => {
                    let what = line.split(' ').nth(1).and_then(|path| path.rsplit("::").next()).unwrap();
                    found.entry(name.to_owned()).or_default().insert(format!("derive({what})"));
                }
                ["impl", name, ..] if !line.contains(" for ") && line.ends_with('{') => {
                    let all = body(&mut lines).join("\n");
                    let heads = all.split("\n    pub ").skip(1).chain(all.strip_prefix("    pub "));
                    let heads = heads.map(|rest| rest.split('{').next().unwrap().split(" = ").next().unwrap());
                    let heads = heads.filter_map(plain);
                    found.entry(name.to_owned()).or_default().extend(heads);
                }
                _ => {}
            }
        }
    }
    found
}

/// A part without what may differ: indents, paths before a type's name, and a `_` before the name of what is not used.
fn plain(part: &str) -> Option<String> {
    let words = part.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = words.trim_start_matches("pub ").trim_end_matches([',', '{']).trim();
    if words.is_empty() || words.starts_with(['#', '}']) {
        return None;
    }
    let mut plain = String::new();
    for piece in words.split_inclusive(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':') {
        let piece = piece.rsplit_once("::").map_or(piece, |(_, last)| last);
        plain.push_str(piece.strip_prefix('_').unwrap_or(piece));
    }
    let plain = plain.replace("(mut self", "(self");
    Some(plain.replace("( ", "(").replace(", )", ")").replace(",)", ")"))
}

#[test]
fn the_reader_of_public_names_reads_them() {
    let text = "#[derive(Clone)]\n#[non_exhaustive]\npub struct One {\n    pub field: std::time::Duration,\n    own: u8,\n}\nimpl One {\n    pub fn act(&self, _now: u64) \
                -> bool {\n        true\n    }\n\n    fn own(&self) {}\n\n    pub const ALL: [Self; 2] = [];\n}\npub enum Two {\n    \
                A,\n    B(u8),\n}\n";
    let file = SourceFile { path: "x/src/a.rs".to_owned(), text: text.to_owned() };
    let found = public(&[file], |_| true);
    let parts = |name: &str| found[name].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        parts("One"),
        [
            "#[non_exhaustive]",
            "const ALL: [Self; 2]",
            "derive(Clone)",
            "field: Duration",
            "fn act(&self, now: u64) -> bool"
        ]
    );
    assert_eq!(parts("Two"), ["A", "B(u8)"]);
    let used = given_out("pub use a::b::{C, D};\npub use e::F;\npub use g::*;\n");
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["C", "D", "F"]);
}
