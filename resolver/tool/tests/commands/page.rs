//! Each example of docs/command.md prints what the page shows.
//!
//! `BLESS=1 cargo test -p tracer-interceptors --test commands page` writes what is printed into the page; read the difference.

use std::fs;
use std::process::Command;

use crate::installed::{Installed, repository};

const PAGE: &str = "docs/command.md";

#[test]
fn every_example_of_the_page_prints_what_it_shows() {
    let installed = Installed::new();
    for file in fs::read_dir(repository("docs/command")).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(file.path(), installed.work().join(file.file_name())).unwrap();
    }
    let page = fs::read_to_string(repository(PAGE)).unwrap();
    let mut told = String::new();
    let mut examples = 0;
    let mut rest = page.as_str();
    while let Some((before, block)) = rest.split_once("```console\n") {
        let (block, after) = block.split_once("```\n").unwrap();
        let commands: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
        assert!(!commands.is_empty(), "{block}");
        examples += commands.len();
        told.push_str(&format!("{before}```console\n{}```\n", shown(&installed, &commands)));
        rest = after;
    }
    told.push_str(rest);
    assert!(examples > 10, "{examples} examples were found");
    if std::env::var_os("BLESS").is_some() {
        fs::write(repository(PAGE), told).unwrap();
    } else {
        for (line, (shown, printed)) in page.lines().zip(told.lines()).enumerate() {
            assert_eq!(shown, printed, "{PAGE}:{}", line + 1);
        }
        assert_eq!(page, told);
    }
}

/// The commands in one shell, each with what it prints.
fn shown(installed: &Installed, commands: &[&str]) -> String {
    let script: Vec<_> = commands
        .iter()
        .map(|command| {
            format!("before=$?; printf '$ %s\\n' '{}'; (exit $before); {command}", command.replace('\'', "'\\''"))
        })
        .collect();
    let path = format!("{}:/usr/bin:/bin", installed.bin().display());
    let mut sh = Command::new("sh");
    // `$?` of the next is that of this one; what one prints last has a line end.
    sh.arg("-c").arg(format!("exec 2>&1\n{}", script.join("\n"))).env_clear().env("PATH", path);
    let printed = String::from_utf8(sh.current_dir(installed.work()).output().unwrap().stdout).unwrap();
    let printed = printed.replace(installed.bin().to_str().unwrap(), "/usr/lib/tracer-resolver");
    without_what_differs(&printed)
}

/// Hashes of files, and how they were built, are this machine's own.
fn without_what_differs(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<_> = line
            .split(' ')
            .map(|word| {
                let bare = word.trim_matches('"');
                let is_hash = bare.len() == 64 && bare.chars().all(|c| c.is_ascii_hexdigit());
                if is_hash { word.replace(bare, &HASH.repeat(8)) } else { word.to_owned() }
            })
            .collect();
        let line = words.join(" ");
        out.push_str(line.strip_suffix(", debug").unwrap_or(&line).trim_end());
        out.push('\n');
    }
    out
}

const HASH: &str = "0123abcd";
