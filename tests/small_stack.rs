//! Promise: a client may be created, used and closed on a thread, or in a coroutine, that has next to no stack.
//!
//! Without `with_room` in `resolver/librdkafka/src/property.rs` the configuration is read there, and the program dies.

use words::fake_librdkafka::Workshop;
use words::foreign::{Surroundings, WayIn, run, skip};

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
    for way_in in WayIn::TRACED {
        let ended = run(surroundings.command(way_in, &program).arg("48"));
        ended.expect_success();
        assert_eq!((&*ended.stdout, &*ended.stderr), ("orders: a trace\n", ""), "{way_in:?}");
        assert_eq!(surroundings.traces().lines().count(), 2, "{way_in:?}");
    }
}

/// What is used there is this library's share, for the librdkafka is one without depth: between what the same program uses
/// untraced and traced. librdkafka itself needs 26 KiB.
#[test]
fn a_client_in_a_coroutine_takes_little_of_its_stack() {
    let workshop = match Workshop::open() {
        Ok(workshop) => workshop,
        Err(reason) => return skip(&reason),
    };
    workshop.librdkafka("kafka", &[]);
    let link = workshop.linked_with("kafka");
    let program = workshop.build("program", &["coroutine.c", "run.c", &link[0], &link[1], &link[2]]);
    let surroundings = Surroundings::start(&[], 1, "[services.shop]\ntopics = [\"*\"]");
    let used = |way_in| {
        let ended = run(surroundings.command(way_in, &program).arg("32"));
        ended.expect_success();
        assert_eq!(ended.stderr, "", "{way_in:?}");
        let (said, used) = ended.stdout.split_once("used ").unwrap();
        assert_eq!(
            said,
            if way_in == WayIn::Untraced { "orders: no trace\n" } else { "orders: a trace\n" },
            "{way_in:?}"
        );
        used.split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    let untraced = used(WayIn::Untraced);
    for way_in in WayIn::TRACED {
        let traced = used(way_in);
        println!("{way_in:?}: {traced} bytes of stack, untraced {untraced}");
        assert!(traced <= untraced + 6 * 1024, "{way_in:?}: {traced} bytes, untraced {untraced}");
        assert_eq!(surroundings.traces().lines().count(), 2, "{way_in:?}");
    }
}
