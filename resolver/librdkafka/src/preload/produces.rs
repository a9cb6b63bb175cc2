//! The application sends, by those functions that have a fixed number of arguments: what librdkafka refuses at once, for which it
//! calls no interceptor, the engine is told of. `rd_kafka_producev` is left alone: see RATIONALE.md, "Why is
//! `rd_kafka_producev` not taken over?".
//!
//! What a call gives, its errno and librdkafka's last error stay what they are.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use tracer_resolver::interceptor::{
    RdKafka, RdKafkaError, RdKafkaMessage, RdKafkaTopic, RefusedSend, client_of_topic, has_producers, refused,
    sends_seen, topic_made,
};

use super::call_sites::CallSites;
use super::real::{self, errno, set_errno};
use super::transactions::RdKafkaErrorObject;
use crate::caller::{Caller, entry};
use crate::contained::contained;
use crate::librdkafka::Librdkafka;

/// `rd_kafka_topic_conf_t`, opaque.
#[repr(C)]
#[derive(Debug)]
pub struct RdKafkaTopicConf {
    _private: [u8; 0],
}

/// `rd_kafka_vu_t`: public and frozen by librdkafka's ABI.
#[repr(C)]
#[expect(
    missing_debug_implementations,
    reason = "its kind says which of the values it is, and only librdkafka knows all"
)]
pub struct RdKafkaArgument {
    kind: c_int,
    value: ArgumentValue,
}

/// The union in it.
#[repr(C)]
union ArgumentValue {
    text: *const c_char,
    topic: *mut RdKafkaTopic,
    number: i32,
    bytes: Bytes,
    _padding: [u64; 8],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Bytes {
    start: *const c_void,
    size: usize,
}

type TopicNew = unsafe extern "C-unwind" fn(*mut RdKafka, *const c_char, *mut RdKafkaTopicConf) -> *mut RdKafkaTopic;
type Produce = unsafe extern "C-unwind" fn(
    *mut RdKafkaTopic,
    i32,
    c_int,
    *mut c_void,
    usize,
    *const c_void,
    usize,
    *mut c_void,
) -> c_int;
type ProduceBatch = unsafe extern "C-unwind" fn(*mut RdKafkaTopic, i32, c_int, *mut RdKafkaMessage, c_int) -> c_int;
type ProduceVa = unsafe extern "C-unwind" fn(*mut RdKafka, *const RdKafkaArgument, usize) -> *mut RdKafkaErrorObject;

entry! {
    /// Makes a handle of a topic, by which `rd_kafka_produce` knows its producer. Null when there is no such function.
    ///
    /// # Safety
    ///
    /// As the function of this name in rdkafka.h.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    pub extern "C-unwind" fn rd_kafka_topic_new / rd_kafka_topic_new_from(
        rk: *mut RdKafka, topic: *const c_char, conf: *mut RdKafkaTopicConf; caller
    ) -> *mut RdKafkaTopic {
        let Some(address) = real::reached(c"rd_kafka_topic_new", caller) else { return ptr::null_mut() };
        let _calling = real::calling(address);
        // SAFETY: the address of that function, under the declaration that `rdkafka.h` has of it.
        let make = unsafe { std::mem::transmute::<*const (), TopicNew>(ptr::with_exposed_provenance(address)) };
        // SAFETY: the caller's own arguments.
        let made = unsafe { make(rk, topic, conf) };
        if has_producers() && !made.is_null() {
            let before = errno();
            contained((), || topic_made(rk.addr(), made.addr()));
            set_errno(before);
        }
        made
    }
}

/// Sends a message. -1, and `errno` is `ENOSYS`, when there is no such function.
///
/// Its arguments leave no register for the caller's address: the entry puts the two short ones, the second and the third,
/// into one, and jumps, as those of `entry!` do.
///
/// # Safety
///
/// As the function of this name in rdkafka.h.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub unsafe extern "C-unwind" fn rd_kafka_produce(
    topic: *mut RdKafkaTopic,
    partition: i32,
    flags: c_int,
    payload: *mut c_void,
    size: usize,
    key: *const c_void,
    key_size: usize,
    opaque: *mut c_void,
) -> c_int {
    core::arch::naked_asm!(packing_entry!(), body = sym rd_kafka_produce_from)
}

