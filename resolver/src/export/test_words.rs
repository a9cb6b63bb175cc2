//! Words that tests of queues share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::FinishedBatch;
use crate::config;

/// Settings of a backend with short pauses.
pub(crate) fn backend(name: &str) -> config::Backend {
    config::Backend {
        name: name.to_owned(),
        span: 0..0,
        plugin: "fake".to_owned(),
        plugin_span: 0..0,
        config: serde_json::json!({}),
        config_spans: Vec::new(),
        config_references: Vec::new(),
        config_secrets: Vec::new(),
        config_files: Vec::new(),
        timeout: Duration::from_millis(200),
        concurrency: 4,
        queue_bytes: config::QueueBytes::Fixed(1 << 20),
        shed_traces: true,
        spool: None,
        retry: config::Retry {
            initial: Duration::from_millis(5),
            max: Duration::from_millis(20),
            max_elapsed: Duration::from_secs(30),
        },
    }
}

/// A batch of so many bytes.
pub(crate) fn batch_of(id: u64, bytes: usize, per_service: &[(u32, u32)]) -> Arc<FinishedBatch> {
    Arc::new(FinishedBatch {
        id,
        body: vec![0; bytes],
        start: 0,
        signal: super::Signal::Traces,
        item_count: per_service.iter().map(|&(_, spans)| spans).sum(),
        per_service: per_service.to_vec(),
        facts: super::BatchFacts::default(),
    })
}

/// A moment from now.
pub(crate) fn within(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

/// Waits for something that other threads bring about; fails the test if they do not.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = within(10_000);
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
