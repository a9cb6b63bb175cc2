//! Spans and metrics in one queue: neither harms the other, and metrics never take a span's place.

use std::sync::Arc;
use std::time::Duration;

use crate::export::queue_state::Next;
use crate::export::queue_state_tests::{Bench, assert_adds_up, busy};
use crate::export::{BackendState, BatchFacts, DropReason, FinishedBatch, Outcome, ServiceCounters, Signal};

impl Bench {
    /// A collection of ten data points.
    fn offer_metrics(&mut self, id: u64, bytes: usize) {
        let batch = FinishedBatch {
            id,
            signal: Signal::Metrics,
            body: vec![0; bytes],
            start: 0,
            item_count: 10,
            per_service: Vec::new(),
            facts: BatchFacts::default(),
        };
        self.state.offer(Arc::new(batch), None, self.now);
    }

    fn points(&self) -> ServiceCounters {
        let points = self.state.counters().data_points;
        assert_eq!(points.offered, points.exported + points.rejected + points.dropped_total() + points.waiting);
        points
    }
}

#[test]
fn both_signals_leave_in_the_order_they_came_and_are_counted_apart() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.offer_metrics(2, 100);
    bench.offer(3);
    assert_eq!(bench.export(0), Some((1, 1)));
    bench.returns(0, Outcome::Exported);
    assert_eq!(bench.export(0), Some((2, 1)));
    bench.returns(0, Outcome::Partial { rejected_items: 3, message: "too old".to_owned() });
    assert_eq!(bench.export(0), Some((3, 1)));
    bench.returns(0, Outcome::Exported);
    assert_eq!(bench.exported(), 8);
    assert_eq!((bench.points().exported, bench.points().rejected), (7, 3));
    assert_eq!(bench.state.lost(), 0, "no span was lost");
}

#[test]
fn a_newer_collection_takes_the_place_of_one_that_still_waits_and_that_is_no_loss() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    assert_eq!(bench.export(0), Some((1, 1)));
    (2..=9).for_each(|id| bench.offer_metrics(id, 100));
    let points = bench.points();
    assert_eq!((points.offered, points.waiting, points.dropped_for(DropReason::Superseded)), (80, 10, 70));
    assert_eq!(points.lost_for_good(), 0);
    bench.returns(0, Outcome::Exported);
    assert_eq!(bench.export(0), Some((9, 1)));
    // One that fails while a newer one waits is not tried again.
    bench.offer_metrics(10, 100);
    bench.returns(0, busy());
    assert_eq!(bench.points().dropped_for(DropReason::Superseded), 80);
    bench.wait(1);
    assert_eq!(bench.export(0), Some((10, 1)));
}

#[test]
fn spans_find_room_where_metrics_wait_and_metrics_never_where_spans_do() {
    const CAPACITY: usize = 1000;
    let mut bench = Bench::with_capacity(1, CAPACITY);
    bench.offer_metrics(1, 100);
    for id in 2..=6 {
        // 180 bytes each.
        bench.offer(id);
        assert_adds_up(&bench.state, CAPACITY);
    }
    assert_eq!(bench.dropped(DropReason::QueueFull), 0, "five of them fit, and the metrics had to go");
    assert_eq!(bench.points().dropped_for(DropReason::QueueFull), 10);
    bench.offer_metrics(7, 100);
    assert_eq!(bench.points().dropped_for(DropReason::QueueFull), 20);
    assert_eq!(bench.dropped(DropReason::QueueFull), 0);
}

#[test]
fn a_collection_larger_than_a_quarter_of_the_queue_is_dropped_and_counted() {
    let mut bench = Bench::with_capacity(1, 4000);
    bench.offer_metrics(1, 1000);
    assert_eq!(bench.points().dropped_for(DropReason::QueueFull), 10);
    bench.offer_metrics(2, 900);
    assert_eq!(bench.points().waiting, 10);
}

#[test]
fn collections_do_not_overtake_each_other() {
    let mut bench = Bench::new(2);
    bench.offer_metrics(1, 100);
    assert_eq!(bench.export(0), Some((1, 1)));
    bench.offer_metrics(2, 100);
    assert_eq!(bench.export(1), None, "two workers, and one collection at a time");
    bench.offer(3);
    assert_eq!(bench.export(1), Some((3, 1)), "a span does not wait for them");
    bench.returns(0, Outcome::Exported);
    assert_eq!(bench.export(0), Some((2, 1)));
}

