//! A page of the documentation, as somebody reads it who does what it says.

use std::fs;
use std::path::{Path, PathBuf};

/// What a page has between its fences, in order.
#[derive(Debug)]
pub(crate) struct Block {
    /// What stands behind the fence: `sh`, `python`, `text`.
    pub(crate) language: String,
    pub(crate) text: String,
}

impl Block {
    /// Whether it runs the page's program, traced.
    pub(crate) fn is_run(&self) -> bool {
        self.language == "sh" && self.text.contains("INTERCEPTORS_CONFIG_FILE=")
    }
}

/// The folder with the pages and their programs.
pub(crate) fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../librdkafka/docs")
}

/// The blocks of a page of a language.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    blocks_of(&fs::read_to_string(docs().join(page)).unwrap())
}

/// The blocks of a page with this text.
pub(crate) fn blocks_of(page: &str) -> Vec<Block> {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks
        .map(|block| {
            let (language, text) = block.split_once('\n').unwrap();
            Block { language: language.to_owned(), text: text.to_owned() }
        })
        .collect()
}

/// The program with a change that the page shows: the line of both that begins alike is replaced by the change.
pub(crate) fn changed(program: &str, change: &str) -> String {
    let start = |line: &str| line.split_inclusive(" = ").next().map(str::to_owned).unwrap_or_default();
    let begins_alike = |line: &&str| change.lines().any(|other| !other.is_empty() && start(other) == start(line));
    let replaced: Vec<_> = program.lines().filter(begins_alike).collect();
    let [replaced] = replaced[..] else { panic!("one line, not {replaced:#?}, is replaced by\n{change}") };
    program.replacen(&format!("{replaced}\n"), change, 1)
}

/// A trace as the playground draws it, without what differs from run to run.
pub(crate) fn without_times(drawing: &str) -> String {
    let lines = drawing.lines().filter(|line| !line.starts_with("trace ") && !line.is_empty());
    lines.map(|line| format!("{}\n", without_time(line))).collect()
}

fn without_time(line: &str) -> String {
    let Some((span, notes)) = line.split_once(" {took=") else { return line.to_owned() };
    match notes.split_once(", ") {
        Some((_, others)) => format!("{span} {{{others}"),
        None => span.to_owned(),
    }
}
