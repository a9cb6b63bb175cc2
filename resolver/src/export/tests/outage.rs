//! How long a collector may be away without a loss, if the file says nothing about it. Time is what the test says.

use std::time::{Duration, Instant};

use crate::config::{self, Source};
use crate::export::memory::Limit;
use crate::export::queue_state::{Next, QueueState};
use crate::export::test_words::batch_of;
use crate::export::{Outcome, Timing};

/// A backend of a file that names it and says nothing more.
fn backend_by_default() -> config::Backend {
    let text = "version = 1\n[backends.collector]\nplugin = \"otlp\"\n".to_owned();
    let loaded = config::load(Source::Text { name: "tracing.toml".to_owned(), text });
    loaded.config.unwrap().backends.remove(0)
}

#[test]
fn by_default_an_outage_within_the_time_of_retry_costs_nothing_at_1_000_spans_a_second() {
    for outage in [20, 60, 110] {
        let mut state = QueueState::new(&backend_by_default(), Timing::default(), 1);
        let mut now = Instant::now();
        // What a container of 512 MiB leaves to a program that has taken half of it.
        state.has_memory(&[Limit { total: 512 << 20, free: 256 << 20 }], now);
        let back = now + Duration::from_secs(outage);
        let (mut until_taken, mut offered) = (None, 0);
        // Looked at every 100 ms; a batch of a thousand spans, of 420 bytes each, comes every second.
        for tick in 0..(outage + 15) * 10 {
            if tick % 10 == 0 {
                offered += 1;
                state.offer(batch_of(offered, 420_000, &[(0, 1_000)]), None, now);
            }
            state.tick(now);
            while let Next::Export { .. } = state.next(0, now) {
                let outcome = if now < back {
                    Outcome::Retry { after: None, cookie: 0, may_be_stored: false, message: "refused".to_owned() }
                } else {
                    until_taken.get_or_insert(now - back);
                    Outcome::Exported
                };
                state.export_returned(0, outcome, now);
            }
            now += Duration::from_millis(100);
        }
        let exported: u64 = state.counters().services.iter().map(|service| service.exported).sum();
        assert_eq!(exported, offered * 1_000, "{outage} s");
        assert!(until_taken.unwrap() <= Duration::from_secs(5), "{outage} s: {until_taken:?}");
    }
}
