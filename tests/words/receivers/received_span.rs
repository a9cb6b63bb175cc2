//! What the receivers share to make spans of what they get.

/// Lower-case hexadecimal digits; empty for an id of zeroes.
pub(crate) fn hex(id: &[u8]) -> String {
    if id.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
