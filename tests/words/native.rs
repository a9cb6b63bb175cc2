//! librdkafka's own functions, for what the `rdkafka` crate does not do: a producer as a C program has it.

#![expect(clippy::not_unsafe_ptr_arg_deref, reason = "tests hand on what librdkafka gave them")]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::sync::Mutex;

use rdkafka::ClientConfig;
use rdkafka::bindings::*;
use rdkafka::types::RDKafkaType;

/// A producer without delivery reports. Destroyed, not purged, when dropped: what is in flight is given up.
pub struct NativeProducer {
    client: *mut rd_kafka_t,
    /// Kept: librdkafka forgets a topic's partitions with its last handle.
    topics: Mutex<HashMap<CString, *mut rd_kafka_topic_t>>,
}

// SAFETY: librdkafka's clients may be used from any thread.
unsafe impl Send for NativeProducer {}
// SAFETY: as above, from several at once.
unsafe impl Sync for NativeProducer {}

impl NativeProducer {
    /// # Errors
    ///
    /// What librdkafka says; the configuration is then destroyed, as a C program would.
    pub fn new(config: &ClientConfig) -> Result<Self, String> {
        Self::from_conf(native_conf(config))
    }

    /// Takes over `conf`.
    ///
    /// # Errors
    ///
    /// As [`NativeProducer::new`], but that `conf` is left alone: before librdkafka 2.13 destroying it is undefined.
    pub fn from_conf(conf: *mut rd_kafka_conf_t) -> Result<Self, String> {
        let mut error = [0; 512];
        // SAFETY: `conf` is valid and handed over; the size is that of `error`.
        let client = unsafe { rd_kafka_new(RDKafkaType::RD_KAFKA_PRODUCER, conf, error.as_mut_ptr(), error.len()) };
        if client.is_null() {
            // SAFETY: librdkafka ends the text with a NUL.
            return Err(unsafe { CStr::from_ptr(error.as_ptr()) }.to_string_lossy().into_owned());
        }
        Ok(Self { client, topics: Mutex::default() })
    }

    /// The client itself.
    pub fn as_ptr(&self) -> *mut rd_kafka_t {
        self.client
    }

    /// Hands a message over; librdkafka's error code.
    pub fn produce(&self, topic: &str, partition: i32, payload: &[u8]) -> i32 {
        let topic = CString::new(topic).unwrap();
        let mut topics = self.topics.lock().unwrap();
        // SAFETY: the client and the name are valid.
        let make = |name: &CString| unsafe { rd_kafka_topic_new(self.client, name.as_ptr(), ptr::null_mut()) };
        let topic = *topics.entry(topic).or_insert_with_key(make);
        drop(topics);
        // SAFETY: the topic is valid, the payload is copied (`RD_KAFKA_MSG_F_COPY`).
        unsafe {
            let result = rd_kafka_produce(
                topic,
                partition,
                RD_KAFKA_MSG_F_COPY,
                payload.as_ptr().cast_mut().cast::<c_void>(),
                payload.len(),
                ptr::null(),
                0,
                ptr::null_mut(),
            );
            if result == 0 { 0 } else { rd_kafka_last_error() as i32 }
        }
    }

    /// Hands a message over whose headers have names of any bytes; librdkafka's error code.
    pub fn produce_with_headers(&self, topic: &str, payload: &[u8], headers: &[(&[u8], Option<&[u8]>)]) -> i32 {
        let topic = CString::new(topic).unwrap();
        // SAFETY: the client, the names and the values are valid for the lengths given; librdkafka copies all of them, and
        // takes the list over if it takes the message.
        unsafe {
            let list = rd_kafka_headers_new(headers.len());
            for (name, value) in headers {
                let bytes = value.map_or(ptr::null(), |value| value.as_ptr().cast());
                let size = value.map_or(0, <[u8]>::len);
                rd_kafka_header_add(list, name.as_ptr().cast(), name.len() as isize, bytes, size as isize);
            }
            let error = rd_kafka_producev(
                self.client,
                rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC,
                topic.as_ptr(),
                rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
                RD_KAFKA_MSG_F_COPY,
                rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
                payload.as_ptr(),
                payload.len(),
                rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
                list,
                rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            ) as i32;
            if error != 0 {
                rd_kafka_headers_destroy(list);
            }
            error
        }
    }

    /// Waits until nothing is in flight; librdkafka's error code.
    pub fn flush(&self, timeout_ms: i32) -> i32 {
        // SAFETY: the client is valid.
        unsafe { rd_kafka_flush(self.client, timeout_ms) as i32 }
    }
}

impl Drop for NativeProducer {
    fn drop(&mut self) {
        // SAFETY: topics and client are valid, and nobody has them any more.
        unsafe {
            for topic in self.topics.get_mut().unwrap().values() {
                rd_kafka_topic_destroy(*topic);
            }
            rd_kafka_destroy(self.client);
        }
    }
}

/// librdkafka's configuration out of `config`, in a C program's order: plugins first.
pub fn native_conf(config: &ClientConfig) -> *mut rd_kafka_conf_t {
    // SAFETY: makes a new one.
    let conf = unsafe { rd_kafka_conf_new() };
    let properties = config.config_map();
    for (name, value) in properties.iter().filter(|(name, _)| **name == "plugin.library.paths") {
        set(conf, name, value);
    }
    for (name, value) in properties.iter().filter(|(name, _)| **name != "plugin.library.paths") {
        set(conf, name, value);
    }
    conf
}

/// Sets one property; panics when librdkafka refuses.
pub fn set(conf: *mut rd_kafka_conf_t, name: &str, value: &str) {
    let (name_text, value) = (CString::new(name).unwrap(), CString::new(value).unwrap());
    let mut error = [0; 512];
    // SAFETY: `conf` is valid, the texts are NUL-terminated, the size is that of `error`.
    let result =
        unsafe { rd_kafka_conf_set(conf, name_text.as_ptr(), value.as_ptr(), error.as_mut_ptr(), error.len()) };
    // SAFETY: librdkafka ends the text with a NUL.
    let error = unsafe { CStr::from_ptr(error.as_ptr()) };
    assert_eq!(result as i32, 0, "{name}: {error:?}");
}
