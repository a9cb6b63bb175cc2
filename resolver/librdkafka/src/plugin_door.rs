//! The C door: what librdkafka calls in a library that the property `plugin.library.paths` names.

use std::ffi::{c_char, c_int, c_void};

use tracer_resolver::interceptor::RdKafkaConf;

use crate::caller::callers;
use crate::contained::contained;
use crate::errstr;
use crate::librdkafka::Librdkafka;
use crate::module::Module;
use crate::tracing::{Refused, register};

/// `RD_KAFKA_RESP_ERR_NO_ERROR`.
const NO_ERROR: c_int = 0;
/// `RD_KAFKA_RESP_ERR__INVALID_ARG`.
const INVALID_ARGUMENT: c_int = -186;

/// A client configuration takes the property `plugin.library.paths`, or is a copy of one that did.
///
/// Runs on: the application's thread, inside `rd_kafka_conf_set()` or `rd_kafka_conf_dup()`. Fails, with the reason in
/// `errstr`, only with `INTERCEPTORS_STRICT=1`.
///
/// # Safety
///
/// To be called by librdkafka only (`rd_kafka_plugin_f_conf_init_t`).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn conf_init(
    conf: *mut RdKafkaConf,
    _plugin_opaque: *mut *mut c_void,
    errstr: *mut c_char,
    errstr_size: usize,
) -> c_int {
    contained(NO_ERROR, || {
        // SAFETY: librdkafka gives a configuration of its own that is being made.
        match unsafe { register(calling_librdkafka, conf) } {
            Ok(()) => NO_ERROR,
            Err(Refused(why)) => {
                // SAFETY: librdkafka's buffer of that size.
                unsafe { errstr::write(errstr, errstr_size, &why) };
                INVALID_ARGUMENT
            }
        }
    })
}

/// The librdkafka that called `conf_init`. It looks at the result, so it is surely on the stack: the nearest caller.
fn calling_librdkafka() -> Option<&'static Librdkafka> {
    callers().next().and_then(Module::containing).map(Librdkafka::within)
}