#[cfg(target_arch = "x86_64")]
macro_rules! packing_entry {
    () => {
        "mov esi, esi\nshl rdx, 32\nor rsi, rdx\nmov rdx, qword ptr [rsp]\njmp {body}"
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! packing_entry {
    () => {
        "hint #34\nmov w1, w1\norr x1, x1, x2, lsl #32\nmov x2, x30\nb {body}"
    };
}

use packing_entry;

/// `packed`: the partition, and above it the flags.
///
/// # Safety
///
/// As the entry above, which alone comes here.
unsafe extern "C-unwind" fn rd_kafka_produce_from(
    topic: *mut RdKafkaTopic,
    packed: u64,
    caller: Caller,
    payload: *mut c_void,
    size: usize,
    key: *const c_void,
    key_size: usize,
    opaque: *mut c_void,
) -> c_int {
    static SITES: CallSites = CallSites::new();
    let Some(address) = SITES.reached(c"rd_kafka_produce", caller) else { return real::not_there() };
    let _calling = real::calling(address);
    // SAFETY: the address of that function, under the declaration that `rdkafka.h` has of it.
    let produce = unsafe { std::mem::transmute::<*const (), Produce>(ptr::with_exposed_provenance(address)) };
    let (partition, flags) = (packed as i32, (packed >> 32) as c_int);
    let seen = sends_seen();
    // SAFETY: the caller's own arguments.
    let result = unsafe { produce(topic, partition, flags, payload, size, key, key_size, opaque) };
    if result != 0 && seen == sends_seen() && has_producers() {
        tell(caller, |librdkafka| {
            let client = client_of_topic(topic.addr())?;
            // SAFETY: it only reads what this thread has of its own.
            let error = unsafe { librdkafka.own().last_error?() };
            // SAFETY: a message that was refused is the caller's still, and its key lives during the call.
            let key = unsafe { bytes(key, key_size) };
            let is_tombstone = payload.is_null() && key.is_some();
            let send = RefusedSend { error, partition, key, is_tombstone };
            // SAFETY: the caller's own handle.
            refused(client, unsafe { name_of(librdkafka, topic)? }, [send].into_iter().filter(|send| send.error != 0));
            Some(())
        });
    }
    result
}

entry! {
    /// Sends messages. -1, and `errno` is `ENOSYS`, when there is no such function.
    ///
    /// # Safety
    ///
    /// As the function of this name in rdkafka.h.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    pub extern "C-unwind" fn rd_kafka_produce_batch / rd_kafka_produce_batch_from(
        topic: *mut RdKafkaTopic, partition: i32, flags: c_int, messages: *mut RdKafkaMessage, count: c_int; caller
    ) -> c_int {
        static SITES: CallSites = CallSites::new();
        let Some(address) = SITES.reached(c"rd_kafka_produce_batch", caller) else { return real::not_there() };
        let _calling = real::calling(address);
        // SAFETY: the address of that function, under the declaration that `rdkafka.h` has of it.
        let produce = unsafe { std::mem::transmute::<*const (), ProduceBatch>(ptr::with_exposed_provenance(address)) };
        let seen = sends_seen();
        // SAFETY: the caller's own arguments.
        let taken = unsafe { produce(topic, partition, flags, messages, count) };
        let unseen = usize::try_from(count).unwrap_or(0).saturating_sub(sends_seen().wrapping_sub(seen));
        if taken < count && unseen > 0 && !messages.is_null() && has_producers() {
            tell(caller, |librdkafka| {
                let client = client_of_topic(topic.addr())?;
                // SAFETY: the caller's own array of that length; librdkafka has written what became of each.
                let messages = unsafe { std::slice::from_raw_parts(messages, usize::try_from(count).ok()?) };
                let failed = messages.iter().filter(|message| message.err != 0);
                let all_unseen = failed.clone().count() <= unseen;
                // Others had come to the partitioner, and their interceptors.
                let is_unseen = |message: &&RdKafkaMessage| all_unseen || [QUEUE_FULL, TOO_LARGE].contains(&message.err);
                let has_own_partition = flags & F_PARTITION != 0;
                let sends = failed.filter(is_unseen).take(unseen).map(|message| RefusedSend {
                    error: message.err,
                    partition: if has_own_partition { message.partition } else { partition },
                    // SAFETY: as `messages`.
                    key: unsafe { bytes(message.key, message.key_len) },
                    is_tombstone: message.payload.is_null() && !message.key.is_null(),
                });
                // SAFETY: the caller's own handle.
                refused(client, unsafe { name_of(librdkafka, topic)? }, sends);
                Some(())
            });
        }
        taken
    }
}

entry! {
    /// Sends a message. Where no librdkafka has such a function the process ends, as the dynamic linker would have ended it
    /// without us: null would say that the message was sent.
    ///
    /// # Safety
    ///
    /// As the function of this name in rdkafka.h.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    pub extern "C-unwind" fn rd_kafka_produceva / rd_kafka_produceva_from(
        rk: *mut RdKafka, arguments: *const RdKafkaArgument, count: usize; caller
    ) -> *mut RdKafkaErrorObject {
        static SITES: CallSites = CallSites::new();
        let Some(address) = SITES.reached(c"rd_kafka_produceva", caller) else { std::process::abort() };
        let _calling = real::calling(address);
        // SAFETY: the address of that function, under the declaration that `rdkafka.h` has of it.
        let produce = unsafe { std::mem::transmute::<*const (), ProduceVa>(ptr::with_exposed_provenance(address)) };
        let seen = sends_seen();
        // SAFETY: the caller's own arguments.
        let error = unsafe { produce(rk, arguments, count) };
        if !error.is_null() && seen == sends_seen() && !arguments.is_null() && has_producers() {
            tell(caller, |librdkafka| {
                // SAFETY: an error that this librdkafka has just made.
                let code = unsafe { librdkafka.own().error_code?(error.cast_const().cast()) };
                // SAFETY: the caller's own array of that length; what it refers to is the caller's still.
                let arguments = unsafe { std::slice::from_raw_parts(arguments, count) };
                let mut send = RefusedSend { error: code, partition: -1, key: None, is_tombstone: false };
                let (mut topic, mut has_value) = (None, false);
                for argument in arguments {
                    // SAFETY: the kind says which of the values it is.
                    unsafe {
                        match argument.kind {
                            V_TOPIC if !argument.value.text.is_null() => topic = Some(CStr::from_ptr(argument.value.text)),
                            V_RKT => topic = name_of(librdkafka, argument.value.topic),
                            V_PARTITION => send.partition = argument.value.number,
                            V_VALUE => has_value = !argument.value.bytes.start.is_null(),
                            V_KEY => send.key = bytes(argument.value.bytes.start, argument.value.bytes.size),
                            _ => {}
                        }
                    }
                }
                send.is_tombstone = send.key.is_some() && !has_value;
                refused(rk.addr(), topic?, [send].into_iter());
                Some(())
            });
        }
        error
    }
}

