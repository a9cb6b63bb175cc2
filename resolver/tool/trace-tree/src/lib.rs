//! Spans as they were received, and their traces drawn as trees.
//!
//! ```text
//! orders: send orders {took=1.649 ms}
//!   payments: process orders {took=0.880 ms, queued=3.251 ms}
//!     payments: send payments {took=0.366 ms} !_MSG_TIMED_OUT
//! ```
//!
//! What `tracer-interceptors view` prints, what the examples show, and what the tests of this workspace assert: one drawing.

#![forbid(unsafe_code)]

mod drawing;
mod live_traces;
mod queue;
mod received_span;
mod tree;

pub use drawing::Drawing;
pub use live_traces::LiveTraces;
pub use queue::{queued_nano, sender_of};
pub use received_span::{ReceivedLink, ReceivedSpan, Resource, SharedText, text};
pub use tree::{Row, rows};
