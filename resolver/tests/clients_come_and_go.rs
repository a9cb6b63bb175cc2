//! Promise: clients may be created, used and destroyed by many threads at once, and destroyed twice.
//!
//! The callbacks run over a fake librdkafka, so that this also runs under valgrind and the sanitizers in moments.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "support/fake_kafka.rs"]
mod fake_kafka;

use std::sync::Mutex;
use std::time::Duration;

use fake_kafka::{FakeClient, FakeMessage, on_a_brokers_thread};
use tracer_resolver::config::Source;
use tracer_resolver::interceptor::{Integration, RefusedSend, refused, sends_seen, single_use};
use tracer_resolver::{MessagePlace, Processing, Resolver};

/// A flush lets every delivery of the process leave: the other test's too, which its guards would then miss.
static ALONE: Mutex<()> = Mutex::new(());

const ROUNDS: i64 = 300;

fn resolver() -> Resolver {
    let text = "version = 1\ndefault_service = \"shop\"\n[services.shop]\n";
    Resolver::load(Source::Text { name: "test.toml".into(), text: text.into() }).unwrap()
}

#[test]
fn by_many_threads_at_once() {
    let _alone = ALONE.lock();
    let resolver = resolver();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let resolver = &resolver;
            scope.spawn(move || {
                let mut message = FakeMessage::new("orders");
                for round in 0..ROUNDS {
                    let producer = FakeClient::producer(resolver);
                    let consumer = FakeClient::consumer(resolver, Integration::Rust);
                    assert!(producer.is_traced() && consumer.is_traced());
                    let mut open = Vec::new();
                    for offset in 0..10 {
                        message.clear();
                        message.place(0, thread, round * 10 + offset);
                        producer.send(&message);
                        producer.acknowledge(&message);
                        consumer.consume(&message);
                        if offset % 2 == 0 {
                            let place =
                                MessagePlace { topic: "orders", partition: thread, offset: round * 10 + offset };
                            open.push(Processing::start(resolver, place, std::iter::empty(), None));
                        }
                    }
                    drop((producer, consumer));
                    // After their consumer.
                    drop(open);
                }
            });
        }
        scope.spawn(|| {
            // Threads that end right after they have used a client that others go on with.
            for _ in 0..ROUNDS {
                let resolver = &resolver;
                std::thread::scope(|inner| {
                    inner.spawn(move || {
                        let producer = FakeClient::producer(resolver);
                        let message = FakeMessage::new("orders");
                        producer.send(&message);
                        producer.acknowledge(&message);
                    });
                });
            }
        });
    });
    assert!(resolver.flush(Duration::from_secs(20)));
    let service = &resolver.stats().services[0];
    // Each message has a send and a consumer span, whether somebody processed it or not; two of the latter if another
    // thread was suspended just where its delivery should have waited.
    let expected = (4 * ROUNDS * 20 + ROUNDS) as u64;
    let spans = service.spans + service.dropped_buffer_full;
    assert!((expected..expected + 20).contains(&spans), "{spans} of {expected}");
}

#[test]
fn and_callbacks_that_come_after_the_last_one_find_nothing() {
    let _alone = ALONE.lock();
    let resolver = resolver();
    let message = FakeMessage::new("payments");
    let producer = FakeClient::producer(&resolver);
    producer.send(&message);
    producer.destroy();
    producer.acknowledge(&message);
    producer.destroy();
    // The slot has another client by now, which the first one's opaque must not find.
    let other = FakeClient::producer(&resolver);
    other.send(&message);
    producer.acknowledge(&message);
    producer.destroy();
    other.acknowledge(&message);
    assert!(resolver.flush(Duration::from_secs(20)));
    assert_eq!(resolver.stats().services[0].spans, 1);
}

/// Without the check of `rkt` in `Message::from_raw` (`resolver/src/interceptor/message.rs`) this dies.
#[test]
fn a_message_without_a_topic_is_left_alone() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let resolver = resolver();
    let (producer, consumer) = (FakeClient::producer(&resolver), FakeClient::consumer(&resolver, Integration::Rust));
    let mut message = FakeMessage::new("orders");
    message.lose_topic();
    producer.send(&message);
    producer.acknowledge(&message);
    consumer.consume(&message);
    assert!(!message.has_header("traceparent"));
}