/// `RD_KAFKA_MSG_F_PARTITION`: in a batch, each message says where it is to go.
const F_PARTITION: c_int = 0x8;
/// `RD_KAFKA_RESP_ERR__QUEUE_FULL` and `…_MSG_SIZE_TOO_LARGE`: found before anything else is done for a message.
const QUEUE_FULL: RdKafkaError = -184;
const TOO_LARGE: RdKafkaError = 10;
/// `RD_KAFKA_VTYPE_TOPIC` and others.
const V_TOPIC: c_int = 1;
const V_RKT: c_int = 2;
const V_PARTITION: c_int = 3;
const V_VALUE: c_int = 4;
const V_KEY: c_int = 5;

/// Lets `tell` tell the engine of what a call by `caller` refused.
#[cold]
fn tell(caller: Caller, tell: impl FnOnce(&Librdkafka) -> Option<()>) {
    let before = errno();
    contained((), || {
        // A program that tries again and again comes by here as often.
        let librdkafka = Librdkafka::only_one().or_else(|| real::librdkafka(caller));
        let _ = librdkafka.and_then(tell);
    });
    set_errno(before);
}

/// # Safety
///
/// `topic` is null, or a handle of this librdkafka that outlives what is given.
unsafe fn name_of<'a>(librdkafka: &Librdkafka, topic: *const RdKafkaTopic) -> Option<&'a CStr> {
    let api = librdkafka.engine_api().ok().filter(|_| !topic.is_null())?;
    // SAFETY: as promised by the caller; a topic's name lives as long as the topic.
    Some(unsafe { CStr::from_ptr((api.topic_name)(topic)) })
}

/// # Safety
///
/// `start` is null, or there are so many bytes for as long as what is given is used.
unsafe fn bytes<'a>(start: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: as promised by the caller.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), size) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Module;

    #[test]
    fn what_is_told_leaves_errno_as_the_call_left_it() {
        // The C library, which is no librdkafka: of what is told here it is asked nothing.
        let library = libc::strlen as *const () as usize;
        Librdkafka::within(Module::containing(library).unwrap());
        set_errno(libc::ENOBUFS);
        let mut is_told = false;
        // SAFETY: it is an address, and nothing else.
        tell(unsafe { std::mem::transmute::<usize, Caller>(library) }, |_| {
            is_told = true;
            set_errno(libc::EINTR);
            None
        });
        assert_eq!((is_told, errno()), (true, libc::ENOBUFS));
    }
}
