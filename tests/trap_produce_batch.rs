//! Promise: `rd_kafka_produce_batch()` works as without us, messages without a partition included.
//!
//! When the partitioner fails, librdkafka acknowledges the application's own struct, behind which there are no headers.
//! Without the check of the address in `Message::acknowledged` (`resolver/src/interceptor/message.rs`) `on_acknowledgement`
//! reads beyond that struct, and the test dies of SIGSEGV.

use std::ffi::c_void;
use std::ptr;

use rdkafka::bindings::*;
use words::native::NativeProducer;
use words::{ONE_SERVICE, Traced};

/// `RD_KAFKA_PARTITION_UA`: the partitioner decides.
const UNASSIGNED: i32 = -1;

/// A page whose last bytes are the struct: whatever is read beyond is a fault.
struct AtTheEndOfAPage(*mut rd_kafka_message_t, usize);

impl AtTheEndOfAPage {
    fn new(count: usize) -> Self {
        let size = count * size_of::<rd_kafka_message_t>();
        let page = 4096;
        // SAFETY: fresh pages; the second one is made inaccessible.
        unsafe {
            let pages = libc::mmap(
                ptr::null_mut(),
                2 * page,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(pages, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(pages.byte_add(page), page, libc::PROT_NONE), 0);
            Self(pages.byte_add(page - size).cast(), count)
        }
    }

    fn messages(&mut self) -> &mut [rd_kafka_message_t] {
        // SAFETY: zeroed memory of this size, ours alone; zero is a valid message.
        unsafe { std::slice::from_raw_parts_mut(self.0, self.1) }
    }
}

/// A partitioner with a defect.
unsafe extern "C" fn into_nowhere(
    _topic: *const rd_kafka_topic_t,
    _key: *const c_void,
    _key_len: usize,
    _partitions: i32,
    _topic_opaque: *mut c_void,
    _message_opaque: *mut c_void,
) -> i32 {
    99
}

#[test]
fn messages_that_the_partitioner_sends_into_nowhere_do_no_harm() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let producer = NativeProducer::new(&traced.config(None)).unwrap();
    // SAFETY: client, topic and messages are valid; payloads are copied; the topic takes its configuration over.
    unsafe {
        let conf = rd_kafka_topic_conf_new();
        rd_kafka_topic_conf_set_partitioner_cb(conf, Some(into_nowhere));
        let topic = rd_kafka_topic_new(producer.as_ptr(), c"orders".as_ptr(), conf);
        // The topic's partitions get known.
        assert_eq!(producer.produce("orders", 0, b"first"), 0);
        assert_eq!(producer.flush(20_000), 0);
        for written_by_the_application in [ptr::null_mut(), topic] {
            let mut area = AtTheEndOfAPage::new(1);
            let message = &mut area.messages()[0];
            message.rkt = written_by_the_application;
            // Without a key the message would go where the one before it went.
            (message.key, message.key_len) = (c"key".as_ptr().cast_mut().cast(), 3);
            let sent = rd_kafka_produce_batch(topic, UNASSIGNED, RD_KAFKA_MSG_F_COPY, message, 1);
            assert_eq!((sent, message.err), (0, rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION));
        }
        rd_kafka_topic_destroy(topic);
    }
    assert_eq!(producer.produce("orders", 0, b"last"), 0);
    assert_eq!(producer.flush(20_000), 0);
    assert_eq!(traced.traces(), "app: send orders\napp: send orders\n");
}

fn produce(producer: &NativeProducer, partition: i32, flags: i32, partitions: &[i32]) -> Vec<i32> {
    let mut area = AtTheEndOfAPage::new(partitions.len());
    let payload = b"an order";
    for (message, wanted) in area.messages().iter_mut().zip(partitions) {
        message.payload = payload.as_ptr().cast_mut().cast::<c_void>();
        message.len = payload.len();
        message.partition = *wanted;
    }
    // SAFETY: client, topic and messages are valid; payloads are copied.
    unsafe {
        let topic = rd_kafka_topic_new(producer.as_ptr(), c"orders".as_ptr(), ptr::null_mut());
        let messages = area.messages();
        let (first, count) = (messages.as_mut_ptr(), messages.len());
        rd_kafka_produce_batch(topic, partition, RD_KAFKA_MSG_F_COPY | flags, first, count as i32);
        rd_kafka_topic_destroy(topic);
    }
    area.messages().iter().map(|message| message.err as i32).collect()
}

#[test]
fn messages_for_known_partitions_are_traced_and_one_for_an_unknown_one_does_no_harm() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let producer = NativeProducer::new(&traced.config(None)).unwrap();
    // The topic's partitions get known: there is one.
    assert_eq!(producer.produce("orders", 0, b"first"), 0);
    assert_eq!(producer.flush(20_000), 0);
    let unknown = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION as i32;

    assert_eq!(produce(&producer, 0, 0, &[0, 0, 0]), [0, 0, 0]);
    assert_eq!(producer.flush(20_000), 0);
    assert_eq!(traced.spans().iter().filter(|span| span.status_code == "unset").count(), 4);

    // The partitioner chooses; then a batch for a partition that is not there.
    assert_eq!(produce(&producer, UNASSIGNED, 0, &[0, 0]), [0, 0]);
    assert_eq!(producer.flush(20_000), 0);
    assert_eq!(produce(&producer, 77, 0, &[0]), [unknown]);
    let traced_well = traced.spans().iter().filter(|span| span.status_code == "unset").count();
    assert_eq!(traced_well, 6, "{}", traced.traces());

    // One of them has a partition of its own that is not there.
    let errors = produce(&producer, UNASSIGNED, RD_KAFKA_MSG_F_PARTITION, &[0, 77, 0]);
    assert_eq!(errors, [0, unknown, 0]);
    // librdkafka never takes back the one it refused, so a flush would wait for it.
    producer.flush(500);
    let traced_well = traced.spans().iter().filter(|span| span.status_code == "unset").count();
    assert_eq!(traced_well, 8, "{}", traced.traces());
}
