//! A client is created; a configuration is destroyed.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use tracer_resolver::interceptor::{RdKafka, RdKafkaConf, RdKafkaError, seen_polling, single_use};
use tracer_resolver::{Lent, is_in_plugin, with_room};

use super::call_sites::CallSites;
use super::real::{errno, set_errno};
use super::{already_traced, failed_configurations, real};
use crate::caller::{Caller, entry};
use crate::contained::contained;
use crate::errstr;
use crate::librdkafka::Own;
use crate::tracing::{self, Refused};

entry! {
    /// A client is created: it is traced, and then its creation is librdkafka's.
    ///
    /// Runs on: the application's thread. Fails where librdkafka fails, and with `INTERCEPTORS_STRICT=1` also when the
    /// configuration of tracing has errors (`errno` is then `EINVAL`). As there, `conf` stays the caller's on failure.
    ///
    /// # Safety
    ///
    /// As `rd_kafka_new` in rdkafka.h.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    pub extern "C-unwind" fn rd_kafka_new / rd_kafka_new_from(
        kind: c_int, conf: *mut RdKafkaConf, errstr: *mut c_char, errstr_size: usize; caller
    ) -> *mut RdKafka {
        static SITES: CallSites = CallSites::new();
        let Some(address) = SITES.reached(c"rd_kafka_new", caller) else {
            let why = "no librdkafka was found for this call of rd_kafka_new";
            // SAFETY: the caller's buffer of that size.
            unsafe { errstr::write(errstr, errstr_size, why) };
            set_errno(libc::ENOSYS);
            return ptr::null_mut();
        };
        let _calling = real::calling(address);
        // SAFETY: the address of that function, under the declaration that `rdkafka.h` has of it.
        let new = unsafe { std::mem::transmute::<*const (), New>(ptr::with_exposed_provenance(address)) };
        // A plugin's own client: nobody is asked, for the answer may be waiting for the plugin.
        let prepared = if is_in_plugin() { Ok(None) } else { contained(Ok(None), || prepared(conf, caller)) };
        match prepared {
            // SAFETY: the caller's own arguments.
            Ok(None) => unsafe { new(kind, conf, errstr, errstr_size) },
            Ok(Some(prepared)) => {
                // SAFETY: the caller's own arguments, but for the configuration, which `Prepared` accounts for.
                let create = || seen_polling(|| unsafe { new(kind, prepared.used, errstr, errstr_size) });
                CAME_TO_ON_NEW.set(false);
                let client = if prepared.fragile { single_use(create) } else { create() };
                let errno = errno();
                // SAFETY: `new` has just returned.
                contained((), || unsafe { prepared.finish(client.is_null()) });
                set_errno(errno);
                client
            }
            Err(Refused(why)) => {
                // SAFETY: the caller's buffer of that size.
                unsafe { errstr::write(errstr, errstr_size, &why) };
                set_errno(libc::EINVAL);
                ptr::null_mut()
            }
        }
    }
}

entry! {
    /// A configuration is destroyed, unless librdkafka has broken it: then it is left as it is, for ever.
    ///
    /// # Safety
    ///
    /// As `rd_kafka_conf_destroy` in rdkafka.h.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    pub extern "C-unwind" fn rd_kafka_conf_destroy / rd_kafka_conf_destroy_from(conf: *mut RdKafkaConf; caller) {
        if failed_configurations::forget(conf.addr()) {
            return;
        }
        // Without it the configuration is not freed, which is the lesser evil.
        if let Some(address) = real::reached(c"rd_kafka_conf_destroy", caller) {
            let _calling = real::calling(address);
            let address = ptr::with_exposed_provenance(address);
            // SAFETY: the address of that function, under the declaration that `rdkafka.h` has of it.
            let destroy = unsafe { std::mem::transmute::<*const (), ConfDestroy>(address) };
            // SAFETY: the caller's own argument.
            unsafe { destroy(conf) }
        }
    }
}

/// `conf` is null, or a configuration of the caller's librdkafka that no client uses yet.
fn prepared(conf: *mut RdKafkaConf, caller: Caller) -> Result<Option<Prepared>, Refused> {
    // SAFETY: whoever creates a client waits, and librdkafka asks for no thread of its own.
    let lent = unsafe { Lent::new(conf) };
    // SAFETY: the caller's configuration.
    let prepare = || unsafe { Prepared::new(lent.get(), caller) }.map(|prepared| prepared.map(Returned));
    with_room(prepare).unwrap_or(Ok(None)).map(|prepared| prepared.map(|Returned(prepared)| prepared))
}

