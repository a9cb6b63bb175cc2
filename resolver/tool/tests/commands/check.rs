//! `check` shows what the library would, and tests what the file says of itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::installed::{Installed, Said, files, repository};

#[test]
fn a_file_is_refused_exactly_where_the_library_refuses_it() {
    let installed = Installed::new();
    for path in
        files("resolver/tests/bad_config", ".toml").into_iter().chain(files("resolver/tests/bad_config", ".json"))
    {
        let expected = fs::read_to_string(format!("{}.expected", path.display())).unwrap();
        let mut command = installed.command();
        command.args(["check", "--no-plugins"]).arg(&path);
        command.envs([
            ("SECRET", "hunter2"),
            ("SECRET_REGEX", "hunter2(["),
            ("SECRET_PATH", "x/hunter2.so"),
            ("EMPTY", ""),
        ]);
        command.envs([("HIDDEN", "hunter2\u{200b}"), ("SLASH", "hunter2/x")]);
        let said = Said::of(command.output().unwrap());
        let is_wrong = expected.lines().any(|line| line.starts_with("error["));
        assert_eq!(said.status, i32::from(is_wrong), "{}: {}", path.display(), said.out);
        for line in expected.lines().filter(|line| line.starts_with("error[") || line.starts_with("warning[")) {
            assert!(said.out.contains(line), "{}: {line}\n{}", path.display(), said.out);
        }
        assert!(!said.out.contains("hunter2"), "{}", said.out);
    }
}

#[test]
fn every_file_of_the_repository_that_is_meant_to_be_right_is_right() {
    let installed = Installed::new();
    let all = ["examples", "resolver/librdkafka/docs"].into_iter().flat_map(|folder| files(folder, ".toml"));
    let mut seen = 0;
    for path in all.filter(|path| !path.ends_with("Cargo.toml")).chain([repository("resolver/default-config.toml")]) {
        seen += 1;
        let mut words = vec!["check", path.to_str().unwrap()];
        // Its plugin is that of another example, and is in no package.
        if path.ends_with("quickstart.toml") {
            words.push("--no-plugins");
        }
        let said = installed.run(&words);
        assert_eq!(said.status, 0, "{}: {}", path.display(), said.out);
    }
    assert!(seen > 2, "{seen}");
}

#[test]
fn the_settings_of_plugins_are_checked_unless_nobody_wants_it() {
    let installed = Installed::new();
    installed.file("t.toml", "version = 1\n[services.a]\ntopics = [\"a\"]\nexport = [\"b\"]\n[backends.b]\nplugin = \"otlp\"\nconfig = { compresion = \"gzip\" }\n");
    let said = installed.run(&["check", "t.toml"]);
    assert_eq!(said.status, 1);
    assert!(said.out.contains("t.toml:7:12") && said.out.contains("did you mean `compression`?"), "{}", said.out);
    assert!(said.out.ends_with("t.toml: 1 error; 1 service to 1 backend\n"), "{}", said.out);
    let said = installed.run(&["check", "--no-plugins", "t.toml"]);
    assert_eq!(
        (said.status, said.out.as_str()),
        (0, "t.toml: no error; 1 service to 1 backend; plugins were not asked\n")
    );
}

#[test]
fn a_plugin_is_looked_for_where_the_library_would_and_a_missing_one_is_shown_at_its_line() {
    let installed = Installed::new();
    installed.file(
        "t.toml",
        "version = 1\n[services.a]\ntopics = [\"a\"]\nexport = [\"b\"]\n[backends.b]\nplugin = \"mine\"\n",
    );
    let said = installed.run(&["check", "t.toml"]);
    assert_eq!(said.status, 1);
    let places = format!("{}/libtracer_plugin_mine.so", installed.bin().display());
    assert!(
        said.out.contains("error[P101]") && said.out.contains("t.toml:6:10") && said.out.contains(&places),
        "{}",
        said.out
    );
}

