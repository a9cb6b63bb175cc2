//! `print-config` prints what is in effect, from where, and no secret.

use std::fs;

use tracer_resolver::config::{Config, Source, Variables, load_with};

use crate::installed::{Installed, Said, files, repository};

const SECRETS: [(&str, &str); 2] = [("TOKEN", "hunter2-token"), ("RATIO", "0.125")];

fn load(text: &str) -> Config {
    let source = Source::Text { name: "t.toml".into(), text: text.to_owned() };
    let loaded = load_with(source, &Variables::of(SECRETS));
    assert!(!loaded.report.has_errors(), "{text}\n{}", loaded.report.render(false));
    loaded.config.unwrap()
}

/// Without places, and without what makes a value the same in other words.
fn meaning(config: &Config) -> String {
    let mut config = config.clone();
    config.origin = tracer_resolver::config::Origin::Environment;
    for service in &mut config.services {
        service.span = 0..0;
        service.resource.sort();
        // A section that says nothing new is as good as none.
        let own = service.settings.clone();
        service.topic_settings.retain(|(_, settings)| *settings != own);
    }
    for backend in &mut config.backends {
        (backend.span, backend.plugin_span) = (0..0, 0..0);
        backend.config_secrets.clear();
    }
    for entry in &mut config.plugins.entries {
        entry.span = 0..0;
    }
    let settings: Vec<_> = config.backends.iter().map(|backend| backend.config.to_string()).collect();
    format!("{config:#?} {settings:?}")
}

#[test]
fn what_is_printed_means_the_same_as_the_file() {
    let installed = Installed::new();
    let rich = "version = 1\ndefault_service = \"rest\"\n[defaults]\nexport = [\"b\"]\nexclude = [{ regex = 'x\\d' }, \"a.b\"]\n\
                resource = { \"a.b\" = \"${env:TOKEN}\", c = \"d\" }\npropagators = { inject = [\"b3\"] }\n\
                [services.\"a.b\"]\nproduces = [\"x\", \"x\", \"y*\", { regex = '\\w+-z' }]\nclient_ids = [\"c ?\"]\n\
                resource = { c = \"e\", \"\\u0301b\" = \"f\" }\nsampler = { ratio = \"${env:RATIO}\" }\n[services.\"a.b\".topic.\"y*\"]\ntrace = \"off\"\n\
                [services.rest]\nsampler = { rate_limit = 7 }\n[services.some]\nsampler = { consistent_probability = 0.125 }\n[backends.b]\nplugin = \"otlp\"\ntimeout = \"1500ms\"\nqueue_bytes = 1000000\n\
                retry = { max = \"1m\" }\nconfig = { endpoint = \"http://h:1\", compression = \"gzip\", timeout = \"${env:NOT_SET:-3s}\" }\n\
                 [batch]\ndelay = 7\n[reload]\ninterval = \"9s\"\n[trust]\nallow_world_writable = true\n[plugins]\ndirs = [\"/x\"]\n[plugins.otlp]\nfile = \"own.so\"\n";
    let mut all = vec![("rich".to_owned(), rich.to_owned())];
    for path in [
        files("docs/command", "tracing.toml"),
        files("resolver/librdkafka/docs", ".toml"),
        vec![repository("resolver/default-config.toml")],
    ]
    .concat()
    {
        all.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
    }
    for (name, text) in all {
        // What a plugin calls secret is not printed, and so cannot come back.
        let text = text.replace(", headers = { authorization = \"Bearer 0123\" }", "");
        installed.file("t.toml", &text);
        let mut command = installed.command();
        // `own.so` is nowhere; then no text of the plugin's may be shown.
        let said = Said::of(command.args(["print-config", "t.toml"]).envs(SECRETS).output().unwrap());
        assert_eq!(said.status, 0, "{name}: {}", said.err);
        let printed = said.out.replace("file = \"own.so\"", "").replace("(not shown)", "?");
        let (mut before, mut after) = (load(&text), load(&printed));
        if name == "rich" {
            before.plugins.entries.clear();
            after.plugins.entries.clear();
            assert!(said.out.contains("endpoint = \"(not shown)\""), "{}", said.out);
            let config = before.backends[0].config.clone();
            after.backends[0].config = config;
            after.backends[0].config_references.clear();
            before.backends[0].config_references.clear();
            after.backends[0].config_spans.clear();
        }
        assert_eq!(meaning(&before), meaning(&after), "{name}\n{printed}");
    }
}

