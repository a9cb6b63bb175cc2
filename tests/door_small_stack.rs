//! Promise: a client may be created on a thread that has next to no stack.
//!
//! Without `with_room` in `resolver/librdkafka/src/tracing.rs` the configuration is read there, and the program dies.

use words::fake_librdkafka::Workshop;
use words::foreign::{Door, Surroundings, run, skip};

#[test]
fn the_first_client_of_a_process_may_be_created_on_a_thread_with_a_small_stack() {
    let workshop = match Workshop::open() {
        Ok(workshop) => workshop,
        Err(reason) => return skip(&reason),
    };
    workshop.librdkafka("kafka", &[]);
    let link = workshop.linked_with("kafka");
    let program = workshop.build("program", &["small_stack.c", "run.c", &link[0], &link[1], &link[2]]);
    let surroundings = Surroundings::start(&[], 1, "[services.shop]\ntopics = [\"*\"]");
    for door in Door::TRACED {
        let ended = run(surroundings.command(door, &program).arg("48"));
        ended.expect_success();
        assert_eq!((&*ended.stdout, &*ended.stderr), ("orders: a trace\n", ""), "{door:?}");
        assert_eq!(surroundings.traces().lines().count(), 2, "{door:?}");
    }
}
