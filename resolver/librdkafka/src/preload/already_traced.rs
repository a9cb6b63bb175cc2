//! Whether a configuration is traced by another tracer of this project already: the client is left to that one.

use std::ffi::{CStr, CString};
use std::path::Path;

use tracer_resolver::interceptor::{KafkaApi, RdKafkaConf};

use crate::caller::is_ours;
use crate::module::{Handle, Module};

/// By this symbol one copy of this library knows another.
#[cfg_attr(not(test), unsafe(export_name = "tracer_interceptors_generation"))]
pub static GENERATION: i32 = 1;
/// Its name.
const MARK: &CStr = c"tracer_interceptors_generation";

/// Whether the property `plugin.library.paths` of `conf` names another copy of this library, or a way into the program
/// that the crate tracer-resolver-rdkafka made.
///
/// # Safety
///
/// `conf` is a valid configuration of the librdkafka of `api`.
pub(super) unsafe fn by_another(api: &KafkaApi, conf: *const RdKafkaConf) -> bool {
    // SAFETY: as promised by the caller.
    let paths = unsafe { plugin_paths(api, conf) };
    paths.split(';').map(str::trim).filter(|path| !path.is_empty()).any(|path| is_rust_crate(path) || is_copy(path))
}

/// Whether `module` is a copy of this library.
pub(super) fn is_in_copy(module: &Module) -> bool {
    module.open().and_then(|handle| handle.symbol(MARK)).is_some_and(|mark| module.contains(mark))
}

/// Memory and temporary files of the Rust crate carry the project's name, and are reached by their descriptor.
fn is_rust_crate(path: &str) -> bool {
    path.starts_with("/proc/self/fd/")
        && std::fs::read_link(path).is_ok_and(|target| {
            let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.trim_start_matches("memfd:").starts_with("tracer-resolver") && !Path::new(&target).is_dir()
        })
}

/// As librdkafka, which has loaded it when the property was set, finds it: by the path as it stands, else with `.so`.
fn is_copy(path: &str) -> bool {
    [path.to_owned(), format!("{path}.so")].into_iter().filter_map(|path| CString::new(path).ok()).any(|path| {
        let plugin = Handle::open(Some(&path));
        let mark = plugin.as_ref().and_then(|plugin| plugin.symbol(MARK));
        mark.is_some_and(|mark| !is_ours(mark))
    })
}

/// # Safety
///
/// As [`by_another`].
unsafe fn plugin_paths(api: &KafkaApi, conf: *const RdKafkaConf) -> String {
    let mut value = vec![0_u8; 512];
    loop {
        let mut size = value.len();
        // SAFETY: `conf` is valid, the name is NUL-terminated, and `size` is the size of `value`.
        let result =
            unsafe { (api.conf_get)(conf, c"plugin.library.paths".as_ptr(), value.as_mut_ptr().cast(), &raw mut size) };
        if result != 0 {
            return String::new(); // Not set, or built without plugins.
        }
        if size <= value.len() {
            value.truncate(size.saturating_sub(1)); // librdkafka counts the NUL.
            return String::from_utf8_lossy(&value).into_owned();
        }
        value.resize(size, 0);
    }
}
