//! The functions of librdkafka that the engine uses, as a table.
//!
//! The engine links no librdkafka: an integration fills the table, from `rdkafka-sys` or from the librdkafka that called it, so
//! that the process never gets a second copy and the engine can be tested without any. Names, signatures and layouts
//! follow `rdkafka.h`; they have been stable since librdkafka 1.0.

use std::ffi::{c_char, c_int, c_void};

/// `rd_kafka_t`, opaque.
#[repr(C)]
pub struct RdKafka {
    _private: [u8; 0],
}

/// `rd_kafka_conf_t`, opaque.
#[repr(C)]
pub struct RdKafkaConf {
    _private: [u8; 0],
}

/// `rd_kafka_topic_t`, opaque.
#[repr(C)]
pub struct RdKafkaTopic {
    _private: [u8; 0],
}

/// `rd_kafka_headers_t`, opaque.
#[repr(C)]
pub struct RdKafkaHeaders {
    _private: [u8; 0],
}

/// `rd_kafka_message_t`: public and frozen by librdkafka's ABI.
#[repr(C)]
#[derive(Debug)]
pub struct RdKafkaMessage {
    /// Non-zero: an error.
    pub err: i32,
    /// Null in messages that librdkafka did not make itself.
    pub rkt: *mut RdKafkaTopic,
    /// -1: not assigned yet.
    pub partition: i32,
    /// The value; null for a tombstone.
    pub payload: *mut c_void,
    /// Bytes of the value.
    pub len: usize,
    /// The key; null without one.
    pub key: *mut c_void,
    /// Bytes of the key.
    pub key_len: usize,
    /// Negative: not known.
    pub offset: i64,
    /// The application's or librdkafka's own; never touched here.
    pub private: *mut c_void,
}

/// `rd_kafka_resp_err_t`; 0 is `RD_KAFKA_RESP_ERR_NO_ERROR`.
pub type RdKafkaError = i32;

/// `rd_kafka_interceptor_f_on_new_t`.
pub type OnNew = unsafe extern "C" fn(
    rk: *mut RdKafka,
    conf: *const RdKafkaConf,
    opaque: *mut c_void,
    errstr: *mut c_char,
    errstr_size: usize,
) -> RdKafkaError;
/// `rd_kafka_interceptor_f_on_destroy_t`.
pub type OnDestroy = unsafe extern "C" fn(rk: *mut RdKafka, opaque: *mut c_void) -> RdKafkaError;
/// `rd_kafka_interceptor_f_on_conf_destroy_t`.
pub type OnConfDestroy = unsafe extern "C" fn(opaque: *mut c_void) -> RdKafkaError;
/// `rd_kafka_interceptor_f_on_send_t`, `…_on_acknowledgement_t` and `…_on_consume_t`.
pub type OnMessage =
    unsafe extern "C" fn(rk: *mut RdKafka, message: *mut RdKafkaMessage, opaque: *mut c_void) -> RdKafkaError;

/// `rd_kafka_topic_partition_t`: public and frozen by librdkafka's ABI.
#[repr(C)]
#[derive(Debug)]
pub struct RdKafkaTopicPartition {
    /// NUL-terminated.
    pub topic: *mut c_char,
    /// The partition.
    pub partition: i32,
    /// What it is the offset of, the context says.
    pub offset: i64,
    /// The application's; never touched here.
    pub metadata: *mut c_void,
    /// Bytes of `metadata`.
    pub metadata_size: usize,
    /// The application's; never touched here.
    pub opaque: *mut c_void,
    /// Non-zero: an error of this partition.
    pub err: i32,
    /// librdkafka's own; never touched here.
    pub private: *mut c_void,
}

/// `rd_kafka_topic_partition_list_t`: public and frozen by librdkafka's ABI.
#[repr(C)]
#[derive(Debug)]
pub struct RdKafkaTopicPartitionList {
    /// Elements.
    pub cnt: c_int,
    /// Elements that there is room for.
    pub size: c_int,
    /// The elements.
    pub elems: *mut RdKafkaTopicPartition,
}

/// `rd_kafka_interceptor_f_on_commit_t`.
pub type OnCommit = unsafe extern "C" fn(
    rk: *mut RdKafka,
    offsets: *const RdKafkaTopicPartitionList,
    err: RdKafkaError,
    opaque: *mut c_void,
) -> RdKafkaError;
/// `rd_kafka_interceptor_f_on_response_received_t`; `rtt` in microseconds, or -1.
pub type OnResponseReceived = unsafe extern "C" fn(
    rk: *mut RdKafka,
    sockfd: c_int,
    brokername: *const c_char,
    brokerid: i32,
    api_key: i16,
    api_version: i16,
    corr_id: i32,
    size: usize,
    rtt: i64,
    err: RdKafkaError,
    opaque: *mut c_void,
) -> RdKafkaError;

/// `rd_kafka_err2name`: takes any number, and gives a string that is there for ever.
pub type Err2Name = unsafe extern "C" fn(RdKafkaError) -> *const c_char;

