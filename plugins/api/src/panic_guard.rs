//! The one way from foreign code into a backend: every call goes through it, no panic comes back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::BackendError;
use crate::abi::{self, tracer_code, tracer_error};
use crate::foreign::fill_error;

/// Whether a call on the instance has panicked, and with what message. Set at most once.
#[derive(Default)]
pub(crate) struct Poison(OnceLock<String>);

/// Makes `call`, reports its error, and turns a panic into [`TRACER_ERR_PANIC`](abi::TRACER_ERR_PANIC).
///
/// A panic sets `poison`; with `poison` set, nothing is called any more: what the panic left behind is not looked at
/// again, which is what makes it sound to go on.
///
/// # Safety
///
/// `error` is null or points to as many writable bytes as its `struct_size` says.
pub(crate) unsafe fn pass(
    poison: Option<&Poison>,
    error: *mut tracer_error,
    call: impl FnOnce() -> Result<(), BackendError>,
) -> tracer_code {
    if let Some(earlier) = poison.and_then(|poison| poison.0.get()) {
        let why = BackendError::internal(format!("an earlier call panicked: {earlier}"));
        // SAFETY: handed down from the caller.
        unsafe { fill_error(error, abi::TRACER_ERR_PANIC, &why) };
        return abi::TRACER_ERR_PANIC;
    }
    match contain_panic(call) {
        Ok(Ok(())) => abi::TRACER_OK,
        Ok(Err(why)) => {
            let code = why.kind().code();
            // SAFETY: handed down from the caller.
            unsafe { fill_error(error, code, &why) };
            code
        }
        Err(message) => {
            let why = BackendError::internal(format!("the plugin panicked: {message}"));
            if let Some(poison) = poison {
                poison.set(message);
            }
            // SAFETY: handed down from the caller.
            unsafe { fill_error(error, abi::TRACER_ERR_PANIC, &why) };
            abi::TRACER_ERR_PANIC
        }
    }
}

/// The result of `call`, or the message of its panic.
pub(crate) fn contain_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(message_of)
}

impl Poison {
    fn set(&self, message: String) {
        // A second panic, of a call that ran beside the first, keeps the first one's message.
        let _ = self.0.set(message);
    }
}

/// What the panic said. Dropping what it carried may panic in turn: that is contained too.
fn message_of(payload: Box<dyn Any + Send>) -> String {
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "(without a message)".to_owned(),
    };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // A text is dropped safely. What else it may be could panic again, for ever: leaked.
        if !second.is::<&str>() && !second.is::<String>() {
            std::mem::forget(second);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("again");
        }
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_contained_too() {
        let result = contain_panic(|| std::panic::panic_any(PanicsWhenDropped));
        assert_eq!(result, Err("(without a message)".to_owned()));
    }

    #[test]
    fn the_first_panic_keeps_its_message() {
        let poison = Poison::default();
        poison.set("first".to_owned());
        poison.set("second".to_owned());
        assert_eq!(poison.0.get().map(String::as_str), Some("first"));
    }
}
