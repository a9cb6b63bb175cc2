//! The queue in a hurry, because the process may end.

use std::time::Duration;

use crate::export::queue_state::Next;
use crate::export::queue_state_tests::{Bench, assert_adds_up, busy, busy_for};
use crate::export::{DropReason, Outcome};

fn hurry(bench: &mut Bench) {
    bench.state.hurry(bench.now + Duration::from_secs(4), bench.now + Duration::from_secs(5), true);
}

#[test]
fn in_a_hurry_what_waits_goes_out_without_a_pause_and_the_queue_lives_on() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.export(0).unwrap();
    bench.returns(0, busy_for(20));
    assert_eq!(bench.export(0), None, "the pause");
    hurry(&mut bench);
    assert!(!bench.state.has_left(bench.now));
    assert_eq!(bench.export(0), Some((1, 2)));
    bench.returns(0, Outcome::Exported);
    assert!(!bench.state.has_left(bench.now), "the exporter may hold something back");
    assert!(matches!(bench.state.next(0, bench.now), Next::Flush { .. }));
    bench.state.flush_returned(0, true);
    bench.state.count_returned(0);
    assert!(bench.state.has_left(bench.now));
    bench.state.stop_hurrying(false);
    bench.offer(2);
    assert_eq!(bench.export(0), Some((2, 1)));
}

#[test]
fn what_has_not_left_in_a_hurry_is_on_its_way_still_unless_it_was_the_last() {
    let mut bench = Bench::new(2);
    bench.offer(1);
    bench.offer(2);
    bench.export(0).unwrap();
    hurry(&mut bench);
    bench.state.stop_hurrying(false);
    assert_eq!(bench.dropped(DropReason::ShutDown), 0);
    hurry(&mut bench);
    bench.state.stop_hurrying(true);
    assert_eq!(bench.dropped(DropReason::ShutDown), 8);
    assert_adds_up(&bench.state, 1 << 20);
}

#[test]
fn in_a_hurry_nobody_waits_for_a_backend_past_hope() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    bench.export(0).unwrap();
    bench.returns(0, busy());
    bench.wait(2);
    hurry(&mut bench);
    assert_eq!(bench.export(0), Some((1, 2)));
    bench.returns(0, busy());
    assert!(bench.state.has_left(bench.now));
    assert_eq!(bench.dropped(DropReason::ShutDown), 0, "the process may live on");
    bench.state.stop_hurrying(false);
    bench.wait(30);
    assert_eq!(bench.export(0), Some((1, 3)));
}
