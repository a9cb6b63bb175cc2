//! `plugins check` finds each way in which a plugin breaks the contract, and nothing in one that keeps it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use words::foreign::{library, skip};
use words::kafka::Kafka;

use crate::installed::{Installed, SHIPPED, Said, repository};

#[test]
fn the_plugins_of_the_packages_keep_every_rule() {
    let installed = Installed::new();
    // The collector of the check speaks HTTP and gRPC: who sends to Kafka is given one.
    let kafka = Kafka::start(&["otlp_spans"]);
    let settings = format!(r#"{{"bootstrap_servers": "{}"}}"#, kafka.servers());
    thread::scope(|scope| {
        for name in SHIPPED {
            let file = installed.bin().join(format!("libtracer_plugin_{name}.so"));
            let installed = &installed;
            let words = if name == "kafka" { vec!["--config", settings.as_str()] } else { Vec::new() };
            scope.spawn(move || keeps_every_rule(installed, &file, &words));
        }
    });
}

#[test]
fn a_plugin_of_one_s_own_in_rust_or_c_keeps_every_rule() {
    let installed = Installed::new();
    keeps_every_rule(&installed, &library().with_file_name("libtracer_plugin_lines.so"), &[]);
    // The C plugin of the page for authors, compiled as the page says.
    let page = std::fs::read_to_string(repository("plugins/api/README.md")).unwrap();
    let code = page.split_once("```c\n").unwrap().1.split_once("```").unwrap().0;
    let source = installed.file("tally.c", code);
    let file = installed.work().join("libtracer_plugin_tally.so");
    cc(&source, &file, &["-std=c99", "-O2", "-fvisibility=hidden"]);
    keeps_every_rule(&installed, &file, &[]);
    keeps_every_rule(&installed, &BREAKING, &[]);
}

#[test]
fn a_plugin_in_cpp_that_uses_all_of_the_boundary_keeps_every_rule() {
    let installed = Installed::new();
    let file = installed.work().join("libtracer_plugin_throwing.so");
    let map = format!("-Wl,--version-script={}", repository("plugins/api/include/tracer_plugin.map").display());
    let mut cpp = Command::new("c++");
    cpp.args([
        "-std=c++11",
        "-shared",
        "-fPIC",
        "-fvisibility=hidden",
        "-static-libstdc++",
        "-static-libgcc",
        &map,
        "-I",
    ]);
    cpp.arg(repository("plugins/api/include"))
        .arg(repository("plugins/api/tests/fixtures/throwing.cc"))
        .arg("-o")
        .arg(&file);
    match cpp.output() {
        Ok(made) => assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr)),
        Err(error) => return skip(&format!("c++: {error}")),
    }
    keeps_every_rule(&installed, &file, &[]);
}

#[test]
fn a_plugin_that_can_be_tried_by_every_rule_is() {
    let said = check(&Installed::new(), &BREAKING, "", &["--format", "json"]);
    let json = said.json();
    let outcomes: Vec<_> = json["rules"].as_array().unwrap().iter().map(|rule| &rule["outcome"]).collect();
    assert!(outcomes.len() > 50 && outcomes.iter().all(|outcome| *outcome == "kept"), "{}", said.out);
    assert_eq!(
        (json["plugin"]["type_name"].as_str(), json["plugin"]["exports_concurrently"].as_bool()),
        (Some("breaking"), Some(true))
    );
}

