//! Each example of docs/command.md and docs/plugin-kit.md prints what the page shows.
//!
//! `BLESS=1 cargo test -p tracer-interceptors --test commands page` writes what is printed into the page; read the difference.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::installed::{Installed, repository};

#[test]
fn every_example_of_the_command_s_page_prints_what_it_shows() {
    let installed = Installed::new();
    for file in fs::read_dir(repository("docs/command")).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(file.path(), installed.work().join(file.file_name())).unwrap();
    }
    shows_what_is_printed("docs/command.md", &installed, 10);
}

#[test]
fn every_example_of_the_kit_s_page_prints_what_it_shows() {
    shows_what_is_printed("docs/plugin-kit.md", &Installed::new(), 5);
}

/// The page's blocks are run one after the other, in one folder.
fn shows_what_is_printed(name: &str, installed: &Installed, least: usize) {
    let page = fs::read_to_string(repository(name)).unwrap();
    let mut told = String::new();
    let mut examples = 0;
    let mut rest = page.as_str();
    // Where a block leaves the shell, the next one begins.
    let folder = installed.work().join(".folder");
    while let Some((before, block)) = rest.split_once("```console\n") {
        let (block, after) = block.split_once("```\n").unwrap();
        let commands: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
        assert!(!commands.is_empty(), "{block}");
        examples += commands.len();
        told.push_str(&format!("{before}```console\n{}```\n", shown(installed, &commands, &folder)));
        rest = after;
    }
    told.push_str(rest);
    assert!(examples > least, "{examples} examples were found");
    if std::env::var_os("BLESS").is_some() {
        fs::write(repository(name), told).unwrap();
    } else {
        for (line, (shown, printed)) in page.lines().zip(told.lines()).enumerate() {
            assert_eq!(shown, printed, "{name}:{}", line + 1);
        }
        assert_eq!(page, told);
    }
}

/// The commands in one shell, each with what it prints.
fn shown(installed: &Installed, commands: &[&str], folder: &Path) -> String {
    let script: Vec<_> = commands
        .iter()
        .map(|command| {
            let said = command.replace('\'', "'\\''");
            let command = command.replace(INSTALLED, installed.bin().to_str().unwrap());
            format!("before=$?; printf '$ %s\\n' '{said}'; (exit $before); {command}")
        })
        .collect();
    let path = format!("{}:/usr/bin:/bin", installed.bin().display());
    let mut sh = Command::new("sh");
    // `$?` of the next is that of this one; what one prints last has a line end.
    sh.arg("-c")
        .arg(format!(
            "exec 2>&1\ncd \"$(cat {folder} 2>/dev/null || pwd)\"\n{}\npwd > {folder}",
            script.join("\n"),
            folder = folder.display()
        ))
        .env_clear()
        .env("PATH", path);
    let printed = String::from_utf8(sh.current_dir(installed.work()).output().unwrap().stdout).unwrap();
    let printed = printed.replace(installed.bin().to_str().unwrap(), INSTALLED);
    without_what_differs(&printed)
}

/// Hashes of files, how they were built, what they need, how long it took and which port was free are this machine's own.
fn without_what_differs(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<_> = line
            .split(' ')
            .map(|word| {
                let bare = word.trim_matches('"');
                let is_hash = bare.len() == 64 && bare.chars().all(|c| c.is_ascii_hexdigit());
                if let Some((host, path)) = bare.split_once("127.0.0.1:") {
                    let path = path.trim_start_matches(|c: char| c.is_ascii_digit());
                    return format!("{host}127.0.0.1:4318{path}");
                }
                if is_hash { word.replace(bare, &HASH.repeat(8)) } else { word.to_owned() }
            })
            .collect();
        let line = timeless(&words.join(" "));
        let needs = line.split_once("; needs ").map(|(said, _)| format!("{said}; needs libc.so.6 (glibc 2.17)"));
        let line = needs.unwrap_or(line);
        out.push_str(line.strip_suffix(", debug").unwrap_or(&line).trim_end());
        out.push('\n');
    }
    out
}

/// A time in milliseconds stands in seven characters, one in seconds at the end of a line.
fn timeless(line: &str) -> String {
    if let Some((before, after)) =
        line.split_once(" ms").filter(|(before, _)| before.ends_with(|c: char| c.is_ascii_digit()))
    {
        let name = before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end();
        return format!("{name:<31}     0.1 ms{after}");
    }
    match line.rsplit_once("; ") {
        Some((said, time)) if time.ends_with(" s") => format!("{said}; 0.1 s"),
        _ => line.to_owned(),
    }
}

const INSTALLED: &str = "/usr/lib/tracer-resolver";
const HASH: &str = "0123abcd";
