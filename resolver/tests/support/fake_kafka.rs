//! librdkafka without Kafka: the functions of [`KafkaApi`] over plain memory that never allocates, so that what is
//! counted or measured is ours alone.

#![expect(dead_code, reason = "each of the programs that include this file uses a part of it")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

pub(crate) mod fake_headers;

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::LazyLock;

use fake_headers::{
    FakeHeaders, header_add, header_get, header_get_all, header_get_last, header_remove, headers_new, stand_for,
};
use tracer_resolver::Resolver;
use tracer_resolver::interceptor::{
    Integration, KafkaApi, OnCommit, OnConfDestroy, OnDestroy, OnMessage, OnNew, OnResponseReceived, RdKafka,
    RdKafkaConf, RdKafkaError, RdKafkaHeaders, RdKafkaMessage, RdKafkaTopic, RdKafkaTopicPartition,
    RdKafkaTopicPartitionList, conf_init,
};

/// A client whose callbacks can be called one by one.
pub(crate) struct FakeClient {
    properties: Vec<(CString, CString)>,
    kind: c_int,
    on_new: Cell<Option<(OnNew, *mut c_void)>>,
    on_conf_destroy: Cell<Option<(OnConfDestroy, *mut c_void)>>,
    on_destroy: Cell<Option<(OnDestroy, *mut c_void)>>,
    on_send: Cell<Option<(OnMessage, *mut c_void)>>,
    on_acknowledgement: Cell<Option<(OnMessage, *mut c_void)>>,
    on_consume: Cell<Option<(OnMessage, *mut c_void)>>,
    on_commit: Cell<Option<(OnCommit, *mut c_void)>>,
    on_response_received: Cell<Option<(OnResponseReceived, *mut c_void)>>,
}

/// A message with its headers beside it.
#[repr(C)]
pub(crate) struct FakeMessage {
    raw: RdKafkaMessage,
    headers: RefCell<FakeHeaders>,
    has_headers: Cell<bool>,
    topic: CString,
    /// What `rd_kafka_message_latency` says.
    pub(crate) latency_micros: i64,
    /// What `rd_kafka_message_timestamp` says.
    pub(crate) timestamp_millis: i64,
}

impl FakeClient {
    /// A producer that `resolver` traces.
    pub(crate) fn producer(resolver: &Resolver) -> Box<Self> {
        Self::new(resolver, 0)
    }

    /// A consumer that `resolver` traces, through this integration.
    pub(crate) fn consumer(resolver: &Resolver, integration: Integration) -> Box<Self> {
        Self::in_group(resolver, integration, c"bench-group")
    }

    /// The same, of this group.
    pub(crate) fn in_group(resolver: &Resolver, integration: Integration, group: &CStr) -> Box<Self> {
        Self::with_integration(resolver, 1, integration, group)
    }

    fn new(resolver: &Resolver, kind: c_int) -> Box<Self> {
        Self::with_integration(resolver, kind, Integration::Rust, c"")
    }

    pub(crate) fn with_integration(
        resolver: &Resolver,
        kind: c_int,
        integration: Integration,
        group: &CStr,
    ) -> Box<Self> {
        let properties = [
            (c"client.id", c"bench-client"),
            (c"bootstrap.servers", c"broker-1:9092"),
            (c"message.max.bytes", c"1000000"),
            (c"queue.buffering.max.messages", c"100000"),
            (c"enable.auto.commit", c"false"),
            (c"group.id", group),
        ];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let client = Box::new(Self {
            properties,
            kind,
            on_new: Cell::default(),
            on_conf_destroy: Cell::default(),
            on_destroy: Cell::default(),
            on_send: Cell::default(),
            on_acknowledgement: Cell::default(),
            on_consume: Cell::default(),
            on_commit: Cell::default(),
            on_response_received: Cell::default(),
        });
        let pointer = std::ptr::from_ref(&*client).cast_mut();
        // SAFETY: the table's functions take the configuration and the client for this very struct, which is boxed.
        unsafe {
            conf_init(&API, pointer.cast(), resolver, None, integration);
        }
        client.create();
        client
    }

    /// `rd_kafka_new()`: done already, and then once more with the same configuration.
    pub(crate) fn create(&self) {
        self.create_at(self);
    }

    /// The same, which gives a client at another address: that of `other`.
    pub(crate) fn create_at(&self, other: &Self) {
        let (rk, conf) = (std::ptr::from_ref(other).cast_mut(), std::ptr::from_ref(self).cast_mut());
        if let Some((on_new, opaque)) = self.on_new.get() {
            // SAFETY: as librdkafka calls it, with the opaque that was registered.
            unsafe { on_new(rk.cast(), conf.cast(), opaque, null_mut(), 0) };
        }
    }