#[test]
fn every_rule_finds_a_plugin_that_breaks_it() {
    let installed = Installed::new();
    let (left, missed) = (Mutex::new(FAULTS.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((rule, fault, words)) = left.lock().unwrap().next() else { return };
                    let said = check(&installed, &BREAKING, fault, &["--rule", rule]);
                    if said.status != 1 || !said.out.contains(&format!("error[{rule}]: ")) || !said.out.contains(words)
                    {
                        missed.lock().unwrap().push(format!("{fault}: {said:?}"));
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{} of {}:\n{}", missed.len(), FAULTS.len(), missed.join("\n"));
}

#[test]
fn what_is_wrong_with_the_file_is_found_before_it_runs() {
    let installed = Installed::new();
    for (rule, flags, words) in [
        ("exports", &["-DSTRAY"][..], "it exports besides its entry point: stray"),
        (
            "dependencies",
            &["-DUNVERSIONED"],
            "have no version, so that any library of the process may answer for them: of_nobody",
        ),
        ("hardening", &["-Wl,-rpath,/home/builder/lib"], "it searches the folder \"/home/builder/lib\""),
        ("hardening", &["-Wl,-z,execstack"], "it makes the stacks of the process executable"),
        ("hardening", &["-DTEXT_RELOCATION", "-Wl,-z,notext"], "its code is written to when it is loaded (TEXTREL)"),
        ("loading", &["-DNO_ENTRY"], "it has no symbol tracer_plugin_v1"),
        ("loading", &["-DUNVERSIONED", "-Wl,-z,now"], "the system's loader refuses it"),
    ] {
        let file = installed.work().join("wrong.so");
        cc(&breaking(), &file, &[&["-fvisibility=hidden"], flags].concat());
        let said = check(&installed, &file, "", &["--rule", rule]);
        assert!(said.status == 1 && said.out.contains(words), "{rule} {flags:?}: {said:?}");
    }
    let said = check(&installed, &installed.file("text.so", "no library"), "", &[]);
    assert!(said.status == 1 && said.out.contains("error[exports]: it is no 64-bit ELF file"), "{said:?}");
    assert!(said.out.contains("means nothing before `loading` is kept"), "{said:?}");
}

/// A crash that every later rule would meet again is told once.
#[test]
fn after_a_crash_in_a_plain_life_nothing_is_tried_that_would_crash_again() {
    let said = check(&Installed::new(), &BREAKING, "export-crashes", &[]);
    assert_eq!(said.out.matches("error[").count(), 1, "{}", said.out);
    assert!(said.out.contains("error[life]: the process was ended by SIGSEGV in export_batch"), "{}", said.out);
    assert!(
        said.out.contains("  = header: dlopen -> tracer_plugin_v1") && said.out.contains("  = help: "),
        "{}",
        said.out
    );
    assert!(said.out.contains(": means nothing before `life` is kept\n"), "{}", said.out);
}

#[test]
fn a_plugin_that_hangs_is_ended_and_told_where() {
    let said = check(&Installed::new(), &BREAKING, "export-hangs", &["--rule", "life"]);
    assert!(said.out.contains("error[life]: it hangs in export_batch: the process had to be ended"), "{said:?}");
}

#[test]
fn a_check_that_is_ended_leaves_no_process_behind() {
    let installed = Installed::new();
    let mut command = installed.command();
    command.args(["plugins", "check"]).arg(&*BREAKING).args(["--rule", "life"]).env("FAULT", "export-hangs");
    let mut check = command.stdout(Stdio::null()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", check.id());
    let state = |process: &str| std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let until = |is_so: &dyn Fn() -> bool| {
        (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            is_so()
        })
    };
    let child = || std::fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
    // Hanging: the second thread is the plugin's.
    let hangs = || std::fs::read_dir(format!("/proc/{}/task", child())).is_ok_and(|threads| threads.count() > 1);
    assert!(until(&|| !child().is_empty() && hangs()));
    let child = child();
    check.kill().unwrap();
    check.wait().unwrap();
    // Gone, or nobody has waited for it yet.
    assert!(until(&|| state(&child).is_empty() || state(&child).contains(") Z ")), "{}", state(&child));
}

#[test]
fn every_rule_is_broken_by_some_plugin_of_these_tests() {
    let tried = ["exports", "dependencies", "hardening"];
    let rules = tracer_plugin_check::rules();
    let untried: Vec<_> = rules
        .iter()
        .map(|rule| rule.name)
        .filter(|name| !tried.contains(name) && !FAULTS.iter().any(|(rule, ..)| rule == name))
        .collect();
    assert!(rules.len() > 50 && untried.is_empty(), "{untried:?}");
}

#[test]
fn every_sentence_that_a_rule_quotes_stands_in_the_header() {
    let flat = |text: &str| text.replace('*', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let header = flat(include_str!("../../../../plugins/api/include/tracer_plugin.h"));
    for rule in tracer_plugin_check::rules() {
        assert!(header.contains(&flat(rule.sentence)), "{}: {}", rule.name, rule.sentence);
        assert!(rule.help.len() > 20, "{}", rule.name);
    }
}

#[test]
fn words_that_mean_nothing_are_told() {
    let installed = Installed::new();
    let file = BREAKING.to_str().unwrap();
    for (words, status, says) in [
        (&["--rule", "gone"][..], 2, "there is no rule `gone`; there are: exports, "),
        (&["--config", "[1]"], 2, "--config takes a JSON object"),
        (&["--config", "{"], 2, "--config is not JSON"),
        (&["--config", "@gone.json"], 2, "gone.json cannot be read"),
    ] {
        let said = installed.run(&[&["plugins", "check", file], words].concat());
        assert!(said.status == status && said.err.contains(says), "{words:?}: {said:?}");
    }
    let said = installed.run(&["plugin", "check", "gone.so"]);
    assert!(said.status == 1 && said.err.contains("gone.so cannot be read"), "{said:?}");
    assert!(!installed.run(&["plugins", "--help"]).out.contains("check-one-rule"));
}

#[test]
fn settings_may_be_given_in_a_file_and_name_the_collector_and_a_folder() {
    let installed = Installed::new();
    installed.file("settings.json", "{\"endpoint\": \"http://{address}/v1/traces\", \"token\": \"{folder}\"}");
    let said = check(&installed, &BREAKING, "", &["--config", "@settings.json", "--rule", "busy", "--rule", "host"]);
    assert!(said.status == 0 && said.out.contains("; 2 kept"), "{said:?}");
    // A key that the schema does not have.
    let said = check(&installed, &BREAKING, "", &["--config", "{\"endpint\": \"{endpoint}\"}", "--rule", "host"]);
    assert!(said.status == 1 && said.out.contains("unknown key `endpint`; did you mean `endpoint`?"), "{said:?}");
    // Where nothing is known of the network, nothing is said of it.
    let said = check(&installed, &BREAKING, "", &["--config", "{}", "--rule", "busy"]);
    assert!(
        said.status == 0 && said.out.contains("not tried: busy: the settings have no {endpoint} in them"),
        "{said:?}"
    );
    // Without a secret in the settings, there is none to be rotated.
    let said = check(&installed, &BREAKING, "no-secrets-final", &["--rule", "credentials"]);
    assert!(said.status == 0 && said.out.contains("; 1 kept"), "{said:?}");
    let said = check(&installed, &BREAKING, "foreign", &["--rule", "busy"]);
    assert!(said.out.contains("not tried: busy: it does not speak HTTP/1.1"), "{said:?}");
}

/// Whoever has no backend at hand is told so once, by the one rule that found it, and does not wait for it with every other.
#[test]
fn a_backend_that_takes_nothing_is_asked_by_one_rule_only() {
    let installed = Installed::new();
    let words = ["taken", "signals", "flush", "busy"].map(|rule| ["--rule", rule]).concat();
    let said = check(&installed, &BREAKING, "takes-nothing", &words);
    assert!(
        said.status == 1 && said.out.contains("error[taken]: export_batch of 3 spans to a backend that"),
        "{said:?}"
    );
    // The process is that of `taken`.
    let process = said.out.split_once("(\"not in process ").unwrap().1.split_once('"').unwrap().0;
    let left = format!(
        "not tried: signals, busy, flush: means nothing while a plain batch is not taken: RETRYABLE (\"not in process \
         {process}\")\n"
    );
    assert!(said.out.contains(&left), "{said:?}");
    let own = ["--config", "{\"token\": \"of a backend elsewhere\"}", "--rule", "taken"];
    let said = check(&installed, &BREAKING, "takes-nothing", &own);
    assert!(
        said.out.contains("error[taken]: export_batch of 3 spans to the backend that the settings name"),
        "{said:?}"
    );
    assert!(said.out.contains("of your own, start it"), "{said:?}");
}

/// As the host does it: told of the fork before anything else, or left alone.
#[test]
fn a_forked_child_is_treated_as_the_host_treats_it() {
    let installed = Installed::new();
    let said = check(&installed, &BREAKING, "after-fork-needed", &["--rule", "fork"]);
    assert!(said.status == 0 && said.out.contains("; 1 kept"), "{said:?}");
    let said = check(&installed, &BREAKING, "not-in-children", &["--rule", "fork"]);
    assert!(said.status == 0 && said.out.contains("fork: it says TRACER_CAP_NOT_IN_FORKED_CHILDREN"), "{said:?}");
}

fn keeps_every_rule(installed: &Installed, file: &Path, words: &[&str]) {
    let said = check(installed, file, "", words);
    assert!(said.status == 0 && said.out.contains(": no rule is broken; "), "{}: {said:?}", file.display());
}

fn check(installed: &Installed, file: &Path, fault: &str, words: &[&str]) -> Said {
    let mut command = installed.command();
    command.args(["plugins", "check"]).arg(file).args(words).env("FAULT", fault);
    Said::of(command.output().unwrap())
}

/// The fixture, made once.
pub(crate) static BREAKING: LazyLock<PathBuf> = LazyLock::new(|| {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libtracer_plugin_breaking.so");
    cc(&breaking(), &file, &["-O1", "-fvisibility=hidden"]);
    file
});

fn breaking() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/plugin_check/breaking.c")
}

fn cc(source: &Path, to: &Path, flags: &[&str]) {
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-pthread", "-I"]).arg(repository("plugins/api/include")).args(flags);
    let made = cc.arg(source).arg("-o").arg(to).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Rule, what the variable FAULT says, and words of what is found.
const FAULTS: &[(&str, &str, &str)] = &[
    ("loading", "constructor-crashes", "ended by SIGSEGV in its constructors"),
    ("loading", "constructor-exits", "the plugin ended the process, with status 4, in its constructors"),
    ("loading", "constructor-chdir", "loading it is enough, and the working directory was changed"),
    ("loading", "constructor-socket", "loading it is enough, and a socket is open"),
    ("signal-handlers", "constructor-handler", "when it is loaded the process has other handlers than before: SIGUSR1"),
    ("table", "short-table", "struct_size of the table is 100, the header's has 160"),
    ("table", "long-table", "struct_size is 168, but the table of ABI 1.0 has 160 bytes"),
    ("table", "null-function", "these functions are NULL: stats"),
    ("table", "other-major", "abi_major is 2, and the entry point is that of ABI 1"),
    ("table", "capital-name", "type_name is \"Breaking\", not [a-z][a-z0-9_-]*"),
    ("table", "no-version", "version is empty"),
    ("table", "counted-nul", "version has a NUL in it: its length counts one too many"),
    ("table", "version-not-utf8", "version is not UTF-8"),
    ("table", "refuses-all", "tracer_plugin_v1 returned NULL"),
    ("entry", "two-tables", "tracer_plugin_v1 returns another pointer when it is called again"),
    ("entry", "entry-thread", "tracer_plugin_v1 starts a thread"),
    ("entry", "entry-opens", "tracer_plugin_v1 opens or closes files"),
    ("entry", "entry-environment", "in tracer_plugin_v1 the environment was changed: BREAKING"),
    ("entry", "refuses-newer", "tracer_plugin_v1 refuses a host of ABI 1.1, which is no older than its own header"),
    ("host", "must-understand", "it demands capabilities that this host does not know: bit 40"),
    ("host", "no-encoding", "it accepts nothing: accepted_encodings is 0"),
    ("host", "schema-anchor", "not a valid JSON Schema"),
    (
        "host",
        "validate-refuses",
        "[P107] backend `checked`: plugin `breaking` rejects `config.endpoint`: I do not like it",
    ),
    (
        "extensions",
        "any-extension",
        "get_extension answers for \"checked.example/unknown/1\", which nobody has defined",
    ),
    ("extensions", "after-fork-short", "struct_size of \"tracer_plugin.after-fork/1\" is 4, the header's has 16"),
    ("schema", "schema-not-json", "config_schema is not JSON: EOF while parsing an object at line 1 column 1"),
    ("schema", "schema-open", "the schema lets any other key pass at \"\": no additionalProperties"),
    (
        "schema",
        "schema-no-type",
        "the settings are a table, but the schema does not say \"type\": \"object\" at its top",
    ),
    (
        "schema",
        "schema-open-within",
        "the schema lets any other key pass at \"/properties/tls\": no additionalProperties",
    ),
    ("descriptions", "schema-undescribed", "`path` has no description (\"/properties/path\" in the schema)"),
    (
        "secrets",
        "schema-secret",
        "`api_key` sounds like a secret, and is not marked (\"/properties/api_key\" in the schema)",
    ),
    (
        "secrets",
        "schema-secrets",
        "`headers` sounds like a secret, and is not marked (\"/properties/headers\" in the schema)",
    ),
    ("validate", "validate-reads-on", "the process was ended by SIGSEGV in validate"),
    ("validate", "validate-writes", "validate writes a file"),
    ("validate", "validate-thread", "validate leaves a thread behind"),
    ("validate", "validate-opens", "validate leaves files or sockets open"),
    (
        "validate",
        "validate-refuses",
        "validate refuses the settings {\"endpoint\":\"{endpoint}\"}: CONFIG (\"I do not like it\")",
    ),
    ("validate", "validate-code", "validate of \"[1, 2\" returns PERMANENT, which it may not"),
    ("validate", "validate-field", "`field` is \"endpoint\", which is no JSON pointer: it begins with a slash"),
    ("validate", "null-crash", "the process was ended by SIGSEGV in validate"),
    ("validate-threads", "validate-busy", "validate returns INTERNAL when four threads ask at once"),
    ("life", "export-crashes", "the process was ended by SIGSEGV in export_batch"),
    ("life", "export-exits", "the plugin ended the process, with status 3, in export_batch"),
    ("life", "export-aborts", "the process was ended by SIGABRT in export_batch"),
    ("life", "destroy-crashes", "the process was ended by SIGSEGV in destroy"),
    ("life", "prints", "it printed on standard output, which is the application's: \"exporting\""),
    ("create", "out-on-error", "*out is set although create of \"[1, 2\" returns CONFIG"),
    ("create", "create-code", "create returns RETRYABLE, which it may not"),
    ("create-waits", "create-sleeps", "s when the backend never answers"),
    (
        "create-waits",
        "create-connects",
        "create fails because the backend is not there: INTERNAL (\"the backend is not there\")",
    ),
    ("taken", "partial", "export_batch of 3 spans to a backend that takes them returns PARTIAL (\"one is too old\")"),
    ("signals", "refuses-metrics", "it accepts metrics, and export_batch of them returns PERMANENT (\"what?\")"),
    ("instances", "one-instance", "INTERNAL (\"who?\")"),
    ("concurrent", "one-at-once", "of 8 calls of export_batch at once fail"),
    ("export-threads", "one-thread", "export_batch from another thread than before: INTERNAL (\"who?\")"),
    ("stats", "stats-locks", "while export_batch waited for the backend"),
    ("stats", "stats-code", "stats returns RETRYABLE, which it may not"),
    ("stats", "counts-nothing", "a batch of 3 was taken, and the plugin counts 0 items in 0 batches"),
    ("stats", "stays-in-flight", "in_flight is 1 when no call is under way"),
    ("borrowed", "keeps-config", "the process was ended by SIGSEGV in export_batch"),
    ("borrowed", "keeps-name", "the process was ended by SIGSEGV in export_batch"),
    ("borrowed", "keeps-body", "the process was ended by SIGSEGV in export_batch"),
    ("borrowed", "keeps-body-in-thread", "the process was ended by SIGSEGV"),
    ("host-struct", "logs-late", "the process was ended by SIGSEGV in a thread that it left behind"),
    ("body", "writes-body", "the process was ended by SIGSEGV in export_batch"),
    ("body", "reads-beyond", "the process was ended by SIGSEGV in export_batch"),
    ("body", "garbage-crashes", "the process was ended by SIGSEGV in export_batch"),
    (
        "body",
        "refuses-unknown",
        "a body at another address, with a field that is not known, is not taken: PERMANENT (\"what?\")",
    ),
    ("error-size", "error-zeroed", "validate writes beyond a tracer_error of 8 bytes"),
    ("error-size", "error-unasked", "validate writes beyond a tracer_error of 8 bytes"),
    ("error-null", "null-crash", "the process was ended by SIGSEGV in"),
    (
        "error-null",
        "null-other",
        "validate returns UNSUPPORTED without a tracer_error, CONFIG (\"the settings are no table\") with one",
    ),
    ("stats-size", "stats-whole", "stats writes beyond a tracer_stats of 8 bytes"),
    (
        "newer-host",
        "exact-sizes",
        "create refuses a host of a later minor version: UNSUPPORTED (\"another host than mine\")",
    ),
    (
        "newer-host",
        "exact-sizes-validate",
        "validate returns UNSUPPORTED (\"who?\") to a host of a later minor version",
    ),
    ("newer-host", "exact-sizes-call", "flush returns INTERNAL (\"who?\") to a host of a later minor version"),
    ("newer-host", "exact-sizes-batch", "export_batch returns INTERNAL to a host of a later minor version, OK to this"),
    ("newer-host", "refuses-newer", "it refuses a host of a later minor version"),
    ("host-functions", "log-unasked", "the process was ended by SIGSEGV in export_batch"),
    ("constant", "table-changes", "the table, or a text of it, has changed when it was used"),
    ("thread-signals", "thread-unblocked", "does not block SIGHUP, SIGINT, SIGQUIT"),
    ("threads-left", "thread-left", "3 instances were destroyed, and 3 threads are left of them"),
    ("signal-handlers", "handler", "the process has other handlers than before: SIGPIPE"),
    ("belongings", "environment", "the environment was changed: BREAKING"),
    ("belongings", "folder", "the working directory was changed"),
    ("belongings", "umask", "the mask of new files was changed: 0000"),
    ("belongings", "locale", "the locale was changed: C.UTF-8"),
    ("belongings", "limit", "a limit of the process was changed (setrlimit)"),
    ("belongings", "stdout-replaced", "standard output was closed or replaced"),
    ("descriptors", "descriptor-left", "3 instances were destroyed, and 3 files or sockets are left of them"),
    ("unreachable", "unreachable-is-ok", "export_batch returns OK when nobody listens at the backend's port"),
    (
        "unreachable",
        "unreachable-is-final",
        "export_batch returns PERMANENT (\"cannot connect\") when nobody listens at the backend's port",
    ),
    (
        "unreachable",
        "hang-up-is-final",
        "export_batch returns PERMANENT (\"no answer\") when the backend hangs up instead of answering",
    ),
    ("busy", "busy-forgets", "the backend asks for 7 s (Retry-After), and retry_after_ms is 0"),
    ("busy", "busy-is-final", "export_batch returns PERMANENT (\"busy: 503\") when the backend answers 503"),
    ("one-try", "retries", "one call of export_batch made 4 requests, although each was answered with 503"),
    (
        "refused",
        "refused-is-retryable",
        "export_batch returns RETRYABLE (\"refused: 400\") when the backend answers 400",
    ),
    (
        "credentials",
        "unknown-is-final",
        "export_batch returns PERMANENT (\"refused: 401 or 403\") when the backend answers 401",
    ),
    (
        "credentials",
        "unknown-is-retryable",
        "export_batch returns RETRYABLE (\"refused: 401 or 403\") when the backend answers 403",
    ),
    (
        "credentials",
        "forbidden-is-final",
        "export_batch returns PERMANENT (\"refused: 401 or 403\") when the backend answers 403",
    ),
    ("timeout", "time-for-each-read", "when the backend's answer has no end, with a timeout_ms of 0.6 s"),
    (
        "timeout",
        "timeout-is-retryable",
        "export_batch returns RETRYABLE (\"no answer in time\") when the backend does not answer",
    ),
    (
        "after-failures",
        "stays-dead",
        "a batch that is tried again after the backend was better is not taken: RETRYABLE (\"cannot connect\")",
    ),
    ("codes", "code-77", "validate of [1, 2 returns 77, which is no code of the header's"),
    ("codes", "far-too-many", "of 3 items: rejected_items is 4000000000"),
    ("codes", "code-differs", "validate of [1, 2 returns CONFIG, and error->code is PARTIAL"),
    ("messages", "no-message", "validate of [1, 2 returns CONFIG and no message: nobody will know why"),
    ("messages", "two-lines", "validate of [1, 2: error->message has more than one line"),
    ("messages", "not-utf8", "validate of [1, 2: error->message is not UTF-8"),
    ("messages", "no-nul", "validate of [1, 2: error->message has no NUL at its end"),
    ("told-secrets", "tells-secrets", "is in a tracer_error"),
    ("told-secrets", "repeats-answer", "the value of `token`, which is a secret, is in a tracer_error"),
    ("told-secrets", "log-secrets", "the value of `token`, which is a secret, is in a line of its log"),
    ("log", "log-level", "a line is logged at level 9"),
    ("log", "log-not-utf8", "a line of the log is not UTF-8"),
    ("log", "log-lines", "a line of the log is several lines"),
    ("log", "log-no-target", "a line is logged without a target"),
    ("log", "log-chatter", "lines are logged for 6 batches"),
    ("flush", "flush-waits", "with a timeout_ms of 0"),
    (
        "flush",
        "flush-fails",
        "flush returns PERMANENT (\"nothing to flush\") before anything was exported, with a timeout_ms of 0",
    ),
    ("shutdown", "shutdown-waits", "after a batch was taken, with a timeout_ms of 0.5 s"),
    ("shutdown", "shutdown-fails", "shutdown returns INTERNAL (\"I do not want to\") after a batch was taken"),
    ("destroy", "destroy-needs-shutdown", "instances were destroyed without shutdown, and their threads still run"),
    ("exit", "destructor-crashes", "the process was ended by SIGSEGV in the end of the process"),
    (
        "exit",
        "destructor-frees",
        "the process was ended by SIGSEGV in the end of the process, in a destructor or an atexit handler of its own",
    ),
    ("fork", "fork-refuses", "a forked child that makes an instance of its own: create makes no instance there"),
    ("fork", "fork-hangs", "a forked child that makes an instance of its own: it hangs"),
    ("fork", "after-fork-crashes", "a forked child that makes an instance of its own: it is ended by SIGSEGV"),
    ("fork-exit", "fork-exit-crashes", "does nothing but exit is ended by SIGSEGV"),
    ("fork-exit", "fork-exit-hangs", "a forked child that does nothing but exit hangs"),
    ("refused", "answers-nobody", "export_batch returns OK when the backend answers 400"),
];
