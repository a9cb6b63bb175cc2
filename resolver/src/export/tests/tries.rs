//! What each try of a batch is told: which it is, what the one before left, and whether another will follow.

use std::time::{Duration, SystemTime};

use crate::export::queue_state::Next;
use crate::export::queue_state_tests::{Bench, busy};
use crate::export::{Outcome, Try};

impl Bench {
    /// The next try, if there is one now.
    fn tried(&mut self) -> Try {
        match self.state.next(0, self.now) {
            Next::Export { this_try, .. } => this_try,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_a_try_leaves_comes_back_with_the_next_of_the_same_batch_and_with_no_other() {
    let mut bench = Bench::new(1);
    bench.offer(1);
    let first = bench.tried();
    assert_eq!((first.attempt, first.cookie, first.is_last, first.is_leaving), (1, 0, false, false));
    assert!(
        first.first_at.elapsed().is_ok_and(|ago| ago < Duration::from_secs(60)) && first.first_at < SystemTime::now()
    );
    bench.returns(0, Outcome::Retry { after: None, cookie: 7, may_be_stored: true, message: String::new() });
    bench.offer(2);
    bench.wait(1);
    let second = bench.tried();
    assert_eq!((second.attempt, second.cookie, second.first_at), (2, 7, first.first_at));
    bench.returns(0, Outcome::Exported);
    assert_eq!((bench.tried().cookie, bench.tried_again_with(0)), (0, 0), "another batch; and one that leaves nothing");
}

impl Bench {
    fn tried_again_with(&mut self, cookie: u64) -> u64 {
        self.returns(0, Outcome::Retry { after: None, cookie, may_be_stored: cookie != 0, message: String::new() });
        self.wait(2);
        self.tried().cookie
    }
}

#[test]
fn a_try_is_the_last_if_the_batch_is_too_old_for_another() {
    // Pauses are drawn: now and then the one that was to be the last but one was the last. Not every time.
    let lasts = (0..50).filter_map(|_| {
        let mut bench = Bench::new(1);
        bench.offer(1);
        let mut last = None;
        for _ in 0..40 {
            if let Next::Export { this_try, .. } = bench.state.next(0, bench.now) {
                assert_eq!(last, None, "no other follows the last");
                last = this_try.is_last.then_some(this_try.attempt);
                bench.returns(0, busy());
            }
            bench.wait(2);
        }
        assert_eq!(bench.exported(), 0);
        last
    });
    let lasts: Vec<_> = lasts.collect();
    assert!(!lasts.is_empty() && lasts.iter().all(|attempt| *attempt > 3), "{lasts:?}");
}

#[test]
fn while_the_process_waits_for_its_end_a_try_says_so_and_whether_it_is_the_last() {
    // Pauses are drawn, as above: the one after what was to be the last but one may end too late.
    let known = (0..50).filter(|_| {
        let mut bench = Bench::new(1);
        bench.offer(1);
        assert!(!bench.tried().is_leaving);
        bench.returns(0, busy());
        let end = bench.now + Duration::from_secs(1);
        bench.state.hurry(end, end, true);
        let mut tries = Vec::new();
        while bench.now < end {
            if let Next::Export { this_try, .. } = bench.state.next(0, bench.now) {
                assert!(this_try.is_leaving);
                tries.push(this_try.is_last);
                bench.returns(0, busy());
            }
            bench.now += Duration::from_millis(10);
        }
        let (last, before) = tries.split_last().unwrap();
        assert!(!before.is_empty() && !before.contains(&true), "{tries:?}");
        *last
    });
    assert!(known.count() > 25);
}