    /// The end of an `rd_kafka_new()` that fails: the client goes, and the configuration stays.
    pub(crate) fn fail(&self) {
        if let Some((on_destroy, opaque)) = self.on_destroy.get() {
            // SAFETY: as above.
            unsafe { on_destroy(std::ptr::from_ref(self).cast_mut().cast(), opaque) };
        }
    }

    /// `rd_kafka_produce()` up to the partitioner.
    pub(crate) fn send(&self, message: &FakeMessage) {
        call(&self.on_send, message);
    }

    /// The broker's answer.
    pub(crate) fn acknowledge(&self, message: &FakeMessage) {
        call(&self.on_acknowledgement, message);
    }

    /// The delivery to the application.
    pub(crate) fn consume(&self, message: &FakeMessage) {
        call(&self.on_consume, message);
    }

    /// The broker's answer to a request of this kind, which it got so long ago: told when it comes, and when it is dealt
    /// with.
    pub(crate) fn respond(&self, api_key: i16, rtt_micros: i64) {
        for (callback, opaque) in self.on_response_received.get().into_iter().cycle().take(2) {
            // SAFETY: the client outlives the call.
            unsafe { callback(null_mut(), 0, null_mut(), 1, api_key, 7, 1, 100, rtt_micros, 0, opaque) };
        }
    }

    /// `rd_kafka_commit()` of one partition has ended.
    pub(crate) fn commit(&self, topic: &CStr, partition: i32, offset: i64, err: i32) {
        self.commit_all(&[(topic, partition, offset, 0)], err);
    }

    /// `rd_kafka_commit()` of several partitions has ended, each with an error of its own.
    pub(crate) fn commit_all(&self, partitions: &[(&CStr, i32, i64, i32)], err: i32) {
        with_list(partitions, |list| {
            if let Some((callback, opaque)) = self.on_commit.get() {
                // SAFETY: client and list outlive the call.
                unsafe { callback(null_mut(), list, err, opaque) };
            }
        });
    }

    /// The configuration is never destroyed.
    pub(crate) fn keep_configuration(&self) {
        self.on_destroy.take();
        self.on_conf_destroy.take();
    }

    /// `rd_kafka_destroy()`, as often as it is called; so does the drop.
    pub(crate) fn destroy(&self) {
        // SAFETY: the order of librdkafka, with the opaques that were registered.
        unsafe {
            if let Some((on_destroy, opaque)) = self.on_destroy.get() {
                on_destroy(std::ptr::from_ref(self).cast_mut().cast(), opaque);
            }
            if let Some((on_conf_destroy, opaque)) = self.on_conf_destroy.get() {
                on_conf_destroy(opaque);
            }
        }
    }

    /// Whether the interceptors were registered.
    pub(crate) fn is_traced(&self) -> bool {
        self.on_new.get().is_some()
    }
}

impl Drop for FakeClient {
    fn drop(&mut self) {
        self.destroy();
    }
}

/// Runs `body` on a thread that has sent nothing, as a broker's has not.
pub(crate) fn on_a_brokers_thread(body: impl FnOnce()) {
    struct Sent<T>(T);
    // SAFETY: this thread does nothing until that one has ended.
    unsafe impl<T> Send for Sent<T> {}
    let body = Sent(body);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let whole = body;
            (whole.0)();
        });
    });
}

/// Lends a list of these partitions, each with an offset and an error.
pub(crate) fn with_list<T>(
    partitions: &[(&CStr, i32, i64, i32)],
    use_it: impl FnOnce(*const RdKafkaTopicPartitionList) -> T,
) -> T {
    let element = |&(topic, partition, offset, err): &(&CStr, i32, i64, i32)| RdKafkaTopicPartition {
        topic: topic.as_ptr().cast_mut(),
        partition,
        offset,
        metadata: null_mut(),
        metadata_size: 0,
        opaque: null_mut(),
        err,
        private: null_mut(),
    };
    let mut elements: Vec<_> = partitions.iter().map(element).collect();
    let count = elements.len() as i32;
    let list = RdKafkaTopicPartitionList { cnt: count, size: count, elems: elements.as_mut_ptr() };
    use_it(&raw const list)
}

fn call(callback: &Cell<Option<(OnMessage, *mut c_void)>>, message: &FakeMessage) {
    if let Some((callback, opaque)) = callback.get() {
        // SAFETY: the message outlives the call, and begins with librdkafka's own struct.
        unsafe { callback(null_mut(), std::ptr::from_ref(message).cast_mut().cast(), opaque) };
    }
}

