//! The `file` backend writes lines that any reader of OTLP/JSON understands.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::Path;

use tracer_plugin_api::{Backend as _, ErrorKind};
use tracer_plugin_file::File;
use words::backend::{create, export, export_bytes, export_metrics};
use words::{LIMIT, child, is_child, run, sample_spans};

fn lines(file: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_batch_is_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spans.jsonl");
    let backend: File = create(&serde_json::json!({ "path": path })).unwrap();
    let batch = sample_spans::order_and_payment();
    export(&backend, &batch).unwrap();
    export(&backend, &batch).unwrap();
    backend.flush(LIMIT).unwrap();
    backend.shutdown(LIMIT).unwrap();
    let lines = lines(&path);
    assert_eq!(lines.len(), 2);
    let span = lines[0].pointer("/resourceSpans/0/scopeSpans/0/spans/0").unwrap();
    assert_eq!(
        (span["name"].as_str(), span["traceId"].as_str()),
        (Some("send orders"), Some("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"))
    );
    let stats = backend.stats().unwrap();
    assert_eq!((stats.items_sent, stats.bytes_sent), (4, std::fs::metadata(&path).unwrap().len()));
}

#[test]
fn every_line_is_in_exactly_one_of_the_rotated_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spans.jsonl");
    let config = serde_json::json!({"path": path, "max_bytes": "2KiB", "max_files": 100});
    let backend: File = create(&config).unwrap();
    for i in 0..40 {
        export(&backend, &sample_spans::many(&format!("service-{i}"), 1)).unwrap();
    }
    let mut names = Vec::new();
    let files = std::fs::read_dir(directory.path()).unwrap();
    for file in files {
        let file = file.unwrap().path();
        assert!(std::fs::metadata(&file).unwrap().len() <= 2048, "{}", file.display());
        let services = lines(&file).into_iter();
        names.extend(
            services.map(|line| {
                line.pointer("/resourceSpans/0/resource/attributes/0/value/stringValue").unwrap().to_string()
            }),
        );
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 40);
    assert!(path.with_extension("jsonl.1").exists());
}

#[test]
fn a_path_that_cannot_become_a_file_is_a_mistake_in_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().join("none/spans.jsonl"), directory.path().to_owned()] {
        let error = create::<File>(&serde_json::json!({ "path": path })).map(|_| ()).unwrap_err();
        assert_eq!((error.kind(), error.pointer()), (ErrorKind::Config, "/path"));
    }
}

#[test]
fn a_directory_that_goes_away_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("mount");
    std::fs::create_dir(&inner).unwrap();
    let backend: File = create(&serde_json::json!({"path": inner.join("spans.jsonl")})).unwrap();
    std::fs::remove_dir_all(&inner).unwrap();
    let batch = sample_spans::many("orders", 1);
    assert_eq!(export(&backend, &batch).unwrap_err().kind(), ErrorKind::Retryable);
    std::fs::create_dir(&inner).unwrap();
    export(&backend, &batch).unwrap();
    assert_eq!(lines(&inner.join("spans.jsonl")).len(), 1);
}

