//! The rules, by what they look at.

pub(crate) mod answers;
pub(crate) mod ends;
pub(crate) mod file;
pub(crate) mod life;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod settings;
pub(crate) mod table;