impl FakeMessage {
    /// A message of `topic` without headers.
    pub(crate) fn new(topic: &str) -> Box<Self> {
        let mut message = Box::new(Self {
            raw: RdKafkaMessage {
                err: 0,
                rkt: null_mut(),
                partition: 3,
                payload: null_mut(),
                len: 100,
                key: null_mut(),
                key_len: 8,
                offset: 12_345,
                private: null_mut(),
            },
            headers: RefCell::default(),
            has_headers: Cell::new(false),
            topic: CString::new(topic).unwrap(),
            latency_micros: 250,
            timestamp_millis: 1_700_000_000_000,
        });
        message.raw.payload = message.topic.as_ptr().cast_mut().cast();
        message.raw.rkt = std::ptr::from_ref(&message.topic).cast_mut().cast();
        message
    }

    /// Makes it one of the topic behind this handle, which outlives it.
    pub(crate) fn set_topic(&mut self, topic: &CString) {
        self.raw.rkt = std::ptr::from_ref(topic).cast_mut().cast();
    }

    /// Takes the topic away, as in a message that librdkafka did not make.
    pub(crate) fn lose_topic(&mut self) {
        self.raw.rkt = null_mut();
    }

    /// Forgets all headers.
    pub(crate) fn clear(&self) {
        self.has_headers.set(false);
        self.headers.borrow_mut().clear();
    }

    /// Gives the message a key and a value of so many bytes together.
    pub(crate) fn resize(&mut self, bytes: usize) {
        (self.raw.len, self.raw.key_len) = (bytes, 0);
    }

    /// Gives the message this key.
    pub(crate) fn set_key(&mut self, key: &'static [u8]) {
        (self.raw.key, self.raw.key_len) = (key.as_ptr().cast_mut().cast(), key.len());
    }

    /// Sets the error and the place in the log.
    pub(crate) fn place(&mut self, err: i32, partition: i32, offset: i64) {
        (self.raw.err, self.raw.partition, self.raw.offset) = (err, partition, offset);
    }

    /// Appends a header as the application would.
    pub(crate) fn add_header(&self, name: &CStr, value: &[u8]) {
        self.has_headers.set(true);
        self.headers.borrow_mut().add(name.to_bytes(), Some(value));
    }

    /// Appends a header whose name is as long as it is given, NULs and all.
    pub(crate) fn add_raw_header(&self, name: &[u8], value: Option<&[u8]>) {
        self.has_headers.set(true);
        self.headers.borrow_mut().add(name, value);
    }

    /// The names of all headers, in order.
    pub(crate) fn header_names(&self) -> Vec<Vec<u8>> {
        self.headers.borrow().iter().map(|(name, _)| name.to_vec()).collect()
    }

    /// Whether the application finds a header of this name.
    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.borrow().iter().any(|(known, _)| known == name.as_bytes())
    }

    /// The last header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<Vec<u8>> {
        let headers = self.headers.borrow();
        let (_, value) = headers.iter().rfind(|(known, _)| *known == name.as_bytes())?;
        value.map(<[u8]>::to_vec)
    }
}

// The rest are the functions of the table. SAFETY, for each: called by the engine only, with pointers that came from the
// structs above, while these live.

static API: LazyLock<KafkaApi> = LazyLock::new(|| KafkaApi {
    conf_interceptor_add_on_new,
    conf_interceptor_add_on_conf_destroy,
    interceptor_add_on_destroy,
    interceptor_add_on_send,
    interceptor_add_on_acknowledgement,
    interceptor_add_on_consume,
    client_type,
    conf_get,
    topic_name,
    message_headers,
    message_set_headers,
    message_latency,
    message_timestamp,
    headers_new,
    header_add,
    header_remove,
    header_get_last,
    header_get: Some(header_get),
    header_get_all,
    err2name,
    interceptor_add_on_commit: Some(interceptor_add_on_commit),
    interceptor_add_on_response_received: Some(interceptor_add_on_response_received),
});

const NOENT: RdKafkaError = -156;

unsafe extern "C" fn conf_interceptor_add_on_new(
    conf: *mut RdKafkaConf,
    _name: *const c_char,
    on_new: OnNew,
    opaque: *mut c_void,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe { &*conf.cast::<FakeClient>() }.on_new.set(Some((on_new, opaque)));
    0
}

