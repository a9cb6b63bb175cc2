//! Null pointers, short structs and bad arguments are errors, not crashes.

use std::ptr;

use tracer_plugin_api::abi::*;

use crate::moody::*;

#[test]
fn an_error_struct_shorter_than_ours_gets_what_fits() {
    let instance = Instance::create("retry");
    let mut error = tracer_error { struct_size: 12, rejected_items: 99, ..tracer_error::new() };
    error.message[0] = b'?';
    assert_eq!(instance.export_42(&mut error), TRACER_ERR_RETRYABLE);
    assert_eq!((error.code, error.retry_after_ms, error.rejected_items), (TRACER_ERR_RETRYABLE, 2, 99));
    assert_eq!(error.message[0], b'?');
    instance.destroy();
}

#[test]
fn no_error_struct_at_all_is_fine() {
    let instance = Instance::create("long");
    assert_eq!(instance.export_42(ptr::null_mut()), TRACER_ERR_PERMANENT);
    instance.destroy();
}

#[test]
fn null_pointers_from_the_host_are_errors_of_the_hosts() {
    let mut error = tracer_error::new();
    let mut out = ptr::null_mut();
    // SAFETY: nulls are what is tested; everything else outlives its call.
    unsafe {
        assert_eq!(PLUGIN.create.unwrap()(ptr::null(), &mut out, &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.export_batch.unwrap()(ptr::null_mut(), &batch(1), 1, &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.flush.unwrap()(ptr::null_mut(), &tracer_call::within(1), &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.shutdown.unwrap()(ptr::null_mut(), &tracer_call::within(1), &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.stats.unwrap()(ptr::null(), &mut tracer_stats::new()), TRACER_ERR_INTERNAL);
        PLUGIN.destroy.unwrap()(ptr::null_mut());
    }
    assert_eq!(text(&error.message), "the host broke the contract: the instance is a null pointer");

    let instance = Instance::create("{}");
    // SAFETY: as above.
    unsafe {
        assert_eq!(PLUGIN.export_batch.unwrap()(instance.raw, ptr::null(), 1, &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.stats.unwrap()(instance.raw, ptr::null_mut()), TRACER_ERR_INTERNAL);
    }
    instance.destroy();
}

#[test]
fn a_host_without_functions_or_without_itself_is_tolerated() {
    let mut error = tracer_error::new();
    for host in [ptr::null(), ptr::from_ref(&silent_host())] {
        let mut out = ptr::null_mut();
        let args = tracer_create_args { host, ..create_args("{}") };
        // SAFETY: everything outlives its call.
        unsafe {
            assert_eq!(PLUGIN.create.unwrap()(&args, &mut out, &mut error), TRACER_OK);
            PLUGIN.destroy.unwrap()(out);
        }
    }
}

fn settings(ptr: *const u8, len: usize) -> tracer_validate_args {
    tracer_validate_args::new(tracer_str { ptr, len }, 1000)
}

#[test]
fn an_absent_configuration_is_an_empty_object() {
    let mut error = tracer_error::new();
    // SAFETY: both arguments outlive the call; null with length 0 is empty text.
    let code = unsafe { PLUGIN.validate.unwrap()(&settings(ptr::null(), 0), &mut error) };
    assert_eq!(code, TRACER_OK, "{}", text(&error.message));
}

#[test]
fn a_configuration_that_is_not_utf8_is_an_error_of_the_configuration() {
    let mut error = tracer_error::new();
    let bytes = [0xff, 0xfe];
    // SAFETY: both arguments outlive the call.
    let code = unsafe { PLUGIN.validate.unwrap()(&settings(bytes.as_ptr(), 2), &mut error) };
    assert_eq!((code, text(&error.message)), (TRACER_ERR_CONFIG, "the configuration is not UTF-8"));
}

#[test]
fn fields_beyond_struct_size_are_not_read() {
    let mut error = tracer_error::new();
    let mut out = ptr::null_mut();
    // The texts lie beyond struct_size and would crash if they were followed.
    let wild = tracer_str { ptr: ptr::without_provenance(1), len: usize::MAX / 2 };
    let args = tracer_create_args { struct_size: 16, backend_name: wild, config_json: wild, ..create_args("") };
    // SAFETY: `args` is longer than it says; the rest outlives the call.
    assert_eq!(unsafe { PLUGIN.create.unwrap()(&args, &mut out, &mut error) }, TRACER_OK);

    for struct_size in [0, 4, 8, 31] {
        let body = tracer_bytes { ptr: wild.ptr, len: wild.len };
        let batch = tracer_batch { struct_size, body, ..batch(1) };
        // SAFETY: `batch` is longer than it says.
        let code = unsafe { PLUGIN.export_batch.unwrap()(out, &batch, 1, &mut error) };
        assert_eq!(code, TRACER_ERR_INTERNAL);
        assert_eq!(text(&error.message), "the host broke the contract: the batch is too short to have a body");
    }
    // SAFETY: made above, not used any more.
    unsafe { PLUGIN.destroy.unwrap()(out) };

    let instance = Instance::create("echo");
    let short = tracer_batch { struct_size: 32, attempt: 9, batch_id: 9, ..batch(9) };
    assert_eq!(instance.export(&short, &mut error), TRACER_ERR_INTERNAL);
    assert_eq!(text(&error.message), "4/1/0");
    instance.destroy();
}

#[test]
fn a_backend_that_does_not_count_says_so() {
    let instance = Instance::create("uncounted");
    assert_eq!(instance.stats(&mut tracer_stats::new()), TRACER_ERR_UNSUPPORTED);
    instance.destroy();
}

#[test]
fn counters_are_written_up_to_struct_size() {
    let instance = Instance::create("{}");
    instance.export_42(ptr::null_mut());
    let mut stats = tracer_stats { struct_size: 48, reconnects: 99, ..tracer_stats::new() };
    assert_eq!(instance.stats(&mut stats), TRACER_OK);
    assert_eq!((stats.batches_sent, stats.reconnects), (1, 99));
    stats.struct_size = 56;
    assert_eq!((instance.stats(&mut stats), stats.reconnects), (TRACER_OK, 5));
    instance.destroy();
}

#[test]
fn a_signal_that_the_backend_does_not_take_is_unsupported_and_not_exported() {
    let instance = Instance::create("{}");
    let mut error = tracer_error::new();
    for signal in [0, TRACER_SIGNAL_METRICS, TRACER_SIGNAL_LOGS, u32::MAX] {
        let other = tracer_batch { signal, ..batch(1) };
        assert_eq!(instance.export(&other, &mut error), TRACER_ERR_UNSUPPORTED);
        assert_eq!(text(&error.message), format!("signal {signal} is not supported by this backend"));
    }
    let mut stats = tracer_stats::new();
    instance.stats(&mut stats);
    assert_eq!(stats.batches_sent, 0);
    instance.destroy();
}

#[test]
fn an_unknown_encoding_is_unsupported_and_an_empty_body_is_not_exported() {
    let instance = Instance::create("{}");
    let mut error = tracer_error::new();
    let other = tracer_batch { encoding: 2, ..batch(1) };
    assert_eq!(instance.export(&other, &mut error), TRACER_ERR_UNSUPPORTED);
    let empty = tracer_batch { body: tracer_bytes { ptr: ptr::null(), len: 3 }, ..batch(1) };
    assert_eq!(instance.export(&empty, &mut error), TRACER_ERR_INTERNAL);
    let mut stats = tracer_stats::new();
    instance.stats(&mut stats);
    assert_eq!(stats.batches_sent, 0);
    instance.destroy();
}
