//! What both doors do with a client's configuration.

use std::sync::atomic::{AtomicBool, Ordering};

use tracer_resolver::Resolver;
use tracer_resolver::interceptor::{Door, RdKafkaConf, conf_init};

use crate::librdkafka::Librdkafka;
use crate::stderr_log;

/// The client must not be created, and why: only with `INTERCEPTORS_STRICT=1`.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

/// Has the clients of `conf` traced, if the configuration of this process says so and `librdkafka` lets us.
///
/// Twice for one `conf` is once. What cannot be traced is told, and goes untraced.
///
/// # Safety
///
/// `conf` is a valid configuration, not in use by a client, of that librdkafka.
pub(crate) unsafe fn register(
    librdkafka: impl FnOnce() -> Option<&'static Librdkafka>,
    conf: *mut RdKafkaConf,
) -> Result<(), Refused> {
    let Some(resolver) = resolver()? else { return Ok(()) };
    let librdkafka = librdkafka();
    let Some(api) = librdkafka.and_then(Librdkafka::engine_api) else {
        let why = librdkafka.and_then(Librdkafka::why_not).unwrap_or_else(|| {
            "a client is not traced: it is not known which librdkafka made it".to_owned()
        });
        if librdkafka.is_none_or(Librdkafka::first_to_tell) {
            log::error!("{why}");
        }
        return if resolver.is_strict() { Err(Refused(why)) } else { Ok(()) };
    };
    // SAFETY: as promised by the caller. Contains its own panics.
    unsafe { conf_init(api, conf, resolver, None, Door::Plugin) };
    Ok(())
}

/// The resolver of this process; `None` when nothing is traced.
fn resolver() -> Result<Option<&'static Resolver>, Refused> {
    stderr_log::start();
    match Resolver::global() {
        Ok(resolver) => Ok(Some(resolver).filter(|resolver| resolver.is_on())),
        Err(error) => {
            static TOLD: AtomicBool = AtomicBool::new(false);
            let text = error.to_string();
            if !TOLD.swap(true, Ordering::Relaxed) {
                log::error!("{text}; INTERCEPTORS_STRICT=1 lets no client be created with that");
            }
            Err(Refused(text))
        }
    }
}
