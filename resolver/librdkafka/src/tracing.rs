//! What both doors do with a client's configuration.

use std::sync::atomic::{AtomicBool, Ordering};

use tracer_resolver::Resolver;
use tracer_resolver::interceptor::{Door, KafkaApi, RdKafkaConf, conf_init};

use crate::librdkafka::Librdkafka;
use crate::stderr_log;

/// The client must not be created, and why: only with `INTERCEPTORS_STRICT=1`.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

/// The resolver of this process; `None` when nothing is traced.
pub(crate) fn resolver() -> Result<Option<&'static Resolver>, Refused> {
    stderr_log::start();
    match Resolver::global() {
        Ok(resolver) => Ok(Some(resolver).filter(|resolver| resolver.is_on())),
        Err(error) => {
            static TOLD: AtomicBool = AtomicBool::new(false);
            let text = error.to_string();
            if !TOLD.swap(true, Ordering::Relaxed) {
                log::error!("no client is created, because INTERCEPTORS_STRICT=1 and {text}");
            }
            Err(Refused(text))
        }
    }
}

/// The functions by which clients of `librdkafka` are traced; `None` when they are not all there, which is told once.
pub(crate) fn api(resolver: &Resolver, librdkafka: &'static Librdkafka) -> Result<Option<&'static KafkaApi>, Refused> {
    match librdkafka.engine_api() {
        Ok(api) => Ok(Some(api)),
        Err(why) => {
            if librdkafka.first_to_tell() {
                log::error!("{why}");
            }
            if resolver.is_strict() { Err(Refused(why)) } else { Ok(None) }
        }
    }
}

/// Has the clients of `conf` traced. Twice for one `conf` is once.
///
/// # Safety
///
/// `conf` is a valid configuration, not in use by a client, of the librdkafka of `api`.
pub(crate) unsafe fn trace(api: &'static KafkaApi, conf: *mut RdKafkaConf, resolver: &Resolver) {
    // SAFETY: as promised by the caller. Contains its own panics.
    unsafe { conf_init(api, conf, resolver, None, Door::Plugin) };
}