unsafe extern "C" fn conf_interceptor_add_on_conf_destroy(
    conf: *mut RdKafkaConf,
    _name: *const c_char,
    on_conf_destroy: OnConfDestroy,
    opaque: *mut c_void,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe { &*conf.cast::<FakeClient>() }.on_conf_destroy.set(Some((on_conf_destroy, opaque)));
    0
}

unsafe extern "C" fn interceptor_add_on_commit(
    rk: *mut RdKafka,
    _name: *const c_char,
    on_commit: OnCommit,
    opaque: *mut c_void,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe { &*rk.cast::<FakeClient>() }.on_commit.set(Some((on_commit, opaque)));
    0
}

unsafe extern "C" fn interceptor_add_on_response_received(
    rk: *mut RdKafka,
    _name: *const c_char,
    on_response_received: OnResponseReceived,
    opaque: *mut c_void,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe { &*rk.cast::<FakeClient>() }.on_response_received.set(Some((on_response_received, opaque)));
    0
}

unsafe extern "C" fn interceptor_add_on_destroy(
    rk: *mut RdKafka,
    _name: *const c_char,
    on_destroy: OnDestroy,
    opaque: *mut c_void,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe { &*rk.cast::<FakeClient>() }.on_destroy.set(Some((on_destroy, opaque)));
    0
}

unsafe extern "C" fn interceptor_add_on_send(
    rk: *mut RdKafka,
    _name: *const c_char,
    callback: OnMessage,
    opaque: *mut c_void,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe { &*rk.cast::<FakeClient>() }.on_send.set(Some((callback, opaque)));
    0
}

unsafe extern "C" fn interceptor_add_on_acknowledgement(
    rk: *mut RdKafka,
    _name: *const c_char,
    callback: OnMessage,
    opaque: *mut c_void,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe { &*rk.cast::<FakeClient>() }.on_acknowledgement.set(Some((callback, opaque)));
    0
}

unsafe extern "C" fn interceptor_add_on_consume(
    rk: *mut RdKafka,
    _name: *const c_char,
    callback: OnMessage,
    opaque: *mut c_void,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe { &*rk.cast::<FakeClient>() }.on_consume.set(Some((callback, opaque)));
    0
}

unsafe extern "C" fn client_type(rk: *const RdKafka) -> c_int {
    // SAFETY: see above.
    unsafe { &*rk.cast::<FakeClient>() }.kind
}

unsafe extern "C" fn conf_get(
    conf: *const RdKafkaConf,
    name: *const c_char,
    value: *mut c_char,
    size: *mut usize,
) -> c_int {
    // SAFETY: see above; `size` is the room at `value`.
    unsafe {
        let (client, name) = (&*conf.cast::<FakeClient>(), CStr::from_ptr(name));
        let Some((_, found)) = client.properties.iter().find(|(known, _)| known.as_c_str() == name) else { return -2 };
        let found = found.as_bytes_with_nul();
        std::ptr::copy_nonoverlapping(found.as_ptr().cast(), value, found.len().min(*size));
        *size = found.len();
    }
    0
}

unsafe extern "C" fn topic_name(topic: *const RdKafkaTopic) -> *const c_char {
    // SAFETY: see above.
    unsafe { &*topic.cast::<CString>() }.as_ptr()
}

unsafe extern "C" fn message_headers(
    message: *const RdKafkaMessage,
    headers: *mut *mut RdKafkaHeaders,
) -> RdKafkaError {
    // SAFETY: see above.
    unsafe {
        let message = &*message.cast::<FakeMessage>();
        if !message.has_headers.get() {
            return NOENT;
        }
        *headers = std::ptr::from_ref(&message.headers).cast_mut().cast();
    }
    0
}

/// The message's own list is used: what was made by `headers_new` is empty still.
unsafe extern "C" fn message_set_headers(message: *mut RdKafkaMessage, _headers: *mut RdKafkaHeaders) {
    // SAFETY: see above.
    let message = unsafe { &*message.cast::<FakeMessage>() };
    message.has_headers.set(true);
    message.headers.borrow_mut().clear();
    stand_for(&message.headers);
}

unsafe extern "C" fn message_latency(message: *const RdKafkaMessage) -> i64 {
    // SAFETY: see above.
    unsafe { &*message.cast::<FakeMessage>() }.latency_micros
}

unsafe extern "C" fn message_timestamp(message: *const RdKafkaMessage, kind: *mut c_int) -> i64 {
    // SAFETY: see above.
    unsafe {
        *kind = 1;
        (*message.cast::<FakeMessage>()).timestamp_millis
    }
}

unsafe extern "C" fn err2name(_code: RdKafkaError) -> *const c_char {
    c"_FAKE".as_ptr()
}
