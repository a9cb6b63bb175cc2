//! The application sends a consumer's offsets along with a transaction: the engine is told, and the rest is librdkafka's.

use std::ffi::{c_int, c_void};
use std::ptr;

use tracer_resolver::interceptor::{RdKafka, RdKafkaError, RdKafkaTopicPartitionList, sending_offsets};

use super::real;
use crate::caller::entry;
use crate::librdkafka::Own;

/// `rd_kafka_consumer_group_metadata_t`, opaque.
#[repr(C)]
#[derive(Debug)]
pub struct RdKafkaGroupMetadata {
    _private: [u8; 0],
}

/// `rd_kafka_error_t`, opaque.
#[repr(C)]
#[derive(Debug)]
pub struct RdKafkaErrorObject {
    _private: [u8; 0],
}

entry! {
    /// Sends a consumer's offsets along with a transaction.
    ///
    /// Where no librdkafka has such a function the process ends, as the dynamic linker would have ended it without us: null
    /// would say that the offsets were sent.
    ///
    /// # Safety
    ///
    /// As the function of this name in rdkafka.h.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    pub extern "C-unwind" fn rd_kafka_send_offsets_to_transaction / rd_kafka_send_offsets_to_transaction_from(
        rk: *mut RdKafka, offsets: *const RdKafkaTopicPartitionList, group: *const RdKafkaGroupMetadata, timeout_ms: c_int;
        caller
    ) -> *mut RdKafkaErrorObject {
        let Some(address) = real::reached(c"rd_kafka_send_offsets_to_transaction", caller) else { std::process::abort() };
        let _calling = real::calling(address);
        // SAFETY: the address of that function, under the declaration that `rdkafka.h` has of it.
        let send = unsafe { std::mem::transmute::<*const (), Send>(ptr::with_exposed_provenance(address)) };
        let own = || real::librdkafka(caller).map(|librdkafka| librdkafka.own());
        // SAFETY: the caller's own arguments, which it lends until this returns.
        unsafe {
            sending_offsets(
                offsets,
                || group_id(own()?, group),
                || send(rk, offsets, group, timeout_ms),
                |error| code_of(own(), *error),
            )
        }
    }
}

type Send = unsafe extern "C-unwind" fn(
    *mut RdKafka,
    *const RdKafkaTopicPartitionList,
    *const RdKafkaGroupMetadata,
    c_int,
) -> *mut RdKafkaErrorObject;

/// `RD_KAFKA_RESP_ERR__FAIL`.
const FAIL: RdKafkaError = -196;

/// # Safety
///
/// `error` is null, or an error of this librdkafka that lives.
unsafe fn code_of(own: Option<&Own>, error: *const RdKafkaErrorObject) -> RdKafkaError {
    if error.is_null() {
        return 0;
    }
    // SAFETY: as promised by the caller.
    own.and_then(|own| own.error_code).map_or(FAIL, |code| unsafe { code(error.cast()) })
}

/// The group's name, out of the form in which a client of another language carries the metadata along.
///
/// # Safety
///
/// `group` is null, or metadata of this librdkafka that lives.
unsafe fn group_id(own: &Own, group: *const RdKafkaGroupMetadata) -> Option<Vec<u8>> {
    let (write, free) = (own.group_metadata_write?, own.mem_free?);
    if group.is_null() {
        return None;
    }
    let (mut buffer, mut size) = (ptr::null_mut::<c_void>(), 0_usize);
    // SAFETY: as promised by the caller; the result is written to the two.
    let error = unsafe { write(group.cast(), &raw mut buffer, &raw mut size) };
    if !error.is_null() || buffer.is_null() {
        // It cannot fail, says its source; what it would have made is not freed then.
        return None;
    }
    // SAFETY: as many bytes as it says, ours until they are freed below.
    let written = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), size) };
    let id = id_in(written).map(<[u8]>::to_vec);
    // SAFETY: allocated by that librdkafka, which wants no client for it.
    unsafe { free(ptr::null_mut(), buffer) };
    id
}

/// `rd_kafka_consumer_group_metadata_write` in rdkafka_cgrp.c: a mark, since version 2 the generation, the group's name.
fn id_in(written: &[u8]) -> Option<&[u8]> {
    let rest = written.strip_prefix(b"CGMDv2:").and_then(|rest| rest.get(size_of::<i32>()..));
    let rest = rest.or_else(|| written.strip_prefix(b"CGMDv1:"))?;
    rest.split(|byte| *byte == 0).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_read_out_of_both_forms_and_of_no_other() {
        assert_eq!(id_in(b"CGMDv2:\0\0\0\x07readers\0member\0\x01"), Some(&b"readers"[..]));
        assert_eq!(id_in(b"CGMDv2:\0\0\0\0\0\0\x01"), Some(&b""[..]));
        assert_eq!(id_in(b"CGMDv1:readers\0"), Some(&b"readers"[..]));
        assert_eq!(id_in(b"CGMDv2:\0"), None);
        assert_eq!(id_in(b"CGMDv3:readers\0"), None);
        assert_eq!(id_in(b""), None);
    }
}
