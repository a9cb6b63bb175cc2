//! `tracer-interceptors doctor` tries each backend for real, and tells what would happen to a program; each fault is told
//! by its step, with the way out, and by the exit status.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use words::child::without_tracing;
use words::foreign::{GoBuild, c_program, go_program};
use words::receivers::{HttpServer, OtlpReceiver, Reply};

use crate::support::Files;

/// A backend `collector` of this plugin with these settings.
fn configured(folder: &Path, plugin: &str, config: &str) -> PathBuf {
    let file = folder.join("tracing.toml");
    let text = format!(
        "version = 1\n[defaults]\nexport = [\"collector\"]\n[services.shop]\nproduces = [\"orders\"]\n\
         [backends.collector]\nplugin = \"{plugin}\"\nconfig = {{ {config} }}\n"
    );
    fs::write(&file, text).unwrap();
    file
}

fn doctor(files: &Files, file: Option<&Path>, words: &[&str]) -> Output {
    let mut command = Command::new(files.tool());
    without_tracing(&mut command).arg("doctor").args(words).current_dir(files.path());
    command.envs(file.map(|file| ("INTERCEPTORS_CONFIG_FILE", file)));
    command.output().unwrap()
}

/// The lines of a step, and whether all was well.
fn step(output: &Output, name: &str) -> (String, Option<i32>) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let is_it = |line: &str| line.split_whitespace().nth(1) == Some(name);
    let found = lines.iter().position(|line| line.starts_with("  ") && is_it(line));
    let place = found.unwrap_or_else(|| panic!("no step {name}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let way_out = lines.get(place + 1).filter(|line| line.trim_start().starts_with('→')).unwrap_or(&"");
    (format!("{}{way_out}", lines[place]), output.status.code())
}

fn replies(reply: fn() -> Reply) -> HttpServer {
    HttpServer::start(move |_| reply()).unwrap()
}

/// Says `words` to whoever connects, having read something first; nothing at all, and the connection is reset.
fn says(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let answer = |mut connection: TcpStream| {
                let _ = connection.set_read_timeout(Some(Duration::from_secs(5)));
                // Closed with bytes unread, a connection is reset.
                if !words.is_empty() {
                    let _ = connection.read(&mut [0; 65536]);
                    let _ = connection.write_all(words);
                } else {
                    let _ = connection.read(&mut [0; 1]);
                }
            };
            connection.map(answer).unwrap();
        }
    });
    port
}

#[test]
fn a_backend_that_works_gets_one_span_that_calls_itself_a_test() {
    let files = Files::new();
    let collector = OtlpReceiver::start().unwrap();
    let file = configured(files.path(), "otlp", &format!("endpoint = \"{}\"", collector.endpoint()));
    let output = doctor(&files, Some(&file), &[]);
    let (line, status) = step(&output, "span");
    let spans = collector.spans();
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert!(line.contains("ok") && line.contains(&span.trace_id) && status == Some(0), "{line}");
    assert_eq!((span.name.as_str(), span.service.as_str()), ("tracer-interceptors doctor", "tracer-interceptors"));
    assert_eq!(collector.faults(), Vec::<String>::new());
    for name in ["read", "plugin", "settings", "port"] {
        assert!(step(&output, name).0.contains("ok"), "{name}");
    }
    let sent = Command::new(files.tool())
        .args(["send-test", "collector", "--service", "billing", "--format", "json"])
        .env("INTERCEPTORS_CONFIG_FILE", &file)
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!((json["well"].as_bool(), sent.status.code()), (Some(true), Some(0)));
    let spans = collector.spans();
    assert_eq!((spans[1].service.as_str(), spans[1].name.as_str()), ("billing", "tracer-interceptors send-test"));
    assert!(json.to_string().contains(&spans[1].trace_id), "{json}");
    let unknown = Command::new(files.tool())
        .args(["send-test", "colector"])
        .env("INTERCEPTORS_CONFIG_FILE", &file)
        .output()
        .unwrap();
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(unknown.status.code() == Some(2) && said.contains("`collector`"), "{said}");
}