/// Without `single_use::is_under_way` in `on_destroy` (`resolver/src/interceptor/callbacks.rs`) every try keeps a slot, of
/// which there are 65536.
#[test]
fn tries_that_fail_and_whose_configurations_are_given_up_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let resolver = resolver();
    for _ in 0..70_000 {
        single_use(|| {
            let client = FakeClient::consumer(&resolver, Integration::Plugin);
            client.fail();
            client.keep_configuration();
        });
    }
    assert!(FakeClient::consumer(&resolver, Integration::Plugin).is_traced());
    // Not given up: it is used again.
    let again = FakeClient::consumer(&resolver, Integration::Plugin);
    again.fail();
    again.create();
    again.consume(&FakeMessage::new("orders"));
    assert!(resolver.flush(Duration::from_secs(20)));
    assert_eq!(resolver.stats().services[0].spans, 1);
}

/// Threads of each kind: more of them than there are segments to fill.
const ENDING: u64 = 1_200;

/// Sends, and has the acknowledgement, on the calling thread.
fn send_one(resolver: &Resolver) {
    let (producer, message) = (FakeClient::producer(resolver), FakeMessage::new("orders"));
    producer.send(&message);
    producer.acknowledge(&message);
}

extern "C" fn send_from_destructor(resolver: *mut libc::c_void) {
    // SAFETY: the test's resolver, which outlives its threads.
    send_one(unsafe { &*resolver.cast::<Resolver>() });
}

#[test]
fn by_threads_in_their_last_destructor_be_it_their_first_use_or_not() {
    let _alone = ALONE.lock();
    let resolver = resolver();
    for sends_before in [true, false] {
        let mut key = 0;
        // SAFETY: a new key, whose destructor is given the values that are set for it.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(send_from_destructor)) }, 0);
        for _ in 0..ENDING {
            let resolver = &resolver;
            std::thread::scope(|scope| {
                let thread = scope.spawn(move || {
                    // SAFETY: the key was created above.
                    unsafe { libc::pthread_setspecific(key, std::ptr::from_ref(resolver).cast()) };
                    if sends_before {
                        send_one(resolver);
                    }
                });
                // The scope alone does not wait for destructors.
                thread.join().unwrap();
            });
        }
        // SAFETY: no thread has a value for it any more.
        unsafe { libc::pthread_key_delete(key) };
    }
    assert!(resolver.flush(Duration::from_secs(20)));
    let stats = &resolver.stats().services[0];
    assert_eq!((stats.spans, stats.dropped_buffer_full), (3 * ENDING, 0));
}

/// librdkafka calls the application's log callback on its own threads, and that may send. Without
/// `nothing_is_being_sent` (`resolver/src/interceptor/message.rs`) what fails on such a thread has no span ever after.
#[test]
fn a_log_callback_that_sends_takes_no_failed_message_its_span() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let resolver = resolver();
    let producer = FakeClient::producer(&resolver);
    let mut messages: Vec<_> = (0..4).map(|_| FakeMessage::new("orders")).collect();
    messages.iter().for_each(|message| producer.send(message));
    let logged = FakeMessage::new("logs");
    on_a_brokers_thread(|| {
        producer.send(&logged);
        // _MSG_TIMED_OUT: whoever sent here, it is no partitioner's word.
        messages[0].place(-192, 0, -1001);
        producer.acknowledge(&messages[0]);
        // _UNKNOWN_TOPIC, after the answer to a request for metadata.
        producer.respond(3, 100);
        messages[1].place(-188, 0, -1001);
        producer.acknowledge(&messages[1]);
        // _UNKNOWN_PARTITION, right after a send: the struct of an application that used `rd_kafka_produce_batch`.
        producer.send(&logged);
        messages[2].place(-190, 0, -1001);
        producer.acknowledge(&messages[2]);
    });
    assert!(resolver.flush(Duration::from_secs(20)));
    assert_eq!(resolver.stats().services[0].spans, 2);
}

/// It is told by the address of its client. One that could not be created has gone, and its configuration, which was used again, is
/// another's: what has its address now is nobody's.
#[test]
fn a_refused_send_is_of_the_client_that_is_at_its_address_now() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let resolver = resolver();
    let producer = || FakeClient::with_integration(&resolver, 0, Integration::Plugin, c"");
    let (failed, created) = (producer(), producer());
    failed.fail();
    failed.create_at(&created);
    let refuse = |client: &FakeClient| {
        // _QUEUE_FULL
        let send = RefusedSend { error: -184, partition: -1, key: None, is_tombstone: false };
        refused(std::ptr::from_ref(client).addr(), c"orders", std::iter::once(send));
        resolver.flush(Duration::from_secs(20));
        resolver.stats().services[0].spans
    };
    let seen = sends_seen();
    assert_eq!((refuse(&failed), sends_seen() - seen), (0, 0));
    // Whoever else sees the same call knows by this that it was told.
    assert_eq!((refuse(&created), sends_seen() - seen), (1, 1));
}
