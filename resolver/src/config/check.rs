//! What can be judged only when everything has been read, and the way from a draft to the model.

#![forbid(unsafe_code)]

mod backends;
pub(super) mod build;
mod overlap;
mod rules;
mod unreachable;
mod whole;
