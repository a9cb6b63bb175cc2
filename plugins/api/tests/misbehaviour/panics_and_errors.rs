//! Panics stop at the boundary; errors carry over whole.

use tracer_plugin_api::abi::*;

use crate::moody::*;

#[test]
fn a_panic_in_export_becomes_a_code_and_poisons_the_instance() {
    let instance = Instance::create("panic");
    let mut error = tracer_error::new();
    assert_eq!(instance.export(&batch(41), &mut error), TRACER_ERR_PANIC);
    assert_eq!((error.code, text(&error.message)), (TRACER_ERR_PANIC, "the plugin panicked: at export 41"));

    let earlier = "an earlier call panicked: at export 41";
    for call in [Instance::export_42, Instance::flush, Instance::shutdown] {
        let mut error = tracer_error::new();
        assert_eq!(call(&instance, &mut error), TRACER_ERR_PANIC);
        assert_eq!((error.code, text(&error.message)), (TRACER_ERR_PANIC, earlier));
    }
    assert_eq!(instance.stats(&mut tracer_stats::new()), TRACER_ERR_PANIC);
    assert_eq!(instance.destroy(), ["3 moody: b x2", "4 moody: dropped"]);
}

#[test]
fn a_panic_in_any_other_call_is_contained_too() {
    let mut error = tracer_error::new();
    // SAFETY: both arguments outlive the call.
    let code = unsafe { PLUGIN.validate.unwrap()(&tracer_validate_args::new(tracer_str::new("panic"), 1), &mut error) };
    assert_eq!((code, text(&error.message)), (TRACER_ERR_PANIC, "the plugin panicked: at validate"));

    let (result, lines) = try_create("panic at create", &mut error);
    assert_eq!((result.unwrap_err(), text(&error.message)), (TRACER_ERR_PANIC, "the plugin panicked: at create"));
    assert_eq!(lines, ["3 moody: b x2"]);

    let instance = Instance::create("panic at flush");
    assert_eq!(instance.flush(&mut error), TRACER_ERR_PANIC);
    assert_eq!(instance.flush(&mut error), TRACER_ERR_PANIC);
    instance.destroy();

    let instance = Instance::create("panic at shutdown");
    assert_eq!(instance.shutdown(&mut error), TRACER_ERR_PANIC);
    instance.destroy();

    let instance = Instance::create("panic at stats");
    assert_eq!(instance.stats(&mut tracer_stats::new()), TRACER_ERR_PANIC);
    assert_eq!(instance.export_42(&mut error), TRACER_ERR_PANIC);
    instance.destroy();
}

#[test]
fn a_panic_while_dropping_is_logged_and_contained() {
    let instance = Instance::create("panic when dropped");
    assert_eq!(
        instance.destroy(),
        ["3 moody: b x2", "4 moody: dropped", "1 moody: the plugin panicked while it was destroyed: at drop"]
    );
}

#[test]
fn an_error_carries_every_field_over() {
    let mut error = tracer_error::new();
    // SAFETY: both arguments outlive the call.
    let code = unsafe { PLUGIN.validate.unwrap()(&tracer_validate_args::new(tracer_str::new("sad"), 1), &mut error) };
    assert_eq!((code, error.code), (TRACER_ERR_CONFIG, TRACER_ERR_CONFIG));
    assert_eq!((text(&error.field), text(&error.message)), ("/mood", "no such mood: sad"));

    for (mood, code, retry_after_ms, rejected, message) in [
        ("retry", TRACER_ERR_RETRYABLE, 2, 0, "busy"),
        ("partial", TRACER_ERR_PARTIAL, 0, 3, "too old"),
        ("time", TRACER_ERR_TIMEOUT, 0, 0, "1.234s"),
        ("echo", TRACER_ERR_INTERNAL, 0, 0, "4/2/42"),
    ] {
        let instance = Instance::create(mood);
        let mut error = tracer_error::new();
        assert_eq!((instance.export_42(&mut error), error.code), (code, code), "{mood}");
        assert_eq!((error.retry_after_ms, error.rejected_items), (retry_after_ms, rejected), "{mood}");
        assert_eq!((text(&error.field), text(&error.message)), ("", message));
        instance.destroy();
    }
}

#[test]
fn a_long_message_is_cut_between_characters_and_overruns_nothing() {
    #[repr(C)]
    struct Fenced {
        error: tracer_error,
        fence: [u8; 64],
    }
    let instance = Instance::create("long");
    let mut fenced = Fenced { error: tracer_error::new(), fence: [0xa5; 64] };
    assert_eq!(instance.export_42(&mut fenced.error), TRACER_ERR_PERMANENT);
    assert_eq!(text(&fenced.error.message), "é".repeat(191));
    assert_eq!(fenced.fence, [0xa5; 64]);
    instance.destroy();
}
