//! A key as TOML writes it.

#![forbid(unsafe_code)]

/// `key` as TOML writes it: quoted unless it is bare.
pub(crate) fn written_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { key.to_owned() } else { format!("{key:?}") }
}
