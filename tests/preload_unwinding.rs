//! Promise: what unwinds through a call for messages, an exception of a callback or the cancellation of its thread, does so
//! in a program that preloads the library too.

use std::process::Command;

use words::fake_librdkafka::Workshop;
use words::foreign::skip;
use words::{Ended, Traced, WayIn, run};

/// A program that is linked with a fake librdkafka whose frames can be unwound, as those of librdkafka are on this
/// platform.
fn with_unwinding(workshop: &Workshop, sources: &[&str]) -> Ended {
    workshop.librdkafka("kafka", &["-fexceptions"]);
    let program = workshop.build_linked_with("kafka", "program", sources);
    let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
    let ended = run(&mut traced.command(WayIn::Preload, program));
    ended.expect_success();
    assert_eq!(ended.stderr, "");
    ended
}

#[test]
fn a_thread_can_be_cancelled_while_it_waits_for_messages_and_never_in_our_part_of_it() {
    let Some(workshop) = Workshop::open() else { return };
    assert_eq!(with_unwinding(&workshop, &["cancelling.c"]).stdout, CANCELLED);
}

const CANCELLED: &str = "cancelled\nmade\ncancelled\nsent and received\ncancelled\n";

/// A wrapper in `resolver/librdkafka/src/preload/polls.rs` that were `extern "C"` would end the process here.
#[test]
fn an_exception_that_a_callback_throws_passes_through() {
    let Some(workshop) = Workshop::open() else { return };
    if !Command::new("c++").arg("--version").output().is_ok_and(|said| said.status.success()) {
        return skip("there is no C++ compiler (c++) on this machine");
    }
    let sources = ["-x", "c++", "-std=c++11", "throwing.cc", "-x", "none", "-lstdc++"];
    assert_eq!(with_unwinding(&workshop, &sources).stdout, "caught 7\n".repeat(3));
}