#[test]
fn the_standard_streams_are_written_when_they_are_named() {
    if is_child() {
        let stream = child::given("STREAM");
        let backend: File = create(&serde_json::json!({ "path": stream })).unwrap();
        export(&backend, &sample_spans::many("to-a-stream", 1)).unwrap();
        return;
    }
    for stream in ["stdout", "stderr"] {
        let ended = run(child("the_standard_streams_are_written_when_they_are_named").env("STREAM", stream));
        ended.expect_success();
        let (named, other) =
            if stream == "stdout" { (ended.stdout, ended.stderr) } else { (ended.stderr, ended.stdout) };
        let has_line = |text: &str| text.lines().any(|line| line.contains(r#"{"resourceSpans":"#));
        assert!(has_line(&named) && !has_line(&other), "{stream}");
    }
}

/// Without the look at the descriptor in `plugins/kit/src/own_descriptor.rs` this writes into a file of the program's, or closes it.
#[test]
fn a_program_that_closes_the_descriptor_and_opens_a_file_of_its_own_gets_no_line_and_loses_no_file() {
    if is_child() {
        let path = child::given("SPANS");
        let backend: File = create(&serde_json::json!({ "path": path })).unwrap();
        let is_it = |target: &str| target == path;
        let of_program = || tempfile::tempfile().unwrap().into();
        for _ in 0..2 {
            export(&backend, &sample_spans::order_and_payment()).unwrap();
            let taken_over = child::take_over(is_it, of_program);
            assert_eq!(taken_over.len(), 1);
            export(&backend, &sample_spans::order_and_payment()).unwrap();
            // Closed, and nobody's.
            drop(child::take_over(is_it, of_program));
            backend.flush(LIMIT).unwrap();
            export(&backend, &sample_spans::order_and_payment()).unwrap();
            for file in taken_over.into_iter().map(std::fs::File::from) {
                assert_eq!(file.metadata().unwrap().len(), 0);
            }
        }
        let taken_over = child::take_over(is_it, of_program);
        drop(backend);
        assert_eq!(std::fs::File::from(taken_over.into_iter().next().unwrap()).metadata().unwrap().len(), 0);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spans.jsonl");
    let name = "a_program_that_closes_the_descriptor_and_opens_a_file_of_its_own_gets_no_line_and_loses_no_file";
    run(child(name).env("SPANS", &path)).expect_success();
    assert_eq!(lines(&path).len(), 6);
}

#[test]
fn each_span_is_a_line_for_people_and_they_are_rotated_as_others_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spans.txt");
    let config = serde_json::json!({ "path": path, "format": "text", "max_bytes": 100, "max_files": 2 });
    let backend: File = create(&config).unwrap();
    for _ in 0..2 {
        export(&backend, &sample_spans::order_and_payment()).unwrap();
    }
    let (newest, older) = (std::fs::read_to_string(&path).unwrap(), path.with_extension("txt.1"));
    assert_eq!(newest, std::fs::read_to_string(older).unwrap(), "each batch has a file of its own");
    assert_eq!(newest.lines().count(), 2, "{newest}");
    assert!(newest.lines().all(|line| line.starts_with("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf ")), "{newest}");
    assert!(newest.contains(" send orders ") && newest.contains(" ms"), "{newest}");
}

#[test]
fn bytes_that_are_no_batch_are_refused_for_good_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spans.jsonl");
    let backend: File = create(&serde_json::json!({ "path": path })).unwrap();
    assert_eq!(export_bytes(&backend, b"\xff\xff", 1, LIMIT).unwrap_err().kind(), ErrorKind::Permanent);
    assert!(lines(&path).is_empty());
}

#[test]
fn metrics_are_lines_of_the_same_file() {
    use prost::Message as _;
    use words::metrics_messages::{
        Data, ExportMetricsServiceRequest, Metric, NumberDataPoint, Numbers, ResourceMetrics, ScopeMetrics,
    };

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spans.jsonl");
    let backend: File = create(&serde_json::json!({ "path": path })).unwrap();
    let gauge = Numbers { data_points: vec![NumberDataPoint::default()] };
    let metric = Metric { name: "queue".to_owned(), data: Some(Data::Gauge(gauge)) };
    let scope = ScopeMetrics { metrics: vec![metric] };
    let of = ResourceMetrics { scope_metrics: vec![scope], ..Default::default() };
    let body = ExportMetricsServiceRequest { resource_metrics: vec![of] }.encode_to_vec();
    export(&backend, &sample_spans::order_and_payment()).unwrap();
    export_metrics(&backend, &body, 1).unwrap();
    backend.flush(LIMIT).unwrap();
    let lines = lines(&path);
    assert!(lines[0].get("resourceSpans").is_some());
    assert_eq!(lines[1].pointer("/resourceMetrics/0/scopeMetrics/0/metrics/0/name").unwrap(), "queue");
    let error = export_metrics(&backend, b"\xff\xff", 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
}
