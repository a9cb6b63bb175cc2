//! What is said of a backend's state, by its answers.

#![forbid(unsafe_code)]

use crate::export::BackendState;
use crate::export::exporter::Outcome;
use crate::export::queue_state_tests::Bench;

#[test]
fn the_state_is_what_the_last_answer_said_and_nothing_is_claimed_before_there_is_one() {
    use BackendState::{Healthy, Refusing, Retrying, Untried};
    let (mut bench, message) = (Bench::new(1), "no".to_owned());
    let partial = |rejected_items| Outcome::Partial { rejected_items, message: message.clone() };
    let (rejected, retry) = (
        Outcome::Rejected { message: message.clone() },
        Outcome::Retry { after: None, cookie: 0, may_be_stored: false, message: message.clone() },
    );
    let answers = [
        (rejected, Refusing),
        (Outcome::Exported, Healthy),
        (partial(4), Refusing),
        (partial(1), Healthy),
        (retry, Retrying),
    ];
    let (mut before, mut taken) = (Untried, None);
    for (id, (outcome, expected)) in (1..).zip(answers) {
        bench.offer(id);
        bench.export(0).unwrap();
        assert_eq!(bench.state.counters().state, before, "sent, and not answered");
        bench.returns(0, outcome);
        (before, taken) = (expected, if expected == Healthy { Some(bench.now) } else { taken });
        bench.wait(3600);
        assert_eq!((bench.state.counters().state, bench.state.counters().last_export), (expected, taken), "{id}");
    }
}
