//! Programs say in a file how they are; `tracer-interceptors status` shows it, and `docs/status.md` shows both truly.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use words::child::without_tracing;
use words::foreign::python;
use words::{Traced, WayIn, run};

use crate::page::{Block, blocks_of};
use crate::support::{Files, has_kcat};

const PAGE: &str = include_str!("../../../../docs/status.md");

/// Sends one message to `topic` by kcat, preloaded, with this file, and says where its status is to be.
fn kcat(files: &Files, surroundings: &Traced, topic: &str, status: &Path) {
    let mut command = surroundings.command(WayIn::None, "sh");
    command.args(["-c", "echo hello | \"$TOOL\" run kcat -P -b $KAFKA -t \"$TOPIC\""]);
    command.env("TOOL", files.tool()).env("TOPIC", topic).env("INTERCEPTORS_STATUS", status);
    command.env("INTERCEPTORS_CONFIG_FILE", surroundings.file());
    run(&mut command).expect_success();
}

fn status(files: &Files, words: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(files.tool()).arg("status").args(words).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (text, output.status.code())
}

#[test]
fn a_topic_that_is_nobodys_and_one_that_is_sampled_out_are_told_by_one_command() {
    if !has_kcat() {
        return;
    }
    let files = Files::new();
    let folder = files.path().join("run");
    fs::create_dir(&folder).unwrap();
    let settings = "[services.shop]\nproduces = [\"order\"]\n\
                    [services.pay]\nproduces = [\"pay*\"]\nsampler = \"always_off\"";
    let surroundings = Traced::start(&["orders", "payments"], settings);
    for topic in ["orders", "payments"] {
        kcat(&files, &surroundings, topic, &folder.join("{pid}.json"));
    }
    let (text, status_code) = status(&files, &[folder.to_str().unwrap()]);
    let row =
        |topic: &str| text.lines().find(|line| line.contains(&format!(" {topic} "))).unwrap_or_default().to_owned();
    let orders = row("orders");
    assert!(orders.contains("nearest: service `shop` has produces = \"order\", but 1 character differs"), "{text}");
    let cells: Vec<_> = row("payments").split_whitespace().skip(1).take(5).map(str::to_owned).collect();
    assert_eq!(cells, ["payments", "produce", "1", "0", "pay"], "{text}");
    assert!(text.contains("SAMPLED OUT") && row("payments").contains("sampler always_off"), "{text}");
    assert_eq!(status_code, Some(1), "one of them traces nothing that it met");
    let (json, _) = status(&files, &[folder.to_str().unwrap(), "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let processes = json["processes"].as_array().unwrap();
    let first = &processes[0];
    assert!(first["state"] == "ended" && first["configuration"]["sha256"].as_str().unwrap().len() == 64);
    assert_eq!(processes.len(), 2);
    assert!(surroundings.spans().is_empty());
}

#[test]
fn what_is_no_status_file_and_a_process_that_is_gone_are_told() {
    let files = Files::new();
    let folder = files.path().join("run");
    fs::create_dir(&folder).unwrap();
    let (said, code) = status(&files, &[folder.to_str().unwrap()]);
    assert!(code == Some(125) && said.contains("INTERCEPTORS_STATUS"), "{said}");
    let other = folder.join("other.json");
    fs::write(&other, "{\"a\": 1}").unwrap();
    let (said, code) = status(&files, &[other.to_str().unwrap()]);
    assert!(code == Some(125) && said.contains("no status file"), "{said}");
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
    let gone = format!(
        "{{\"interceptors_status\":1,\"tracing\":true,\"ended\":false,\"written_at\":0,\"process\":{{\"pid\":4194304,\
         \"start_ticks\":1,\"pid_namespace\":\"{}\",\"program\":\"/bin/\\u001b[31mapp\"}}}}",
        namespace.display()
    );
    fs::write(folder.join("gone.json"), gone).unwrap();
    let (text, code) = status(&files, &[folder.to_str().unwrap()]);
    assert!(code == Some(1) && text.contains("gone") && !text.contains('\x1b'), "{text}");
}

#[test]
fn the_page_shows_what_one_sees() {
    let files = Files::new();
    let Some(python) = python() else { return };
    if !has_kcat() {
        return;
    }
    symlink(python, files.path().join("python3")).unwrap();
    let compared = compare(&files, PAGE, &["order", "orders"]);
    assert!(compared >= 5, "{compared}");
}

#[test]
fn the_page_of_reloads_shows_what_one_sees() {
    if !has_kcat() {
        return;
    }
    assert_eq!(compare(&Files::new(), include_str!("../../../../docs/reload.md"), &["orders"]), 1);
}

/// Runs what a page has for a shell, and compares what is said with what is shown below it. How often that was.
fn compare(files: &Files, page: &str, topics: &[&str]) -> usize {
    let surroundings = Traced::start(topics, "");
    let place = tempfile::tempdir().unwrap();
    let collector = surroundings.collector.endpoint();
    let collector = collector.strip_prefix("http://").unwrap();
    let mut blocks = blocks_of(page).into_iter().peekable();
    let mut compared = 0;
    while let Some(Block { language, text }) = blocks.next() {
        match language.as_str() {
            "toml" => fs::write(place.path().join("tracing.toml"), text.replace("127.0.0.1:4318", collector)).unwrap(),
            "python" => fs::write(place.path().join("app.py"), text).unwrap(),
            "sh" => {
                let Some(shown) = blocks.next_if(|block| block.language == "text") else { continue };
                let mut shell = surroundings.command(WayIn::None, "sh");
                without_tracing(&mut shell).args(["-uc", &text]).current_dir(place.path());
                let path = std::env::join_paths(
                    [files.path().to_owned()]
                        .into_iter()
                        .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
                );
                shell.env("PATH", path.unwrap()).env("INTERCEPTORS_CONFIG_FILE", place.path().join("tracing.toml"));
                // What is built for tests says so.
                let said = run(&mut shell).stdout.replace(", debug)", ")");
                let said = said.replace(files.path().to_str().unwrap(), "/usr/lib/tracer-resolver");
                let said = said.replace(place.path().to_str().unwrap(), "/srv").replace(collector, "127.0.0.1:4318");
                assert_eq!(constant(&said), constant(&shown.text), "{text}\nsays\n{said}");
                compared += 1;
            }
            _ => {}
        }
    }
    compared
}

/// Without what differs from run to run: numbers, ids, and the width of columns.
fn constant(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| c.is_alphanumeric() != first.is_alphanumeric()).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let is_hash = run.len() >= 8 && run.chars().all(|c| c.is_ascii_hexdigit());
        if is_hash || first.is_ascii_digit() {
            words.push('N');
        } else {
            words.push_str(run);
        }
        rest = after;
    }
    let lines = words.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.map(|line| format!("{}\n", line.replace("N.N", "N"))).collect()
}
