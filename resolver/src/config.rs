//! What the file says: found, read, checked, and turned into values that are right because they exist.

mod model;

pub use model::*;
