//! What the receivers share to make spans of what they get.

use serde_json::Value;

/// Text as it is, anything else as JSON.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Lower-case hexadecimal digits; empty for an id of zeroes.
pub(crate) fn hex(id: &[u8]) -> String {
    if id.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
