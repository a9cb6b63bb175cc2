//! Promise: a client may be created, used and closed on a thread, or in a coroutine, that has next to no stack.
//!
//! Without `with_room` in `resolver/librdkafka/src/property.rs` the configuration is read there, and the program dies.

use words::fake_librdkafka::Workshop;
use words::{Traced, WayIn, run};

#[test]
fn the_first_client_of_a_process_may_be_created_on_a_thread_with_a_small_stack() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["small_stack.c", "run.c"]);
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
    for way in WayIn::EACH {
        let ended = run(traced.command(way, &program).arg("48"));
        ended.expect_success();
        assert_eq!((&*ended.stdout, &*ended.stderr), ("orders: a trace\n", ""), "{way:?}");
        assert_eq!(traced.take_traces().lines().count(), 2, "{way:?}");
    }
}

/// What is used there is this library's share, for the librdkafka is one without depth: between what the same program uses
/// untraced and traced. librdkafka itself needs 26 KiB.
#[test]
fn a_client_in_a_coroutine_takes_little_of_its_stack() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["coroutine.c", "run.c"]);
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
    let used = |way| {
        let ended = run(traced.command(way, &program).arg("32"));
        ended.expect_success();
        assert_eq!(ended.stderr, "", "{way:?}");
        let (said, used) = ended.stdout.split_once("used ").unwrap();
        assert_eq!(said, if way == WayIn::None { "orders: no trace\n" } else { "orders: a trace\n" }, "{way:?}");
        used.split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    let alone = used(WayIn::None);
    for way in WayIn::EACH {
        let with_us = used(way);
        println!("{way:?}: {with_us} bytes of stack, {alone} untraced");
        assert!(with_us <= alone + MOST, "{way:?}: {with_us} bytes, {alone} untraced");
        assert_eq!(traced.take_traces().lines().count(), 2, "{way:?}");
    }
}

/// As it is built for tests, where every call has a frame and every value that is handed on is copied. Of what ships it is 2 KiB
/// by preload and 3 KiB by property.
const MOST: usize = 6 * 1024;
