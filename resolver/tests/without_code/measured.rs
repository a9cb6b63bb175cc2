//! What is measured of such processings: as long as their spans say, with a span and without.

use super::*;

/// What was measured of processings: how often, how many seconds, and in how many spans.
fn processings(program: &Program) -> (u64, f64, usize) {
    assert!(program.resolver.flush(Duration::from_secs(20)));
    let measured = program.resolver.measurements();
    let found = measured.iter().find(|one| one.instrument == "messaging.process.duration");
    found.map_or((0, 0.0, 0), |found| (found.count, found.sum, found.exemplars.len()))
}

/// The settings under which messages are measured: with spans, sampled out, and without.
const MEASURED: [(&str, usize); 3] = [
    ("measure = \"on\"", 1),
    ("measure = \"on\"\nsampler = \"always_off\"\nparent = \"ignore\"", 0),
    ("measure = \"only\"", 0),
];

#[test]
fn a_processing_whose_end_a_poll_shows_is_measured_with_a_span_and_without() {
    for (settings, spans) in MEASURED {
        let program = Program::seen(settings);
        program.poll(Some(&program.incoming(1)));
        work();
        program.poll(None);
        let mut plain = FakeMessage::new("orders");
        plain.place(0, (program.source / 16) as i32, 2);
        program.poll(Some(&plain));
        program.poll(Some(&program.incoming(3)));
        polling(program.source, Hands::Many, || program.consumer.consume(&program.incoming(4)));
        let (count, sum, exemplars) = processings(&program);
        // The third and the message of many are points: nothing shows when they ended. But the poll before did of the third.
        assert_eq!((count, exemplars), (3, if spans == 0 { 0 } else { exemplars }), "{settings}");
        assert!(sum >= LONG.as_secs_f64() && sum < 60.0, "{settings}: {sum}");
        assert_eq!(exemplars > 0, spans > 0, "{settings}");
        let measured = program.resolver.measurements();
        let consumed = measured.iter().find(|one| one.instrument == "messaging.client.consumed.messages").unwrap();
        assert_eq!(consumed.count, 4, "{settings}");
    }
}

#[test]
fn a_processing_that_a_commit_or_a_send_shows_is_measured_as_its_span_says() {
    for (settings, spans) in MEASURED {
        let program = Program::unseen(settings);
        let partition = (program.source / 16) as i32;
        program.consumer.consume(&program.incoming(1));
        work();
        program.consumer.respond(8, 1000);
        program.consumer.commit(c"orders", partition, 2, 0);
        assert_eq!(processings(&program).0, 1, "{settings}");
        program.consumer.consume(&program.incoming(2));
        // Nothing is seen of this one, and nothing is measured.
        let (count, sum, _) = processings(&program);
        assert_eq!(count, 1, "{settings}");
        assert!(sum >= LONG.as_secs_f64() - 0.01 && sum < 60.0, "{settings}: {sum}");
        let shown = program.drawing();
        assert_eq!(shown.iter().filter(|span| span.contains("by commit")).count(), spans, "{settings}: {shown:?}");
    }
}

#[test]
fn what_a_thread_sends_follows_from_a_message_that_is_measured_only_as_from_one_that_is_passed_on() {
    for settings in ["trace = \"propagate\"", "measure = \"only\""] {
        for program in [Program::unseen(settings), Program::seen(settings)] {
            program.poll_if_seen(&program.incoming(1));
            let following = program.send("bills");
            let traceparent = String::from_utf8(following.header("traceparent").unwrap()).unwrap();
            assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c803101-"), "{settings}: {traceparent}");
            let mut plain = FakeMessage::new("orders");
            plain.place(0, (program.source / 16) as i32, 2);
            program.poll_if_seen(&plain);
            assert_eq!(program.send("bills").header("traceparent"), None, "{settings}: a message without a context");
            assert_eq!(program.drawing(), Vec::<String>::new());
        }
    }
}