#[test]
fn each_fault_on_the_way_is_told_with_its_way_out() {
    let files = Files::new();
    let html = replies(|| Reply::status(200).header("content-type", "text/html").body("<!DOCTYPE html><p>Log in"));
    let other = replies(|| Reply::status(200).header("content-type", "application/json").body("{\"status\": \"up\"}"));
    let no = replies(|| Reply::status(401).body("who are you"));
    let never = replies(|| Reply::status(403));
    let nowhere = replies(|| Reply::status(404));
    let refuses = replies(|| {
        let body: &[u8] = b"\x0a\x0b\x08\x01\x12\x07too old";
        Reply::status(200).header("content-type", "application/x-protobuf").body(body)
    });
    let at = |server: &HttpServer| format!("endpoint = \"http://{}\"", server.address());
    let port = |port: u16| format!("endpoint = \"http://127.0.0.1:{port}\"");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let proxied = format!("endpoint = \"http://collector:4318\", proxy = \"http://127.0.0.1:{closed}\"");
    let encrypted = format!("endpoint = \"https://{}\"", no.address());
    for (config, name, expected) in [
        ("endpoint = \"http://nowhere.invalid:4318\"".to_owned(), "name", "correct the host"),
        (port(closed), "port", "Connection refused"),
        (proxied, "port", "`proxy`"),
        (port(says(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0")), "span", "commonly 4318"),
        (port(says(b"")), "span", "/v1/traces: "),
        (encrypted, "span", "speak TLS"),
        (at(&html), "span", "a web page, which is no answer of a backend"),
        (at(&other), "span", "{\\\"status\\\": \\\"up\\\"}"),
        (at(&no), "span", "401 Unauthorized: who are you (see `headers`)"),
        (at(&never), "span", "(see `headers`)"),
        (at(&nowhere), "span", "see the path of `endpoint`"),
        (at(&refuses), "span", "refused: too old"),
        ("endpoint = 5".to_owned(), "settings", "tracing.toml:8"),
    ] {
        let file = configured(files.path(), "otlp", &config);
        let (line, status) = step(&doctor(&files, Some(&file), &[]), name);
        assert!(line.contains("failed") && line.contains(expected) && status == Some(1), "{config}: {status:?} {line}");
    }
    let file = configured(files.path(), "jeager", "");
    let (line, _) = step(&doctor(&files, Some(&file), &[]), "plugin");
    assert!(line.contains("failed") && line.contains("jaeger"), "{line}");
    let format = replies(|| Reply::status(400).body("Unsupported format type: x"));
    let config = format!("transport = \"thrift_http\", endpoint = \"http://{}/api/traces?format=x\"", format.address());
    let (line, _) = step(&doctor(&files, Some(&configured(files.path(), "jaeger", &config)), &[]), "span");
    assert!(line.contains("failed") && line.contains("jaeger.thrift"), "{line}");
}

/// The last line: how many were found.
fn verdict(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn one_cause_is_one_finding_and_what_follows_is_named_and_not_counted() {
    let files = Files::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let proxied = format!("endpoint = \"http://collector:4318\", proxy = \"http://127.0.0.1:{closed}\"");
    for config in [
        format!("endpoint = \"http://127.0.0.1:{closed}\""),
        "endpoint = \"http://nowhere.invalid:4318\"".to_owned(),
        proxied,
    ] {
        let output = doctor(&files, Some(&configured(files.path(), "otlp", &config)), &[]);
        assert!(step(&output, "span").0.contains("follows span"), "{config}");
        assert_eq!((verdict(&output).as_str(), output.status.code()), ("1 failed", Some(1)), "{config}");
    }
    // Two backends of one collector that is down, and two of one plugin that is not there.
    for (plugin, step_of_both) in [("otlp", "port"), ("there-is-none", "plugin")] {
        let file = configured(files.path(), plugin, &format!("endpoint = \"http://127.0.0.1:{closed}\""));
        let text = fs::read_to_string(&file).unwrap();
        let (before, backend) = text.split_once("[backends.collector]").unwrap();
        let text = format!("{before}[backends.collector]{backend}[backends.second]{backend}");
        fs::write(&file, text.replace("[\"collector\"]", "[\"collector\", \"second\"]")).unwrap();
        let output = doctor(&files, Some(&file), &[]);
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        let second = said.split("backend second").nth(1).unwrap();
        assert!(second.contains(&format!("follows {step_of_both}")), "{said}");
        assert!(second.contains("the same as in backend collector"), "{said}");
        assert!(verdict(&output).starts_with("1 failed"), "{said}");
    }
    // A file that turns tracing off, and a program that is wholly static.
    let file = files.path().join("tracing.toml");
    fs::write(&file, "version = 1\n[services.shop]\nproduce = [\"orders\"]\n").unwrap();
    let output = doctor(&files, Some(&file), &[]);
    assert!(step(&output, "read").0.contains("follows") && verdict(&output) == "1 failed", "{}", verdict(&output));
}

#[test]
fn a_file_is_taken_as_check_takes_it_and_what_is_no_configuration_is_said_to_be_what_it_is() {
    let files = Files::new();
    let collector = OtlpReceiver::start().unwrap();
    let file = configured(files.path(), "otlp", &format!("endpoint = \"{}\"", collector.endpoint()));
    let output = doctor(&files, None, &["tracing.toml"]);
    assert_eq!((verdict(&output).as_str(), output.status.code()), ("all is well", Some(0)));
    let output = doctor(&files, None, &["tracing.toml", "--", "true"]);
    assert!(step(&output, "program").0.contains("true") && step(&output, "read").0.contains("tracing.toml"));
    let said = |words: &[&str], file: Option<&Path>| {
        let output = doctor(&files, file, words);
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8(text).unwrap(), output.status.code())
    };
    for (words, file, status, hint) in [
        (&["sh"][..], None, 1, "sh is a program: `tracer-interceptors doctor -- sh`"),
        (&["collector"], Some(file.as_path()), 2, "`tracer-interceptors send-test collector`"),
        (&["sh", "app.sh"], None, 2, "hint: a program is put after --: tracer-interceptors doctor -- sh app.sh"),
        (
            &["--config", "tracing.toml"],
            None,
            2,
            "hint: the file stands by itself: tracer-interceptors doctor tracing.toml",
        ),
        (&["--", "./tracing.toml"], None, 1, "it is a configuration: give it before --"),
    ] {
        let (text, code) = said(words, file);
        assert!(text.contains(hint) && code == Some(status), "{words:?}: {code:?} {text}");
    }
}

#[test]
fn a_slow_backend_is_doubtful_and_a_file_needs_no_network() {
    let files = Files::new();
    let collector = OtlpReceiver::start().unwrap();
    collector.respond_after(Duration::from_millis(1500));
    let file = configured(files.path(), "otlp", &format!("endpoint = \"{}\"", collector.endpoint()));
    let (line, status) = step(&doctor(&files, Some(&file), &[]), "span");
    assert!(line.contains("doubt") && line.contains("only after") && status == Some(0), "{line}");
    let file = configured(files.path(), "file", &format!("path = \"{}\"", files.path().join("spans").display()));
    let output = doctor(&files, Some(&file), &[]);
    assert!(step(&output, "name").0.contains("skipped") && step(&output, "span").0.contains("ok"));
    let written = fs::read_to_string(files.path().join("spans")).unwrap();
    assert!(written.contains("tracer-interceptors doctor"), "{written}");
}

#[test]
fn a_file_that_turns_tracing_off_is_the_first_fault() {
    let files = Files::new();
    let file = files.path().join("tracing.toml");
    fs::write(&file, "version = 1\n[services.shop]\nproduce = [\"orders\"]\n").unwrap();
    let (line, status) = step(&doctor(&files, Some(&file), &[]), "problem");
    assert!(
        line.contains("tracing.toml:3")
            && line.contains("unknown key `produce`")
            && line.contains("produces")
            && status == Some(1),
        "{line}"
    );
    let (line, status) = step(&doctor(&files, None, &[]), "problem");
    assert!(line.contains("INTERCEPTORS_CONFIG_FILE") && status == Some(1), "{line}");
}

#[test]
fn a_program_is_told_what_would_happen_to_it() {
    let files = Files::new();
    let write = |name: &str, text: &str| fs::write(files.path().join(name), text).unwrap();
    let of = |words: &[&str], name: &str| {
        let words: Vec<_> = ["--"].iter().chain(words).copied().collect();
        step(&doctor(&files, None, &words), name).0
    };
    assert!(of(&["no-such-program-at-all"], "program").contains("failed"));
    assert!(of(&["true"], "librdkafka").contains("doubt"));
    if let Some(program) = c_program(files.path(), "c/flow.c", &[]) {
        let line = of(&[program.to_str().unwrap()], "librdkafka");
        assert!(line.contains("ok") && line.contains("librdkafka.so"), "{line}");
    }
    write("pure.c", "int main(void) { return 0; }\n");
    let built =
        Command::new("cc").args(["-static", "pure.c", "-o", "pure"]).current_dir(files.path()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let line = of(&["./pure"], "preloading");
    assert!(line.contains("follows") && line.contains("statically linked"), "{line}");
    let line = of(&["./pure"], "librdkafka");
    assert!(line.contains("failed") && line.contains("can load none"), "{line}");
    // Interpreters, by their names alone: none of them is started but Python, which is asked what is installed.
    for name in ["java", "dotnet", "node", "php8.2"] {
        fs::copy("/bin/true", files.path().join(name)).unwrap();
    }
    assert!(of(&["./java", "-jar", "app.jar"], "clients").contains("OpenTelemetry's agent for Java"));
    assert!(of(&["./dotnet", "app.dll"], "clients").contains("plugin.library.paths"));
    assert!(of(&["./php8.2", "app.php"], "clients").contains("plugin.library.paths"));
    write("app.js", "const { Kafka } = require('kafkajs');\n");
    assert!(of(&["./node", "app.js"], "imports").contains("app.js:1 imports kafkajs"));
    write("app.py", "import os\nfrom kafka import KafkaProducer\n");
    let line = of(&["python3", "app.py"], "imports");
    assert!(line.contains("failed") && line.contains("app.py:2 imports kafka (kafka-python)"), "{line}");
    let line = of(&["python3", "-c", "import aiokafka"], "imports");
    assert!(line.contains("failed") && line.contains("aiokafka"), "{line}");
}

#[test]
fn python_is_asked_for_its_packages_and_runs_nothing_of_the_folder() {
    let files = Files::new();
    let write = |name: &str, text: &str| fs::write(files.path().join(name), text).unwrap();
    let package = |python: &str| step(&doctor(&files, None, &["--", python, "app.py"]), "package").0;
    write("app.py", "import confluent_kafka\n");
    // What Python's own `importlib.metadata` imports.
    for module in ["csv", "email", "zipfile", "textwrap"] {
        write(&format!("{module}.py"), "open('has-run', 'w')\n");
    }
    let line = package("python3");
    assert!(line.contains("installed for") && !files.path().join("has-run").exists(), "{line}");
    write("python3.99", "#!/bin/sh\necho warned >&2\necho 'no disk' >&2\nexit 3\n");
    fs::set_permissions(files.path().join("python3.99"), fs::Permissions::from_mode(0o755)).unwrap();
    let line = package("./python3.99");
    assert!(
        line.contains("doubt") && line.contains("could not be asked") && line.contains("installed: no disk"),
        "{line}"
    );
}

#[test]
fn a_go_program_is_told_by_how_it_was_linked() {
    let files = Files::new();
    for (build, expected) in [
        (GoBuild::FullyStatic, "wholly static, and can load no library"),
        (GoBuild::Static, "linked in, where no preloaded library can see its calls"),
        (GoBuild::Stripped, "-rdynamic"),
    ] {
        let Some(program) = go_program(build) else { return };
        let (line, status) = step(&doctor(&files, None, &["--", program.to_str().unwrap()]), "librdkafka");
        assert!(line.contains("failed") && line.contains(expected) && status == Some(1), "{build:?}: {line}");
    }
}
