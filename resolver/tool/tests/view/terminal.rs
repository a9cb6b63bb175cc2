//! In the terminal.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::running::{Running, command, line};

const PAGE: &str = include_str!("../../../../docs/view.md");

fn run(words: &[&str], input: &str) -> Output {
    let mut child = command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The commands of the page, without the name of the command, each with what is shown below it.
fn commands() -> Vec<(Vec<&'static str>, &'static str)> {
    let blocks = PAGE.split("```sh\ntracer-interceptors view ").skip(1).map(|rest| {
        let (words, rest) = rest.split_once("\n```\n\n").unwrap();
        let shown = rest.strip_prefix("```text\n").unwrap().split("```").next().unwrap();
        (words.split(' ').collect(), shown)
    });
    blocks.collect()
}

#[test]
fn the_page_shows_what_the_command_prints() {
    let commands = commands();
    assert_eq!(commands.len(), PAGE.matches("\ntracer-interceptors view ").count());
    let (once, stays): (Vec<_>, Vec<_>) = commands.into_iter().partition(|(words, _)| words.contains(&"--no-follow"));
    assert_eq!((once.len(), stays.len()), (2, 2));
    for (words, shown) in once {
        let output = run(&words, "");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
        assert_eq!(text(&output.stdout).trim_start(), shown);
    }
    let folder = tempfile::tempdir().unwrap();
    for file in ["index.html", "app.js", "app.css"] {
        fs::write(folder.path().join(file), "").unwrap();
    }
    for (words, shown) in stays {
        let port = words.iter().find(|word| word.starts_with("127.0.0.1:")).unwrap_or(&"--web");
        // The port may be another's here, and the file is this test's own.
        let words: Vec<_> = words
            .iter()
            .flat_map(|word| match *word {
                "--web" => vec!["--web", "127.0.0.1:0", "--page", folder.path().to_str().unwrap()],
                word if word == *port => vec!["127.0.0.1:0"],
                "/tmp/spans.jsonl" => vec!["resolver/tool/tests/view/spans.jsonl"],
                word => vec![word],
            })
            .collect();
        let running = Running::start(&words);
        let (before, after) = shown.trim_end().split_once("127.0.0.1:").unwrap();
        let said = running.says(before);
        let (_, behind) = said.split_once("127.0.0.1:").unwrap();
        let behind = behind.trim_start_matches(|c: char| c.is_ascii_digit());
        assert_eq!(
            format!("{before}{behind}"),
            format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        );
    }
}

#[test]
fn only_traces_that_have_what_was_asked_for_are_drawn() {
    let drawn = |words: &[&str]| {
        let words = [&["--no-follow", "resolver/tool/tests/view/spans.jsonl"], words].concat();
        text(&run(&words, "").stdout).matches("\ntrace ").count()
    };
    assert_eq!(drawn(&[]), 3);
    assert_eq!(drawn(&["--errors"]), 2);
    assert_eq!(drawn(&["--topic", "payments"]), 2);
    assert_eq!(drawn(&["--topic", "payments", "--errors"]), 1);
    assert_eq!(drawn(&["--service", "shipping"]), 1);
    assert_eq!(drawn(&["--service", "ship"]), 0);
}

#[test]
fn standard_input_is_read_to_its_end_and_what_is_no_otlp_is_said_and_not_fatal() {
    let (one, half) = (line("one"), line("longer"));
    let output = run(&["-"], &format!("{one}nonsense\n{{\"resourceLogs\":[]}}\n{}", half.trim_end()));
    assert_eq!(output.status.code(), Some(0));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(out.contains("unknown_service: one {took=0.000 ms}\n") && out.contains(": longer "), "{out}");
    assert!(err.contains("2 lines or requests were no OTLP (the first: standard input:2: no JSON: "), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn a_file_is_followed_through_half_lines_and_rotation_until_ctrl_c_and_nothing_is_left_undrawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spans.jsonl");
    let write = |text: &str| {
        OpenOptions::new().append(true).create(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let mut running = Running::start(&[path.to_str().unwrap()]);
    running.says("is not there yet: waiting for it");
    let (a, b) = (line("a"), line("bb"));
    write(&format!("{a}{}", &b[..40]));
    running.says("unknown_service: a {took=");
    write(&b[40..]);
    fs::rename(&path, folder.path().join("spans.jsonl.1")).unwrap();
    write(&line("ccc"));
    running.says(": bb ");
    running.says(": ccc ");
    write(&line("dddd"));
    // Within the next look; a trace is drawn by itself after five seconds.
    std::thread::sleep(std::time::Duration::from_millis(1000));
    running.interrupt();
    running.says(": dddd ");
    assert_eq!(running.status(), Some(0));
}

#[test]
fn a_reader_that_has_read_enough_ends_it() {
    let mut child = command(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(line("one").as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_shown_is_said_with_a_status() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for (words, status, says) in [
        (&[][..], 2, "needs a file, `-` for standard input, or --listen ADDR"),
        (&["--no-follow", "none.jsonl"], 125, "cannot read none.jsonl: No such file"),
        (&[folder], 125, "is a folder: name a file"),
        (&["--listen", "example.org:1"], 2, "is no address"),
        (&["--web", "x", "spans.jsonl"], 2, "\"x\" is no address"),
        (&["--no-follow", "--listen", ":0"], 2, "cannot be used with"),
        (&["--page", folder, "spans.jsonl"], 2, "--web"),
        (&["--web", ":0", "--page", folder, "spans.jsonl"], 125, "index.html"),
    ] {
        let output = run(words, "");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(status) && said.contains(says), "{words:?}: {:?} {said}", output.status);
    }
}

#[test]
fn spans_of_a_real_program_are_drawn() {
    if Command::new("kcat").arg("-V").output().is_err() {
        return words::foreign::skip("kcat is not installed");
    }
    let running = Running::start(&["--listen", "127.0.0.1:0"]);
    let kafka = words::kafka::Kafka::start(&["orders"]);
    // Beside the library, as it is installed.
    let folder = tempfile::tempdir().unwrap();
    for name in ["libtracer_interceptors.so", "libtracer_plugin_otlp.so"] {
        fs::copy(words::foreign::library().with_file_name(name), folder.path().join(name)).unwrap();
    }
    let tool = folder.path().join("tracer-interceptors");
    fs::copy(env!("CARGO_BIN_EXE_tracer-interceptors"), &tool).unwrap();
    let mut kcat = Command::new(tool);
    kcat.args(["run", "kcat", "-P", "-t", "orders", "-b", &kafka.cluster().bootstrap_servers()]);
    kcat.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", running.address())).env("OTEL_SERVICE_NAME", "shop");
    let mut kcat = kcat.stdin(Stdio::piped()).spawn().unwrap();
    kcat.stdin.take().unwrap().write_all(b"a message\n").unwrap();
    assert!(kcat.wait().unwrap().success());
    running.says("shop: send orders {took=");
}
