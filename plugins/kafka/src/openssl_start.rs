//! The start of the OpenSSL that is linked in.

use std::sync::Once;

use openssl_sys::{OPENSSL_INIT_NO_ATEXIT, OPENSSL_init_ssl};

/// Before the first client of the process, and before the first file is read.
///
/// librdkafka would start it too, and with it a handler for the end of the process that takes everything away while threads of
/// ours may still use it; and it would read `OPENSSL_CONF`, which speaks to the program's own OpenSSL, of another version
/// perhaps. Whoever is first decides.
pub(crate) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // SAFETY: may be called at any time and on any thread; without settings there is nothing that it borrows.
        let started = unsafe { OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT | NO_LOAD_CONFIG, std::ptr::null()) };
        // If it cannot start, neither can librdkafka's client, which says so.
        debug_assert_eq!(started, 1);
    });
}

/// `OPENSSL_INIT_NO_LOAD_CONFIG` of `openssl/crypto.h`.
const NO_LOAD_CONFIG: u64 = 0x80;