#[test]
fn what_somebody_else_may_change_is_a_doubt_and_an_error_for_the_strict() {
    let installed = Installed::apart();
    let file = installed.file(
        "t.toml",
        "version = 1\n[services.a]\ntopics = [\"a\"]\nexport = [\"b\"]\n[backends.b]\nplugin = \"otlp\"\n",
    );
    let plugin = installed.bin().join("libtracer_plugin_otlp.so");
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o777)).unwrap();
    let said = installed.run(&["check", "t.toml"]);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(said.out.starts_with("warning[P110]: plugin `otlp`: "), "{}", said.out);
    let mut strict = installed.command();
    let said = Said::of(strict.args(["check"]).arg(&file).env("INTERCEPTORS_STRICT", "1").output().unwrap());
    assert_eq!(said.status, 1);
    assert!(said.out.starts_with("error[P108]"), "{}", said.out);
}

#[test]
fn without_a_file_the_variables_are_checked_and_a_file_that_is_named_comes_first() {
    let installed = Installed::new();
    let said = installed.run(&["check"]);
    assert_eq!((said.status, said.out.contains("note[C400]")), (0, true), "{}", said.out);
    let mut command = installed.command();
    command.arg("check").envs([("OTEL_SERVICE_NAME", "shop"), ("OTEL_TRACES_SAMPLER", "somtimes")]);
    let said = Said::of(command.output().unwrap());
    assert!(
        said.out.contains("OTEL_TRACES_SAMPLER") && said.out.ends_with("1 warning; 1 service to 1 backend\n"),
        "{}",
        said.out
    );
    let mut command = installed.command();
    let said = Said::of(command.arg("check").env("INTERCEPTORS_CONFIG_FILE", "gone.toml").output().unwrap());
    assert!(said.status == 1 && said.out.contains("correct INTERCEPTORS_CONFIG_FILE"), "{}", said.out);
    // Who names a file here has set no variable.
    let said = installed.run(&["check", "gone.toml"]);
    assert!(said.status == 1 && !said.out.contains("INTERCEPTORS_CONFIG_FILE"), "{}", said.out);
}

/// A file with services, and the tests that follow.
fn with_tests(tests: &str) -> String {
    format!(
        "version = 1\n[defaults]\nexport = [\"b\"]\n[services.web]\nproduces = [\"orders\"]\nclient_ids = [\"web-*\"]\n\
         [services.shop]\nproduces = [\"orders\"]\nsampler = {{ ratio = 0.5 }}\n[services.pay]\nconsumes = [\"orders\"]\n\
         group_ids = [\"pay\"]\n[services.pay.topic.orders]\ntrace = \"propagate\"\n[backends.b]\nplugin = \"otlp\"\n{tests}"
    )
}

#[test]
fn a_test_of_the_file_passes_if_the_library_does_what_it_says() {
    let installed = Installed::new();
    let tests = "[[test]]\ntopic = \"orders\"\nside = \"produce\"\nclient_id = \"web-1\"\nservice = \"web\"\nsampler = \"always_on\"\n\
         [[test]]\ntopic = \"orders\"\nside = \"produce\"\nservice = \"shop\"\nsampler = { ratio = 0.5 }\nexport = [\"b\"]\ntrace = \"spans\"\n\
         [[test]]\ntopic = \"orders\"\nside = \"consume\"\ngroup_id = \"pay\"\nservice = \"pay\"\ntrace = \"propagate\"\n\
         [[test]]\ntopic = \"orders\"\nside = \"consume\"\ngroup_id = \"other\"\nservice = \"none\"\n\
         [[test]]\ntopic = \"__offsets\"\nservice = \"none\"\ntrace = \"off\"\n";
    installed.file("t.toml", &with_tests(tests));
    let said = installed.run(&["check", "t.toml"]);
    assert_eq!((said.status, said.out.as_str()), (0, "t.toml: no error; 3 services to 1 backend; 5 tests passed\n"));
}

