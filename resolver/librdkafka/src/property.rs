//! The way in by property: what librdkafka calls in a library that the property `plugin.library.paths` names.

use std::ffi::{c_char, c_int, c_void};

use tracer_resolver::interceptor::RdKafkaConf;
use tracer_resolver::{Lent, is_in_plugin, with_room};

use crate::caller::{Caller, entry};
use crate::contained::contained;
use crate::errstr;
use crate::librdkafka::Librdkafka;
use crate::static_program::is_static;
use crate::tracing::{self, Refused};

/// `RD_KAFKA_RESP_ERR_NO_ERROR`.
const NO_ERROR: c_int = 0;
/// `RD_KAFKA_RESP_ERR__INVALID_ARG`.
const INVALID_ARGUMENT: c_int = -186;

entry! {
    /// A client configuration takes the property `plugin.library.paths`, or is a copy of one that did.
    ///
    /// Runs on: the application's thread, inside `rd_kafka_conf_set()` or `rd_kafka_conf_dup()`. Fails, with the reason in
    /// `errstr`, only with `INTERCEPTORS_STRICT=1`.
    ///
    /// # Safety
    ///
    /// To be called by librdkafka only (`rd_kafka_plugin_f_conf_init_t`).
    #[cfg_attr(not(test), unsafe(no_mangle))]
    pub extern "C" fn conf_init / conf_init_from(
        conf: *mut RdKafkaConf, _plugin_opaque: *mut *mut c_void, errstr: *mut c_char, errstr_size: usize; caller
    ) -> c_int {
        // Before anything else: the rest could not run there.
        if is_static() {
            return NO_ERROR;
        }
        // A plugin's own client: nobody is asked, for the answer may be waiting for the plugin.
        if is_in_plugin() {
            return NO_ERROR;
        }
        // SAFETY: librdkafka lends both until `conf_init` returns, and asks for no thread of its own.
        let lent = unsafe { Lent::new((conf, errstr)) };
        let trace = || {
            let (conf, errstr) = lent.get();
            // SAFETY: librdkafka gives a configuration of its own that is being made.
            match unsafe { trace_clients_of(conf, caller) } {
                Ok(()) => NO_ERROR,
                Err(Refused(why)) => {
                    // SAFETY: librdkafka's buffer of that size.
                    unsafe { errstr::write(errstr, errstr_size, &why) };
                    INVALID_ARGUMENT
                }
            }
        };
        contained(NO_ERROR, || with_room(trace).unwrap_or(NO_ERROR))
    }
}

/// # Safety
///
/// As [`conf_init`].
unsafe fn trace_clients_of(conf: *mut RdKafkaConf, caller: Caller) -> Result<(), Refused> {
    // librdkafka looks at what `conf_init` returns, so it did not jump here: it is the caller.
    let module = caller.module();
    if tracing::is_of_a_plugin(module.as_ref()) {
        return Ok(());
    }
    let Some(resolver) = tracing::resolver()? else { return Ok(()) };
    let Some(module) = module else {
        let why = "a client is not traced: what called conf_init is neither a program nor a shared object";
        log::error!("{why}");
        return if resolver.is_strict() { Err(Refused(why.to_owned())) } else { Ok(()) };
    };
    if let Some(api) = tracing::api(resolver, Librdkafka::within(module))? {
        // SAFETY: of the librdkafka that called, and not yet in use.
        unsafe { tracing::trace(api, conf, resolver) };
    }
    Ok(())
}