#[test]
fn an_address_that_takes_no_metrics_holds_up_no_span() {
    let mut bench = Bench::new(1);
    bench.offer_metrics(1, 100);
    assert_eq!(bench.export(0), Some((1, 1)));
    let notes = bench.returns(0, busy());
    assert!(notes[0].1.starts_with("metrics: export failed, and will be retried for 60s: 503"), "{notes:?}");
    assert_eq!(bench.state.counters().state, BackendState::Retrying);
    for id in 2..50 {
        bench.offer(id);
        assert_eq!(bench.export(0), Some((id, 1)), "no pause");
        bench.returns(0, Outcome::Exported);
    }
    bench.wait(1);
    assert_eq!(bench.export(0), Some((1, 2)));
    let notes = bench.returns(0, Outcome::Exported);
    assert!(
        notes[0].1.starts_with("metrics: takes batches again")
            && notes[0].1.ends_with("no data point was lost meanwhile")
    );
    // And the other way round.
    bench.offer(50);
    assert_eq!(bench.export(0), Some((50, 1)));
    bench.returns(0, busy());
    bench.offer_metrics(51, 100);
    assert_eq!(bench.export(0), Some((51, 1)));
}

#[test]
fn a_flush_waits_for_metrics_too_and_a_shutdown_lets_them_out() {
    let mut bench = Bench::new(1);
    bench.offer_metrics(1, 100);
    let id = bench.state.request_flush(bench.now + Duration::from_secs(9));
    assert_eq!(bench.export(0), Some((1, 1)));
    assert!(bench.state.flush_result(id).is_none());
    bench.returns(0, Outcome::Exported);
    assert!(matches!(bench.state.next(0, bench.now), Next::Flush { .. }));
    bench.state.flush_returned(0, true);
    bench.state.count_returned(0);
    assert_eq!(bench.state.flush_result(id), Some(true));
    bench.offer_metrics(2, 100);
    bench.state.begin_shutdown(bench.now + Duration::from_secs(1), bench.now + Duration::from_secs(2));
    assert_eq!(bench.export(0), Some((2, 1)));
    bench.returns(0, Outcome::Exported);
    assert!(matches!(bench.state.next(0, bench.now), Next::ShutDownExporter { .. }));
    assert_eq!(bench.points().exported, 20);
}

#[test]
fn an_end_does_not_wait_for_spans_that_are_past_hope_nor_forget_metrics_that_are_not() {
    let mut bench = Bench::new(2);
    bench.offer(1);
    bench.offer_metrics(2, 100);
    assert_eq!((bench.export(0), bench.export(1)), (Some((1, 1)), Some((2, 1))));
    let end = bench.now + Duration::from_secs(2);
    bench.state.hurry(end, end, false);
    bench.returns(0, busy());
    assert!(!bench.state.has_left(bench.now), "the metrics are on their way");
    bench.returns(1, Outcome::Exported);
    assert!(bench.state.has_left(bench.now));
}

#[test]
fn an_export_is_timed_from_its_first_try_to_the_end_of_its_last() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    assert_eq!(bench.export(0), Some((1, 1)));
    bench.wait(2);
    bench.returns(0, busy());
    bench.wait(1);
    assert_eq!(bench.export(0), Some((1, 2)));
    bench.wait(3);
    bench.returns(0, Outcome::Exported);
    bench.offer(2);
    assert_eq!(bench.export(0), Some((2, 1)));
    bench.returns(0, Outcome::Rejected { message: "no".to_owned() });
    let operations = bench.state.counters().operations;
    let told: Vec<_> =
        operations.iter().map(|of| (of.signal, of.lost, of.sum, of.counts.iter().sum::<u64>())).collect();
    assert_eq!(
        told,
        [(Signal::Traces, None, 6.0, 1), (Signal::Traces, Some(DropReason::Rejected), 0.0, 1)],
        "one for each batch, however often it was tried"
    );
}
