//! What others see of reloads: the status before, between and after them, and whether they are looked for at all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tracer_resolver::Reloaded;

use super::fake_kafka::FakeClient;
use super::{OUT, Site, page_files, send, shop, wait_for};

/// Whose a topic is and why is said by the rules in effect; what was counted stays its service's, which is known by its name.
#[test]
fn the_status_is_of_the_rules_in_effect_and_goes_on_counting() {
    let text = |services: &str| format!("version = 1\n{services}\n{OUT}");
    let site = Site::new(&text("[services.shop]\ntopics = [\"orders\"]\nexport = [\"out\"]"));
    let status = || {
        assert!(site.resolver.flush(Duration::from_secs(20)));
        serde_json::from_str::<Value>(&site.resolver.status()).unwrap()
    };
    let rows = |status: &Value| -> Vec<String> {
        let topics = status["topics"].as_array().unwrap().iter();
        let row = |of: &Value| {
            let keys = ["service", "traced", "spans", "sampled_out", "without_span", "why"];
            keys.map(|key| of[key].to_string()).join(" ")
        };
        topics.map(row).collect()
    };
    let producer = FakeClient::producer(&site.resolver);
    send(&producer, "orders");
    send(&producer, "orders");
    let first = status();
    let reloads =
        |taken: u64, last_error| json!({ "taken": taken, "refused": 0, "generation": taken, "last_error": last_error });
    assert_eq!(first["reloads"], reloads(0, Value::Null));

    // Another place in the file, and other settings.
    let second = "[services.mail]\ntopics = [\"mails\"]\nexport = [\"out\"]\n[services.shop]\nproduces = [\"orders\"]\n\
                  sampler = \"always_off\"\nexport = [\"out\"]";
    site.reload(&text(second));
    send(&producer, "orders");
    let after = status();
    assert_ne!(after["configuration"]["sha256"], first["configuration"]["sha256"]);
    let why = "produces = \\\"orders\\\", sampler always_off, to `out`";
    assert_eq!(rows(&after), [format!("\"shop\" true 2 1 0 \"{why}\"")]);
    let services: BTreeMap<_, _> =
        after["services"].as_array().unwrap().iter().map(|of| (of["name"].as_str().unwrap(), of)).collect();
    assert_eq!((&services["shop"]["spans"], &services["shop"]["sampled_out"]), (&Value::from(2), &Value::from(1)));
    assert_eq!(services["mail"]["sampled_out"], 0);

    // Another service, which does not trace it; the one of before is gone, and what was counted for it is not.
    site.reload(&text("[services.mail]\ntopics = [\"orders\"]\ntrace = \"off\"\nexport = [\"out\"]"));
    send(&producer, "orders");
    let last = status();
    let replaced = "\"shop\" false 2 1 0 \"by rules that a reload has replaced\"";
    assert_eq!(rows(&last), [replaced, "\"mail\" false 0 0 1 \"trace = \\\"off\\\"\""]);
    let shop = last["services"].as_array().unwrap().iter().find(|of| of["name"] == "shop").unwrap().clone();
    assert_eq!((&shop["spans"], &shop["sampled_out"]), (&Value::from(2), &Value::from(1)));
    assert_eq!(last["clients"].as_array().unwrap().len(), 1);

    site.write("version = 1\n[services.x]\ntopic = 1\n");
    site.resolver.reload().unwrap_err();
    let refused = status();
    let error = &refused["reloads"]["last_error"];
    assert!(error["message"].as_str().unwrap().contains("tracing.toml:3"), "{error}");
    assert!(error["at"].as_f64().unwrap() > 1_700_000_000.0, "{error}");
    assert_eq!(refused["reloads"], json!({ "taken": 2, "refused": 1, "generation": 2, "last_error": error }));
    assert_eq!(refused["configuration"], last["configuration"]);
    assert_eq!(rows(&refused), rows(&last));
    // What is wrong is told for as long as it is.
    site.write(&text("[services.mail]\ntopics = [\"orders\"]\ntrace = \"off\"\nexport = [\"out\"]"));
    assert_eq!(site.resolver.reload().unwrap(), Reloaded::Unchanged);
    assert_eq!(status()["reloads"], json!({ "taken": 2, "refused": 1, "generation": 2, "last_error": null }));
}

/// A thread that looks comes with `[reload]` and goes with it; what others find of it must not be what is left of one before.
#[test]
fn where_nobody_looks_any_more_nobody_is_asked_and_one_file_in_memory_is_enough() {
    let looks = |is_on: bool, round: usize| {
        let section = if is_on { "[reload]\ninterval = \"1h\"" } else { "" };
        shop("").replace("version = 1", &format!("version = 1 # {round}\n{section}"))
    };
    let pages = || page_files().iter().map(|path| std::fs::read(path).unwrap()[..8].to_vec()).collect::<Vec<_>>();
    let open = || pages().iter().filter(|begins| *begins == b"TRRELOAD").count();
    let site = Site::new(&looks(true, 0));
    let _producer = FakeClient::producer(&site.resolver);
    wait_for("it is looked at", || open() == 1);
    let all = pages().len();
    for round in 1..4 {
        site.reload(&looks(false, round));
        wait_for("it is not looked at any more", || open() == 0);
        site.reload(&looks(true, round));
        wait_for("it is looked at again", || open() == 1);
    }
    assert_eq!(pages().len(), all);
}
