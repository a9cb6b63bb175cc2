//! `plugins run` exports batches without Kafka, shows each call, and says what became of the spans.

use std::path::Path;

use crate::installed::{Installed, Said};
use crate::plugin_check::BREAKING;

#[test]
fn every_call_is_a_line_and_every_span_is_in_the_verdict() {
    let installed = Installed::new();
    let otlp = installed.bin().join("libtracer_plugin_otlp.so");
    let said = run(&installed, &otlp, "", &["--spans", "250", "--services", "3"]);
    let calls: Vec<_> = said.out.lines().map(|line| line.split("  ").next().unwrap()).collect();
    let expected = ["validate", "create", "export_batch 1", "export_batch 2", "export_batch 3", "flush", "shutdown"];
    assert_eq!((said.status, &calls[..7]), (0, &expected[..]), "{said:?}");
    assert!(said.out.contains("250 spans in 3 batches: 250 sent, 0 refused; 0 further tries; "), "{said:?}");
    assert!(said.out.ends_with("the plugin counts 250 sent in 3 batches\n"), "{said:?}");
}

#[test]
fn a_backend_that_is_busy_or_slow_costs_tries_and_no_spans() {
    let installed = Installed::new();
    let otlp = installed.bin().join("libtracer_plugin_otlp.so");
    let json = run(&installed, &otlp, "", &["--spans", "400", "--fault", "retry,slow,fork", "--format", "json"]).json();
    let codes = |code: &str| json["calls"].as_array().unwrap().iter().filter(|call| call["code"] == code).count();
    assert_eq!((codes("RETRYABLE"), codes("TIMEOUT")), (2, 2), "{json:#}");
    let fork = json["calls"].as_array().unwrap().iter().find(|call| call["call"] == "fork").unwrap();
    assert_eq!(fork["said"], "the child exported a batch of its own, and ended");
    let verdict = &json["verdict"];
    assert_eq!(
        (&verdict["sent"], &verdict["retried"], &verdict["lost"]),
        (&400.into(), &4.into(), &0.into()),
        "{json:#}"
    );
}

/// Without a collector nobody answers 503: a batch comes twice, as after an answer that was lost.
#[test]
fn a_plugin_without_a_network_gets_batches_twice() {
    let installed = Installed::new();
    let file = installed.bin().join("libtracer_plugin_file.so");
    let said = run(&installed, &file, "", &["--spans", "100", "--fault", "retry"]);
    assert!(
        said.status == 0 && said.out.contains("100 spans in 1 batch: 100 sent, 0 refused; 1 further try"),
        "{said:?}"
    );
    assert!(said.out.ends_with("the plugin counts 200 sent in 2 batches: what comes again counts again\n"), "{said:?}");
}

#[test]
fn spans_that_are_not_sent_are_the_end_s_status() {
    let installed = Installed::new();
    for (fault, words) in [
        ("busy-is-final", "1 span in 1 batch: 0 sent, 1 refused; 0 further tries"),
        ("export-crashes", "error: the process was ended by SIGSEGV in export_batch\nit did not come to an end\n"),
        ("export-exits", "error: the plugin ended the process, with status 3, in export_batch\n"),
        ("fork-refuses", "error: after a fork, the child got no instance of its own\n"),
        ("prints", "error: it printed on standard output, which is the application's: \"exporting\"\n"),
    ] {
        let said = run(&installed, &BREAKING, fault, &["--spans", "1", "--fault", "retry,fork"]);
        assert!(said.status == 1 && said.out.contains(words), "{fault}: {said:?}");
    }
    let said = run(&installed, &BREAKING, "", &["--spans", "0"]);
    assert_eq!(said.status, 2, "{said:?}");
}

fn run(installed: &Installed, file: &Path, fault: &str, words: &[&str]) -> Said {
    let mut command = installed.command();
    command.args(["plugins", "run"]).arg(file).args(words).env("FAULT", fault);
    Said::of(command.output().unwrap())
}
