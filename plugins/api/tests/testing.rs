//! What tests of a backend are given: batches that are OTLP, and a trial that finds what is broken.

#![expect(clippy::panic, reason = "a test may fail loudly")]

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tracer_plugin_api::testing::{SampleBatch, TestHost, assert_contract, metrics, spans};
use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Extension, Host, LogLevel, Signal, Stats};

#[test]
fn sample_batches_are_otlp_with_what_they_say_of_themselves() {
    let sample = spans(5, &["orders", "mail"]);
    let request = ExportTraceServiceRequest::decode(sample.body()).unwrap();
    let of: Vec<_> = request.resource_spans.iter().map(|of| of.scope_spans[0].spans.len()).collect();
    assert_eq!(of, [3, 2]);
    let batch = sample.batch();
    assert_eq!((batch.item_count, batch.resource_count), (5, 2));
    assert_eq!(batch.service_names.iter().collect::<Vec<_>>(), ["orders", "mail"]);
    let starts =
        request.resource_spans.iter().flat_map(|of| &of.scope_spans[0].spans).map(|span| span.start_time_unix_nano);
    assert_eq!(batch.oldest_start, Some(UNIX_EPOCH + Duration::from_nanos(starts.min().unwrap())));
    assert_eq!(batch.oldest_start, Some(UNIX_EPOCH + SampleBatch::OLDEST_START));

    let points = metrics(3, &[]);
    let request = ExportMetricsServiceRequest::decode(points.body()).unwrap();
    assert_eq!(request.resource_metrics[0].scope_metrics[0].metrics.len(), 3);
    assert_eq!((points.batch().signal, points.batch().item_count), (Signal::Metrics, 3));
    assert_eq!(spans(1, &["a", "b"]).batch().service_names.len(), 1, "a service without spans is not in it");
}

#[test]
fn a_host_of_tests_keeps_what_is_logged_until_it_is_gone() {
    let host = TestHost::new();
    let link = host.host();
    link.log(LogLevel::Warn, "me", "here");
    assert!(link.is_logged(LogLevel::Trace) && link.is_export_thread() && link.extension("x").is_none());
    let lines = host.lines();
    assert_eq!((lines.len(), lines[0].level, &*lines[0].message), (1, LogLevel::Warn, "here"));
    drop(host);
    link.log(LogLevel::Warn, "me", "too late");
    assert!(!link.is_export_thread() && Host::detached().is_logged(LogLevel::Error));
}

/// Keeps the contract, or breaks it as its settings say.
struct Sound {
    fault: String,
    host: Host,
    items: AtomicU64,
}

impl Backend for Sound {
    const TYPE_NAME: &'static str = "sound";
    const VERSION: &'static str = "1.0";
    const CONFIG_SCHEMA: &'static str = r#"{"type": "object", "additionalProperties": false}"#;
    const SIGNALS: &'static [Signal] = &[Signal::Traces, Signal::Metrics];

    fn validate(config_json: &str) -> Result<(), BackendError> {
        match config_json {
            "validate" => Err(BackendError::internal("no")),
            "{}" => Ok(()),
            text if text.starts_with('[') || text.starts_with('{') => Err(BackendError::config("", "no such settings")),
            _ => Ok(()),
        }
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        if args.config_json == "create" {
            return Err(BackendError::internal("cannot"));
        }
        Ok(Self { fault: args.config_json.to_owned(), host: args.host.clone(), items: AtomicU64::new(0) })
    }

    fn export(&self, batch: &Batch<'_>, _timeout: Duration) -> Result<(), BackendError> {
        match self.fault.as_str() {
            "panics" => panic!("at an export"),
            "silent" => return Err(BackendError::retryable("")),
            "far too many" => return Err(BackendError::partial(batch.item_count + 1, "what?")),
            "config" => return Err(BackendError::config("/x", "now?")),
            "two lines" => self.host.log(LogLevel::Info, "sound", "one\ntwo"),
            "miscounts" => self.items.store(1, Ordering::Relaxed),
            "busy" => return Err(BackendError::retryable("busy").with_retry_cookie(3)),
            _ => {}
        }
        self.items.fetch_add(batch.item_count.into(), Ordering::Relaxed);
        Ok(())
    }

    fn flush(&self, _timeout: Duration) -> Result<(), BackendError> {
        if self.fault == "flush" { Err(BackendError::permanent("no")) } else { Ok(()) }
    }

    fn shutdown(&self, _timeout: Duration) -> Result<(), BackendError> {
        if self.fault == "shutdown" { Err(BackendError::timeout("still busy")) } else { Ok(()) }
    }

    fn stats(&self) -> Option<Stats> {
        Some(Stats { items_sent: self.items.load(Ordering::Relaxed), ..Stats::default() })
    }

    fn extension(id: &str) -> Option<Extension> {
        static TABLE: u64 = 17;
        (id == "com.example.sound/1").then(|| Extension::of(&TABLE))
    }
}

#[test]
fn a_backend_that_keeps_the_contract_passes_and_so_does_one_whose_peer_is_busy() {
    assert_contract::<Sound>("{}");
    assert_contract::<Sound>("busy");
}

#[test]
fn each_way_in_which_a_backend_breaks_the_contract_is_named() {
    for (fault, named) in [
        ("validate", "validate refuses the settings: code 9, \"no\""),
        ("create", "create makes no instance: code 9, \"cannot\""),
        ("panics", "export of a batch returns code 7, \"the plugin panicked: at an export\""),
        ("silent", "export of a batch fails with code 2, and does not say why"),
        ("far too many", "of a batch of 5 items 6 are said to be rejected"),
        ("config", "export of a batch returns code 1, \"now?\""),
        ("two lines", "a line of the log has no target, or is several lines"),
        ("miscounts", "30 items were taken, and 6 are counted"),
        ("flush", "flush within 0 ms returns code 3, \"no\""),
        ("shutdown", "shutdown does not end within 2000 ms: still busy"),
    ] {
        let said = catch_unwind(|| assert_contract::<Sound>(fault)).unwrap_err();
        let said = said.downcast_ref::<String>().unwrap();
        assert!(said.contains(named), "{fault}: {said}");
    }
}
