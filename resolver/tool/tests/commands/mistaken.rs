//! Who takes one word or one file for another is told which was meant.

use std::ffi::OsStr;

use crate::installed::{Installed, Said};

const FILE: &str = "version = 1\n[services.shop]\nproduces = [\"orders\"]\n[backends.collector]\nplugin = \"otlp\"\n";

fn installed() -> Installed {
    let installed = Installed::new();
    installed.file("t.toml", FILE);
    installed.file("old.json", "{\"services\": []}");
    installed
        .file("status.json", "{\"interceptors_status\":1,\"tracing\":true,\"ended\":true,\"process\":{\"pid\":7}}");
    installed.file("traces.json", "{\"resourceSpans\":[]}\n");
    installed.file("app.py", "import kafka\n");
    installed
}

#[test]
fn each_file_in_place_of_another_is_called_what_it_is_with_the_word_that_takes_it() {
    let installed = installed();
    for (words, status, hint) in [
        (&["check", "status.json"][..], 1, "status.json is a status file, which a program writes of itself, and no"),
        (&["check", "status.json"], 1, "`tracer-interceptors status status.json` shows it"),
        (&["explain", "traces.json", "--topic", "a"], 1, "`tracer-interceptors view traces.json` shows them"),
        (&["print-config", "app.py"], 1, "`tracer-interceptors doctor -- app.py` looks at it"),
        (&["doctor", "app.py"], 1, "app.py is a program, and no configuration"),
        (&["check", "sh"], 1, "sh is a program: `tracer-interceptors doctor -- sh` looks at it"),
        (&["migrate", "t.toml"], 1, "it is TOML already"),
        (&["migrate", "status.json"], 1, "`tracer-interceptors status status.json`"),
        (&["status", "t.toml"], 125, "it is a configuration, and no status file: `tracer-interceptors check t.toml`"),
        (&["status", "old.json"], 125, "it is a configuration in the JSON of 2019, and no status file"),
        (&["status", "4711"], 125, "if it is the number of a process, name the file that it writes"),
        (&["send-test", "t.toml"], 2, "the backend comes first: tracer-interceptors send-test collector t.toml"),
        (&["send-test", "t.toml", "other"], 2, "the backend comes first: tracer-interceptors send-test other t.toml"),
        (&["send-test", "app.py"], 2, "app.py is a program, and no backend"),
        (&["send-test", "colector", "t.toml"], 2, "did you mean `collector`?"),
        (&["run", "./t.toml"], 126, "it is a configuration: INTERCEPTORS_CONFIG_FILE=./t.toml tracer-interceptors run"),
        (&["run", "INTERCEPTORS_CONFIG_FILE=t.toml", "true"], 127, "variables stand before `tracer-interceptors`"),
        (&["run", "app.py"], 127, "name what runs it: tracer-interceptors run python3 app.py"),
        (&["doctor", "--", "app.py"], 1, "name what runs it: python3 app.py"),
        (&["t.toml"], 2, "t.toml is a configuration: `tracer-interceptors check t.toml` looks at it"),
        (&["sh", "-c", "true"], 2, "to run it with tracing: tracer-interceptors run sh -c true"),
        (&["check", "-c", "t.toml"], 2, "the file stands by itself: tracer-interceptors check t.toml"),
        (
            &["explain", "--config=t.toml", "--topic", "a"],
            2,
            "the file stands by itself: tracer-interceptors explain t.toml",
        ),
        (&["explain", "orders"], 2, "to ask about the topic `orders`: tracer-interceptors explain --topic orders"),
        (&["explain", "t.toml", "orders"], 2, "tracer-interceptors explain t.toml --topic orders"),
        (&["explain", "orders", "--topic", "orders"], 1, "orders does not exist"),
        (&["send-test"], 2, "BACKEND is the name behind [backends.…]"),
        (
            &["view", "t.toml"],
            2,
            "t.toml is a configuration, and no file of traces: `tracer-interceptors check t.toml`",
        ),
        (&["plugins", "describe", "t.toml"], 2, "t.toml is a configuration, and no plugin's name"),
        (&["schema", "t.toml"], 2, "it is the same for every file"),
        (&["check", "t.toml", "old.json"], 2, "it takes one file"),
        (&["check", "--json", "t.toml"], 2, "for programs: --format json"),
        (&["explain", "t.toml"], 2, "tracer-interceptors explain t.toml --topic NAME"),
        (&["explain", "t.toml", "--side", "produce", "--topic", "a"], 2, "--produce or --consume"),
        (&["doctor"], 1, "or name the file behind this word"),
        (&["plugins", "otlp"], 2, "`tracer-interceptors plugins describe otlp`"),
        (&["status"], 2, "the one that INTERCEPTORS_STATUS named"),
        (&["docter"], 2, "'doctor'"),
        (&["describe", "otlp"], 2, "here that is `tracer-interceptors plugins describe otlp`"),
        (&["list"], 2, "here that is `tracer-interceptors plugins list`"),
        (&["validate", "t.toml"], 2, "here that is `tracer-interceptors check t.toml`"),
    ] {
        let said = installed.run(words);
        let text = format!("{}{}", said.out, said.err);
        assert!(text.contains(hint) && said.status == status, "{words:?}: {} {text}", said.status);
    }
}