/// On its way back from the thread on which there was room.
struct Returned(Prepared);

// SAFETY: the configurations in it are the waiting caller's again.
unsafe impl Send for Returned {}

type New = unsafe extern "C-unwind" fn(c_int, *mut RdKafkaConf, *mut c_char, usize) -> *mut RdKafka;
type ConfDestroy = unsafe extern "C-unwind" fn(*mut RdKafkaConf);

/// The configuration of a client that is being created, and is to be traced.
struct Prepared {
    /// Whose it is.
    own: &'static Own,
    /// The caller's; null when the caller has none.
    given: *mut RdKafkaConf,
    /// What the client is created from: the caller's, or our own in its place.
    used: *mut RdKafkaConf,
    /// A failure after `on_new` breaks the configuration.
    fragile: bool,
}

/// From this version on a failure leaves the configuration whole.
const FIRST_SOUND_VERSION: c_int = 0x020d_0000;
const NAME: &CStr = c"tracer-resolver-preload";

thread_local! {
    /// Whether the creation that is under way on this thread has come to `on_new`.
    static CAME_TO_ON_NEW: Cell<bool> = const { Cell::new(false) };
}

impl Prepared {
    /// `None`: the client is not ours to trace.
    ///
    /// # Safety
    ///
    /// `conf` is null, or a configuration of the caller's librdkafka that no client uses yet.
    unsafe fn new(conf: *mut RdKafkaConf, caller: Caller) -> Result<Option<Self>, Refused> {
        let calling = caller.module();
        // Preloaded twice, the copy that is called first traces.
        if tracing::is_of_a_plugin(calling.as_ref()) || calling.as_ref().is_some_and(already_traced::is_in_copy) {
            return Ok(None);
        }
        let Some(resolver) = tracing::resolver()? else { return Ok(None) };
        let Some(librdkafka) = real::librdkafka(caller) else { return Ok(None) };
        let Some(api) = tracing::api(resolver, librdkafka)? else { return Ok(None) };
        let own = librdkafka.own();
        // SAFETY: it takes nothing.
        let fragile = own.version.is_none_or(|version| unsafe { version() } < FIRST_SOUND_VERSION);
        // SAFETY: `conf` is valid where it is not null; both functions give a new one, or null.
        let used = unsafe {
            if conf.is_null() {
                own.conf_new.map_or(conf, |make| make())
            } else if failed_configurations::contains(conf.addr()) {
                own.conf_dup.map_or(ptr::null_mut(), |copy| copy(conf))
            } else {
                conf
            }
        };
        // SAFETY: `used` is valid where it is not null.
        if used.is_null() || (used == conf && unsafe { already_traced::by_another(api, used) }) {
            return Ok(None);
        }
        let prepared = Self { own, given: conf, used, fragile };
        // SAFETY: `used` is not in use by a client, and of that librdkafka.
        unsafe {
            tracing::trace(api, used, resolver);
            if fragile {
                // Refused when it is there already, from an earlier try.
                (api.conf_interceptor_add_on_new)(used, NAME.as_ptr(), note_on_new, ptr::null_mut());
            }
        }
        Ok(Some(prepared))
    }

    /// The creation has ended.
    ///
    /// # Safety
    ///
    /// Called once, after `rd_kafka_new` has returned.
    unsafe fn finish(self, failed: bool) {
        let is_ours = self.used != self.given;
        if !failed {
            // The client has taken over what it was created from. What the caller gave has to go with it; when it is
            // not that, it is a broken one.
            if is_ours {
                failed_configurations::forget(self.given.addr());
            }
        } else if self.fragile && CAME_TO_ON_NEW.get() {
            // Broken. What is ours is left as it is.
            if !is_ours {
                failed_configurations::remember(self.given.addr());
            }
        } else if is_ours {
            if let Some(destroy) = self.own.conf_destroy {
                // SAFETY: made in `new`, whole, and not the client's, of which there is none.
                unsafe { destroy(self.used) };
            }
        }
    }
}

/// The creation of a client has come to its interceptors.
///
/// Runs on: the thread that called `rd_kafka_new()`.
unsafe extern "C" fn note_on_new(
    _rk: *mut RdKafka,
    _conf: *const RdKafkaConf,
    _opaque: *mut c_void,
    _errstr: *mut c_char,
    _errstr_size: usize,
) -> RdKafkaError {
    // Fails only while the thread's locals are torn down, when no client is created.
    let _ = CAME_TO_ON_NEW.try_with(|came| came.set(true));
    0
}
