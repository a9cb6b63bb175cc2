//! What the contract tests are written with.
//!
//! A test says which clients do what by which configuration file, and which tree comes of it:
//!
//! ```no_run
//! # use rdkafka::producer::BaseRecord;
//! # use words::kafka::next_message;
//! # use words::{Traced, send};
//! let traced = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]");
//! send(&traced.producer(), BaseRecord::to("orders").key("1").payload("an order"));
//! next_message(&traced.consumer("orders"));
//! assert_eq!(traced.traces(), "shop: send orders\n  shop: receive orders\n");
//! ```
//!
//! | what | how |
//! |---|---|
//! | clients in the test itself | [`Traced::producer`], [`Traced::consumer`], [`Traced::config`] for any client type |
//! | a program in any language | [`run`] of [`Traced::command`], for each [`WayIn`]; how to get one: [`foreign`] |
//! | a program with a librdkafka without Kafka | the same, built by [`fake_librdkafka`] |
//! | this test in a process of its own | [`run`] of [`Traced::again`], or of [`child()`] without a file; there, [`traced_by`] |
//! | another backend than OTLP, or a sick one | [`receivers`] |
//! | a plugin by itself | [`backend`], with [`sample_spans`] |
//! | spans one by one | [`Traced::spans`], [`portrait`] |

// A test may fail loudly, wherever it fails.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its words too")]

pub mod backend;
mod blocking;
pub mod child;
mod configuration;
pub mod fake_librdkafka;
pub mod foreign;
pub mod kafka;
mod log_lines;
pub mod native;
mod process;
pub mod receivers;
pub mod sample_spans;
mod span_portrait;
mod trace_tree;
mod traced;
mod turn;
mod way_in;

pub use blocking::block_on;
pub use child::{Ended, child, is_child, run};
pub use configuration::{ONE_SERVICE, ORDERS_AND_BILLS, load};
pub use log_lines::LogLines;
pub use process::{open_files, reserved_bytes, resident_bytes, threads};
pub use span_portrait::portrait;
pub use trace_tree::{draw_traces, draw_traces_with};
pub use traced::{Traced, counters, send, traced_by};
pub use way_in::WayIn;

use std::time::Duration;

/// How long a test waits for what has to come. Far more than it takes on the slowest machine: nothing is measured by it.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A `traceparent` of another process, whose trace is kept: that of the W3C's specification.
pub const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