#[test]
fn no_secret_is_printed_whoever_it_comes_from() {
    let installed = Installed::new();
    let text = "version = 1\n[services.a]\ntopics = [\"a\"]\nexport = [\"b\", \"c\", \"d\"]\nresource = { r = \"${env:TOKEN}\" }\n\
                [backends.b]\nplugin = \"otlp\"\nconfig = { headers = { authorization = \"Bearer hunter2-written\" }, proxy = \"http://hunter2-user:x@p:1\" }\n\
                [backends.c]\nplugin = \"otlp\"\nconfig = { endpoint = \"http://${env:TOKEN}/\", headers = { x = \"${env:TOKEN}\", y = \"${env:NOT_SET:-hunter2-default}\" } }\n\
                [backends.d]\nplugin = \"unknown\"\nconfig = { anything = \"hunter2-unknown\", n = 7, r = \"${env:TOKEN}\" }\n";
    installed.file("t.toml", text);
    for words in [
        &["print-config", "t.toml"][..],
        &["print-config", "t.toml", "--no-plugins"],
        &["print-config", "t.toml", "--format", "json"],
        &["check", "t.toml"],
        &["check", "t.toml", "--format", "json"],
        &["explain", "t.toml", "--topic", "a", "--header", "x=y"],
    ] {
        let mut command = installed.command();
        let said = Said::of(command.args(words).envs(SECRETS).output().unwrap());
        let shown = if words[0] == "check" {
            // The line that is wrong is shown as it is written; what is behind a reference is not.
            said.out
                .replace("hunter2-unknown", "")
                .replace("hunter2-written", "")
                .replace("hunter2-user", "")
                .replace("hunter2-default", "")
        } else {
            said.out.clone()
        };
        assert!(!shown.contains("hunter2") && !said.err.contains("hunter2"), "{words:?}: {}{}", said.out, said.err);
    }
    let mut command = installed.command();
    command
        .arg("print-config")
        .envs([("OTEL_SERVICE_NAME", "s"), ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")]);
    let said = Said::of(command.output().unwrap());
    assert!(said.status == 0 && !said.out.contains("hunter2"), "{}", said.out);
}

#[test]
fn every_value_has_its_origin_and_the_origin_says_the_value() {
    let installed = Installed::new();
    let text = fs::read_to_string(repository("docs/command/tracing.toml")).unwrap();
    installed.file("t.toml", &text);
    let json = installed.run(&["print-config", "t.toml", "--format", "json"]).json();
    let lines: Vec<_> = text.lines().collect();
    let mut from_file = 0;
    for section in json["sections"].as_array().unwrap() {
        for setting in section["settings"].as_array().unwrap() {
            let (key, value, origin) = (
                setting["key"].as_str().unwrap(),
                setting["value"].as_str().unwrap(),
                setting["origin"].as_str().unwrap(),
            );
            let Some(line) = origin.strip_prefix("t.toml:") else { continue };
            from_file += 1;
            let line = lines[line.split(',').next().unwrap().parse::<usize>().unwrap() - 1];
            assert!(line.contains(key.split('.').next().unwrap()), "{key}: {line}");
            assert!(line.contains(value) || value.contains("(not shown)"), "{key} = {value}: {line}");
        }
    }
    assert!(from_file > 15, "{from_file}");
}

#[test]
fn the_json_of_2019_and_the_variables_have_origins_too() {
    let installed = Installed::new();
    installed.file("old.json", "{\"services\": [{\"service\": \"a\",\n\"config\": {\n\"sampler\": {\"type\": \"const\", \"param\": 0}}, \"topics\": [\"t\"]}]}");
    let said = installed.run(&["print-config", "old.json"]);
    for line in ["sampler = \"always_off\"", "# old.json:3", "reinject = true", "# the format of 2019"] {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }
    let mut command = installed.command();
    command.arg("print-config").envs([
        ("OTEL_SERVICE_NAME", "s"),
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_BSP_SCHEDULE_DELAY", "9"),
    ]);
    let said = Said::of(command.output().unwrap());
    for line in ["propagators.inject = [\"b3\"]", "# OTEL_PROPAGATORS", "delay = \"9ms\"", "# OTEL_BSP_SCHEDULE_DELAY"]
    {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }
}
