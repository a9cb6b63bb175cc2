//! Which calls are said not to come back.

#![forbid(unsafe_code)]

use std::time::Duration;

use log::Level;

use crate::export::BackendState;
use crate::export::drop_reason::DropReason;
use crate::export::exporter::Outcome;
use crate::export::queue_state::Next;
use crate::export::queue_state_tests::{Bench, assert_adds_up};

#[test]
fn a_call_that_overruns_its_time_makes_the_backend_stuck_until_it_comes_back() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.offer(2);
    bench.export(0).unwrap();
    bench.wait(15);
    assert!(bench.tick().is_empty(), "timeout and grace are not over");
    assert_eq!(bench.state.counters().state, BackendState::Untried);
    bench.wait(1);
    let notes = bench.tick();
    assert_eq!(
        notes,
        [(
            Level::Error,
            "stuck: the plugin's export_batch had 10s and has not come back 5s after that; until it does, this \
             backend's spans are lost"
                .to_owned()
        )]
    );
    assert!(bench.tick().is_empty(), "said once");
    assert_eq!(bench.state.counters().state, BackendState::Stuck);
    assert_eq!(bench.dropped(DropReason::Stuck), 8);
    bench.offer(3);
    assert_eq!(bench.dropped(DropReason::Stuck), 12);
    assert!(bench.state.counters().held_bytes > 0, "the call still borrows its batch");

    let notes = bench.returns(0, Outcome::Exported);
    let text = "the stuck call has come back; takes batches again; 12 spans were lost meanwhile";
    assert_eq!(notes, [(Level::Warn, text.to_owned())]);
    assert_eq!(bench.exported(), 0, "it was counted as lost");
    assert_eq!(bench.state.counters().held_bytes, 0);
    bench.offer(4);
    assert_eq!(bench.export(0), Some((4, 1)));
    assert_adds_up(&bench.state, 1 << 20);
}

#[test]
fn a_stuck_flush_is_found_too() {
    let mut bench = Bench::new(1);
    let id = bench.state.request_flush(bench.now + Duration::from_secs(1));
    assert!(matches!(bench.state.next(0, bench.now), Next::Flush { .. }));
    bench.state.call_begins(0, "flush", Duration::from_secs(1), bench.now);
    bench.wait(7);
    assert_eq!(bench.tick().len(), 1);
    assert_eq!(bench.state.counters().state, BackendState::Stuck);
    assert_eq!(bench.state.flush_returned(0, true).len(), 1);
    assert!(bench.state.count_returned(0).is_empty());
    assert_eq!(bench.state.counters().state, BackendState::Untried, "a flush is no batch");
    assert_eq!(bench.state.flush_result(id), Some(true));
}

/// A disk or the application's logger may take as long as it likes: the plugin has not been called yet, or is not any more.
#[test]
fn what_is_done_before_a_call_and_after_it_is_not_its_time() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    assert!(matches!(bench.state.next(0, bench.now), Next::Export { .. }));
    bench.wait(60);
    assert!(bench.tick().is_empty());
    bench.state.call_begins(0, "export_batch", Duration::from_secs(10), bench.now);
    bench.wait(15);
    assert!(bench.tick().is_empty());
    bench.state.export_returned(0, Outcome::Exported, bench.now);
    bench.wait(60);
    assert!(bench.tick().is_empty());
    bench.state.call_begins(0, "stats", Duration::ZERO, bench.now);
    bench.wait(6);
    assert!(bench.tick()[0].1.starts_with("stuck: the plugin's stats had 0ns"));
}

/// A plugin that panicked, or whose credentials were refused, is made anew within the call that exports.
#[test]
fn a_call_within_another_has_its_own_time_and_its_own_name() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.export(0).unwrap();
    bench.wait(9);
    bench.state.call_begins(0, "create", Duration::from_secs(10), bench.now);
    bench.wait(9);
    bench.state.call_begins(0, "export_batch", Duration::from_secs(10), bench.now);
    bench.wait(9);
    assert!(bench.tick().is_empty());
    bench.state.call_begins(0, "create", Duration::from_secs(10), bench.now);
    bench.wait(16);
    assert!(bench.tick()[0].1.starts_with("stuck: the plugin's create had 10s"));
    bench.state.call_begins(0, "export_batch", Duration::from_secs(10), bench.now);
    assert_eq!(bench.state.counters().state, BackendState::Stuck, "until the batch's answer is there");
    assert_eq!(bench.returns(0, Outcome::Exported).len(), 1);
}

/// `docker pause`, SIGSTOP, a machine that is moved: the clock goes on, and nobody works.
#[test]
fn while_the_process_does_not_run_no_call_grows_older() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.export(0).unwrap();
    bench.wait(5);
    assert!(bench.tick().is_empty());
    bench.now += Duration::from_secs(3600);
    bench.ticked = bench.now;
    assert!(bench.state.tick(bench.now).is_empty());
    bench.wait(9);
    assert!(bench.tick().is_empty());
    bench.wait(1);
    assert_eq!(bench.tick().len(), 1, "it had its time without the pause");
}
