//! Where plugins are looked for, and which file each is to be.

#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::PathBuf;

/// `[plugins]`.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    /// Searched in order before the default places; absolute, or relative to the file's folder (made absolute here).
    pub dirs: Vec<PathBuf>,
    /// `[plugins.NAME]`: an explicit file and a pin.
    pub entries: Vec<PluginEntry>,
    /// `[trust]`: whoever may write to a plugin's file or to a folder on the way to it is trusted, everybody too.
    pub allow_world_writable: bool,
}

/// `[plugins.NAME]`.
#[derive(Clone, Debug)]
pub struct PluginEntry {
    /// The plugin's type name.
    pub name: String,
    /// Bytes of the file that name it.
    pub span: Range<usize>,
    /// File name (looked up in the dirs) or absolute path; by default `libtracer_plugin_NAME.so`.
    pub file: Option<PathBuf>,
    /// SHA-256 over the bytes really loaded.
    pub sha256: Option<[u8; 32]>,
}