/// The table. Every function must come from the one librdkafka whose clients are intercepted.
#[derive(Clone, Copy, Debug)]
pub struct KafkaApi {
    /// `rd_kafka_conf_interceptor_add_on_new`
    pub conf_interceptor_add_on_new:
        unsafe extern "C" fn(*mut RdKafkaConf, *const c_char, OnNew, *mut c_void) -> RdKafkaError,
    /// `rd_kafka_conf_interceptor_add_on_conf_destroy`
    pub conf_interceptor_add_on_conf_destroy:
        unsafe extern "C" fn(*mut RdKafkaConf, *const c_char, OnConfDestroy, *mut c_void) -> RdKafkaError,
    /// `rd_kafka_interceptor_add_on_destroy`
    pub interceptor_add_on_destroy:
        unsafe extern "C" fn(*mut RdKafka, *const c_char, OnDestroy, *mut c_void) -> RdKafkaError,
    /// `rd_kafka_interceptor_add_on_send`
    pub interceptor_add_on_send:
        unsafe extern "C" fn(*mut RdKafka, *const c_char, OnMessage, *mut c_void) -> RdKafkaError,
    /// `rd_kafka_interceptor_add_on_acknowledgement`
    pub interceptor_add_on_acknowledgement:
        unsafe extern "C" fn(*mut RdKafka, *const c_char, OnMessage, *mut c_void) -> RdKafkaError,
    /// `rd_kafka_interceptor_add_on_consume`
    pub interceptor_add_on_consume:
        unsafe extern "C" fn(*mut RdKafka, *const c_char, OnMessage, *mut c_void) -> RdKafkaError,
    /// `rd_kafka_type`: 0 for a producer, 1 for a consumer.
    pub client_type: unsafe extern "C" fn(*const RdKafka) -> c_int,
    /// `rd_kafka_conf_get`
    pub conf_get: unsafe extern "C" fn(*const RdKafkaConf, *const c_char, *mut c_char, *mut usize) -> c_int,
    /// `rd_kafka_topic_name`
    pub topic_name: unsafe extern "C" fn(*const RdKafkaTopic) -> *const c_char,
    /// `rd_kafka_message_headers`
    pub message_headers: unsafe extern "C" fn(*const RdKafkaMessage, *mut *mut RdKafkaHeaders) -> RdKafkaError,
    /// `rd_kafka_message_set_headers`
    pub message_set_headers: unsafe extern "C" fn(*mut RdKafkaMessage, *mut RdKafkaHeaders),
    /// `rd_kafka_message_latency`, microseconds.
    pub message_latency: unsafe extern "C" fn(*const RdKafkaMessage) -> i64,
    /// `rd_kafka_message_timestamp`, milliseconds.
    pub message_timestamp: unsafe extern "C" fn(*const RdKafkaMessage, *mut c_int) -> i64,
    /// `rd_kafka_headers_new`
    pub headers_new: unsafe extern "C" fn(usize) -> *mut RdKafkaHeaders,
    /// `rd_kafka_header_add`; lengths of -1 mean NUL-terminated.
    pub header_add:
        unsafe extern "C" fn(*mut RdKafkaHeaders, *const c_char, isize, *const c_void, isize) -> RdKafkaError,
    /// `rd_kafka_header_remove`
    pub header_remove: unsafe extern "C" fn(*mut RdKafkaHeaders, *const c_char) -> RdKafkaError,
    /// `rd_kafka_header_get_last`
    pub header_get_last:
        unsafe extern "C" fn(*const RdKafkaHeaders, *const c_char, *mut *const c_void, *mut usize) -> RdKafkaError,
    /// `rd_kafka_header_get`: of the headers of this name, and of exactly its length, the one with this number. Without it
    /// a message with headers that have no value is sent without ours.
    pub header_get: Option<
        unsafe extern "C" fn(
            *const RdKafkaHeaders,
            usize,
            *const c_char,
            *mut *const c_void,
            *mut usize,
        ) -> RdKafkaError,
    >,
    /// `rd_kafka_header_get_all`: header number `index`, whatever its name.
    pub header_get_all: unsafe extern "C" fn(
        *const RdKafkaHeaders,
        usize,
        *mut *const c_char,
        *mut *const c_void,
        *mut usize,
    ) -> RdKafkaError,
    /// `rd_kafka_err2name`
    pub err2name: Err2Name,
    /// `rd_kafka_interceptor_add_on_commit`; without it no commit ends a processing, or has a span.
    pub interceptor_add_on_commit:
        Option<unsafe extern "C" fn(*mut RdKafka, *const c_char, OnCommit, *mut c_void) -> RdKafkaError>,
    /// `rd_kafka_interceptor_add_on_response_received`, since librdkafka 1.7; without it a commit's span is a point, and
    /// the messages of a batch that was refused for its size are taken for one batch each.
    pub interceptor_add_on_response_received:
        Option<unsafe extern "C" fn(*mut RdKafka, *const c_char, OnResponseReceived, *mut c_void) -> RdKafkaError>,
}