#[test]
fn a_test_that_fails_is_shown_at_its_place_with_what_came_instead_and_why() {
    for (test, says) in [
        (
            "topic = \"order\"\nside = \"produce\"\nservice = \"shop\"",
            &["20:11", "belongs to no service, not to service `shop`", "but for the \"s\""][..],
        ),
        (
            "topic = \"orders\"\nside = \"produce\"\nservice = \"web\"",
            &[
                "20:11",
                "belongs to service `shop`, not to service `web`",
                "this rule takes it",
                "client id: \"rdkafka\" is none of `client_ids`, \"web-*\"",
            ],
        ),
        (
            "topic = \"orders\"\nside = \"consume\"\nservice = \"pay\"",
            &["this consumer has none, and `group_ids` asks for \"pay\""],
        ),
        (
            "topic = \"orders\"\nservice = \"shop\"",
            &["received from `orders` belongs to no service", "the side: it is about messages that are sent"],
        ),
        (
            "topic = \"orders\"\nside = \"produce\"\nsampler = \"always_on\"",
            &["has sampler = { ratio = 0.5 }, not \"always_on\""],
        ),
        ("topic = \"orders\"\nside = \"produce\"\ntrace = \"off\"", &["has trace = \"spans\", not \"off\""]),
        ("topic = \"orders\"\nside = \"produce\"\nexport = []", &["has export = [\"b\"], not []"]),
        (
            "topic = \"nothing\"\nside = \"produce\"\nexport = [\"b\"]",
            &["has export = nothing: it belongs to no service"],
        ),
    ] {
        let installed = Installed::new();
        installed.file("t.toml", &with_tests(&format!("[[test]]\n{test}\n")));
        let said = installed.run(&["check", "t.toml"]);
        assert_eq!((said.status, said.out.matches("error[C600]").count()), (1, 1), "{}", said.out);
        for says in says {
            assert!(said.out.contains(says), "{test}: {says}\n{}", said.out);
        }
        assert!(said.out.ends_with("; 1 of 1 test failed\n"), "{}", said.out);
    }
}

#[test]
fn what_is_wrong_with_a_test_itself_is_told_and_whoever_traces_passes_it_over() {
    for (test, says) in [
        ("[[test]]\nservice = \"shop\"", "this test does not say its `topic`"),
        ("[[test]]\ntopic = \"orders\"", "this test expects nothing"),
        ("[[test]]\ntopic = \"orders\"\nservice = \"shpo\"", "did you mean `shop`?"),
        ("[[test]]\ntopic = \"orders\"\nservise = \"shop\"", "did you mean `service`?"),
        ("[[test]]\ntopic = \"orders\"\nside = \"send\"\nservice = \"shop\"", "`side`"),
        ("[[test]]\ntopic = \"orders\"\nexport = [\"c\"]", "there is no backend \"c\""),
        (
            "[[test]]\ntopic = \"orders\"\nside = \"produce\"\ngroup_id = \"g\"\nservice = \"shop\"",
            "a producer has no group",
        ),
        ("[[test]]\ntopic = \"${env:NOT_SET}\"\nservice = \"shop\"", "belongs to no service"),
        ("[test]\ntopic = \"orders\"\nservice = \"shop\"", "write [[test]], with double brackets"),
    ] {
        let installed = Installed::new();
        let text = with_tests(&format!("{test}\n"));
        installed.file("t.toml", &text);
        let said = installed.run(&["check", "t.toml"]);
        assert_eq!(said.status, 1, "{test}: {}", said.out);
        assert!(said.out.contains(says), "{test}: {says}\n{}", said.out);
        let source = tracer_resolver::config::Source::Text { name: "t.toml".into(), text };
        assert!(!tracer_resolver::config::load(source).report.has_errors(), "{test}");
    }
}

#[test]
fn mistakes_in_tests_are_told_in_the_same_run_as_all_others() {
    let installed = Installed::new();
    installed.file("t.toml", &with_tests("[[test]]\ntopic = \"orders\"\n[servces.x]\n"));
    let said = installed.run(&["check", "t.toml"]);
    for says in ["this test expects nothing", "did you mean `services`?"] {
        assert!(said.status == 1 && said.out.contains(says), "{says}\n{}", said.out);
    }
}

#[test]
fn json_has_every_problem_with_its_place() {
    let installed = Installed::new();
    installed.file("t.toml", "version = 1\n[defalts]\n");
    let said = installed.run(&["check", "t.toml", "--format", "json"]);
    let json = said.json();
    assert_eq!((said.status, &json["errors"]), (1, &serde_json::json!(1)), "{json}");
    let problem = &json["problems"][0];
    assert_eq!((&problem["code"], &problem["severity"]), (&serde_json::json!("C101"), &serde_json::json!("error")));
    assert_eq!(problem["place"], serde_json::json!({ "line": 2, "column": 2, "end_line": 2, "end_column": 9 }));
}
