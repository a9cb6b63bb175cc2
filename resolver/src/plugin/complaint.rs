//! One thing that is wrong with a backend's `config`.

#![forbid(unsafe_code)]

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    /// JSON pointer into the `config`; empty for all of it.
    pub(crate) pointer: String,
    /// What is wrong and what would be right. Holds no value of the configuration.
    pub(crate) message: String,
    /// Whether the key is what is wrong, and not its value.
    pub(crate) is_of_key: bool,
}

impl Complaint {
    /// About a value, or about all of it.
    pub(super) fn of_value(pointer: String, message: String) -> Self {
        Self { pointer, message, is_of_key: false }
    }
}
