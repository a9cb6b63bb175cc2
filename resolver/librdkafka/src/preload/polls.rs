//! The application asks for messages, or closes a client: the engine is told, and the rest is librdkafka's.
//!
//! `rd_kafka_poll` and `rd_kafka_flush` say nothing of a processing's end: producers call them for their reports in the middle
//! of it. What is sent in such a report does not follow from the message, though. A function that no librdkafka has gives what means "nothing": the program could not have been linked, or
//! not have called it, without us.

use std::ffi::{CStr, c_int};
use std::ptr;

use tracer_resolver::interceptor::{Hands, RdKafka, RdKafkaMessage, RdKafkaTopic, calling_back, closing, polling};

use super::call_sites::CallSites;
use super::real;
use crate::caller::entry;

/// `rd_kafka_queue_t`, opaque.
#[repr(C)]
#[derive(Debug)]
pub struct RdKafkaQueue {
    _private: [u8; 0],
}

/// `RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED`.
const NOT_IMPLEMENTED: c_int = -170;

/// Defines the exported functions: each tells the engine by `polling` or `closing`, and calls the real one.
macro_rules! wrappers {
    ($(
        $(#[$doc:meta])*
        fn $name:ident / $body:ident($first:ident: $first_type:ty $(, $argument:ident: $argument_type:ty)*) -> $result:ty
            = $how_often:ident, $tell:expr, else $nothing:expr;
    )*) => {$(
        entry! {
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// As the function of this name in rdkafka.h.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub extern "C-unwind" fn $name / $body(
                $first: $first_type $(, $argument: $argument_type)* ; caller
            ) -> $result {
                const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                };
                let Some(address) = find!($how_often, NAME, caller) else { return $nothing };
                let _calling = real::calling(address);
                let address = ptr::with_exposed_provenance::<()>(address);
                let real: unsafe extern "C-unwind" fn($first_type $(, $argument_type)*) -> $result =
                    // SAFETY: the address of that function, under the declaration that `rdkafka.h` has of it.
                    unsafe { std::mem::transmute::<*const (), _>(address) };
                // SAFETY: the caller's own arguments.
                ($tell)($first.addr(), || unsafe { real($first $(, $argument)*) })
            }
        }
    )*};
}

/// The real function: called for every message, or once in a client's life.
macro_rules! find {
    (often, $name:expr, $caller:expr) => {{
        static SITES: CallSites = CallSites::new();
        SITES.reached($name, $caller)
    }};
    (once, $name:expr, $caller:expr) => {
        real::reached($name, $caller)
    };
}

fn asks_for_one<T>(source: usize, poll: impl FnOnce() -> T) -> T {
    polling(source, Hands::One, poll)
}

/// For `size` messages at the most: asked for one, a call for many hands over one.
fn asks_for<T>(size: usize, source: usize, poll: impl FnOnce() -> T) -> T {
    polling(source, if size == 1 { Hands::One } else { Hands::Many }, poll)
}

wrappers! {
    /// Asks a consumer for its next message. Null when there is no such function.
    fn rd_kafka_consumer_poll / rd_kafka_consumer_poll_from(rk: *mut RdKafka, timeout_ms: c_int) -> *mut RdKafkaMessage
        = often, asks_for_one, else ptr::null_mut();
    /// Asks a partition for its next message. Null when there is no such function.
    fn rd_kafka_consume / rd_kafka_consume_from(
        rkt: *mut RdKafkaTopic, partition: i32, timeout_ms: c_int
    ) -> *mut RdKafkaMessage
        = often, asks_for_one, else ptr::null_mut();
    /// Asks a queue for its next message. Null when there is no such function.
    fn rd_kafka_consume_queue / rd_kafka_consume_queue_from(
        queue: *mut RdKafkaQueue, timeout_ms: c_int
    ) -> *mut RdKafkaMessage
        = often, asks_for_one, else ptr::null_mut();
    /// Asks a partition for messages. -1 when there is no such function.
    fn rd_kafka_consume_batch / rd_kafka_consume_batch_from(
        rkt: *mut RdKafkaTopic, partition: i32, timeout_ms: c_int, messages: *mut *mut RdKafkaMessage, size: usize
    ) -> isize
        = often, |source, poll| asks_for(size, source, poll), else -1;
    /// Asks a queue for messages. -1 when there is no such function.
    fn rd_kafka_consume_batch_queue / rd_kafka_consume_batch_queue_from(
        queue: *mut RdKafkaQueue, timeout_ms: c_int, messages: *mut *mut RdKafkaMessage, size: usize
    ) -> isize
        = often, |source, poll| asks_for(size, source, poll), else -1;
    /// Serves a client's callbacks. 0 when there is no such function.
    fn rd_kafka_poll / rd_kafka_poll_from(rk: *mut RdKafka, timeout_ms: c_int) -> c_int
        = often, |_, serve| calling_back(serve), else 0;
    /// Waits for what was sent, and serves a producer's callbacks. `RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED` when there is no
    /// such function.
    fn rd_kafka_flush / rd_kafka_flush_from(rk: *mut RdKafka, timeout_ms: c_int) -> c_int
        = once, |_, serve| calling_back(serve), else NOT_IMPLEMENTED;
    /// Closes a consumer. `RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED` when there is no such function.
    fn rd_kafka_consumer_close / rd_kafka_consumer_close_from(rk: *mut RdKafka) -> c_int
        = once, closing, else NOT_IMPLEMENTED;
    /// Destroys a client. Nothing happens when there is no such function.
    fn rd_kafka_destroy / rd_kafka_destroy_from(rk: *mut RdKafka) -> ()
        = once, closing, else Default::default();
    /// Destroys a client. Nothing happens when there is no such function.
    fn rd_kafka_destroy_flags / rd_kafka_destroy_flags_from(rk: *mut RdKafka, flags: c_int) -> ()
        = once, closing, else Default::default();
}