#[test]
fn the_variable_counts_where_a_file_could_be_given_and_a_file_of_another_kind_in_it_is_told() {
    let installed = installed();
    let with = |words: &[&str], variable: &str, value: &OsStr| {
        Said::of(installed.command().args(words).env(variable, value).output().unwrap())
    };
    let said = with(&["check"], "INTERCEPTORS_CONFIG_FILE", OsStr::new("status.json"));
    assert!(said.status == 1 && said.out.contains("status.json is a status file"), "{}", said.out);
    for value in ["status.json", ".", "{pid}.json"] {
        installed.file("7.json", "{\"interceptors_status\":1,\"tracing\":true,\"ended\":true,\"process\":{\"pid\":7}}");
        let said = with(&["status"], "INTERCEPTORS_STATUS", OsStr::new(value));
        assert!(said.status == 0 && said.out.contains("ended"), "{value}: {}{}", said.out, said.err);
    }
    let said = with(&["status", "{pid}.json"], "NOTHING", OsStr::new(""));
    assert_eq!((said.status, said.out.lines().count()), (0, 2), "{}{}", said.out, said.err);
}

#[test]
fn a_status_file_that_cannot_be_read_is_told_and_hides_no_other() {
    let installed = Installed::new();
    installed.file("7.json", "{\"interceptors_status\":1,\"tracing\":true,\"ended\":true,\"process\":{\"pid\":7}}");
    installed.file("8.json", "{\"interceptors_status\":2}");
    for place in [".", "{pid}.json"] {
        let said = installed.run(&["status", place]);
        assert!(
            said.status == 1 && said.out.contains("ended") && said.err.contains("8.json: it is of version 2"),
            "{said:?}"
        );
        let said = installed.run(&["status", "--format", "json", place]);
        let unreadable = said.json()["unreadable"][0].as_str().unwrap().to_owned();
        assert!(said.status == 1 && unreadable.contains("of version 2"), "{said:?}");
        let said = installed.run(&["reload", place]);
        assert!(said.status == 125 && said.err.contains("8.json: it is of version 2"), "{said:?}");
    }
    let said = installed.run(&["status", "8.json"]);
    assert!(
        said.status == 125 && said.err.contains("of version 2") && !said.err.contains("INTERCEPTORS_STATUS"),
        "{said:?}"
    );
}

#[test]
fn help_shows_every_word_once_with_one_line_that_fits_a_terminal_of_80_columns() {
    let installed = installed();
    let said = installed.run(&["--help"]);
    let short = installed.run(&["-h"]);
    assert_eq!((said.status, short.status), (0, 0));
    for text in [&said.out, &short.out] {
        let words = text.split("Usage:").nth(1).unwrap();
        let listed = words.split("\nOptions:").next().unwrap();
        for word in crate::words_of_shells::WORDS {
            assert_eq!(listed.matches(&format!("\n  {word} ")).count(), 1, "{word}: {text}");
        }
        let long: Vec<_> = words.lines().filter(|line| line.chars().count() > 80).collect();
        assert_eq!(long, Vec::<&str>::new());
        let place = |word: &str| words.find(&format!("\n  {word} ")).unwrap();
        assert!(place("run") < place("doctor") && place("doctor") < place("check") && place("view") < place("migrate"));
    }
}
