//! The functions of librdkafka that are used here, by name.

use std::ffi::{CStr, c_int, c_void};

use tracer_resolver::interceptor::{KafkaApi, RdKafkaConf};

/// All that is looked up in one librdkafka.
#[derive(Debug)]
pub(super) struct Functions {
    /// The engine's table, or the names that are missing for it.
    pub(super) engine: Result<KafkaApi, Vec<&'static CStr>>,
    pub(super) own: Own,
}

/// Turns names into [`NAMES`] and a `Functions::new` that takes their addresses in that order.
///
/// `engine`: without one of them there is no tracing. `optional`: `None` for one that is not there. `own`: what
/// the library itself calls.
macro_rules! functions {
    (
        engine { $($field:ident = $function:ident,)* }
        optional { $($optional:ident = $optional_function:ident,)* }
        own { $($(#[$doc:meta])* $own:ident = $own_function:ident: $own_type:ty,)* }
    ) => {
        /// What [`Functions::new`] is given the addresses of, in this order.
        pub(super) const NAMES: [&CStr; [$(stringify!($function),)* $(stringify!($optional_function),)* $(stringify!($own_function),)*].len()] = [
            $(name(concat!(stringify!($function), "\0")),)*
            $(name(concat!(stringify!($optional_function), "\0")),)*
            $(name(concat!(stringify!($own_function), "\0")),)*
        ];

        /// What this library itself calls; `None` for what this librdkafka has not.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Own {
            $($(#[$doc])* pub(crate) $own: Option<$own_type>,)*
        }

        impl Functions {
            /// `addresses` of [`NAMES`], in their order.
            #[expect(clippy::missing_transmute_annotations, reason = "the fields of the table are the annotations")]
            pub(super) fn new(addresses: &[Option<usize>]) -> Self {
                let mut rest = addresses.iter().copied();
                let mut next = move || rest.next().flatten();
                let mut missing = Vec::new();
                $(let $field = next();
                if $field.is_none() {
                    missing.push(name(concat!(stringify!($function), "\0")));
                })*
                $(let $optional = next();)*
                let own = Own { $($own: next().map(|address| {
                    // SAFETY: the address of that function, under the declaration that `rdkafka.h` has of it.
                    unsafe { std::mem::transmute::<*const c_void, $own_type>(std::ptr::with_exposed_provenance(address)) }
                }),)* };
                let engine = (|| Some(KafkaApi {
                    // SAFETY: as above; the fields of the table have the types.
                    $($field: unsafe {
                        std::mem::transmute::<*const c_void, _>(std::ptr::with_exposed_provenance($field?))
                    },)*
                    // SAFETY: as above.
                    $($optional: $optional.map(|address| unsafe {
                        std::mem::transmute::<*const c_void, _>(std::ptr::with_exposed_provenance(address))
                    }),)*
                }))();
                Self { engine: engine.ok_or(missing), own }
            }
        }
    };
}

functions! {
    engine {
        conf_interceptor_add_on_new = rd_kafka_conf_interceptor_add_on_new,
        conf_interceptor_add_on_conf_destroy = rd_kafka_conf_interceptor_add_on_conf_destroy,
        interceptor_add_on_destroy = rd_kafka_interceptor_add_on_destroy,
        interceptor_add_on_send = rd_kafka_interceptor_add_on_send,
        interceptor_add_on_acknowledgement = rd_kafka_interceptor_add_on_acknowledgement,
        interceptor_add_on_consume = rd_kafka_interceptor_add_on_consume,
        client_type = rd_kafka_type,
        conf_get = rd_kafka_conf_get,
        topic_name = rd_kafka_topic_name,
        message_headers = rd_kafka_message_headers,
        message_set_headers = rd_kafka_message_set_headers,
        message_latency = rd_kafka_message_latency,
        message_timestamp = rd_kafka_message_timestamp,
        headers_new = rd_kafka_headers_new,
        header_add = rd_kafka_header_add,
        header_remove = rd_kafka_header_remove,
        header_get_last = rd_kafka_header_get_last,
        header_get_all = rd_kafka_header_get_all,
        err2name = rd_kafka_err2name,
    }
    optional {
        header_get = rd_kafka_header_get,
        interceptor_add_on_commit = rd_kafka_interceptor_add_on_commit,
        interceptor_add_on_response_received = rd_kafka_interceptor_add_on_response_received,
    }
    own {
        conf_new = rd_kafka_conf_new: unsafe extern "C" fn() -> *mut RdKafkaConf,
        conf_dup = rd_kafka_conf_dup: unsafe extern "C" fn(*const RdKafkaConf) -> *mut RdKafkaConf,
        conf_destroy = rd_kafka_conf_destroy: unsafe extern "C" fn(*mut RdKafkaConf),
        /// `0xMMmmrrxx`.
        version = rd_kafka_version: unsafe extern "C" fn() -> c_int,
        last_error = rd_kafka_last_error: unsafe extern "C" fn() -> c_int,
        error_code = rd_kafka_error_code: unsafe extern "C" fn(*const c_void) -> c_int,
        group_metadata_write = rd_kafka_consumer_group_metadata_write:
            unsafe extern "C" fn(*const c_void, *mut *mut c_void, *mut usize) -> *mut c_void,
        mem_free = rd_kafka_mem_free: unsafe extern "C" fn(*mut c_void, *mut c_void),
    }
}

/// A literal that ends in NUL, as C's text.
const fn name(literal: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(literal.as_bytes()) {
        Ok(name) => name,
        Err(_) => c"",
    }
}
