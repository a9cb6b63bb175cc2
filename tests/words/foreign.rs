//! Programs in other languages, and what they came to.
//!
//! ```no_run
//! # use words::foreign::python;
//! # use words::{Traced, WayIn, run};
//! let Some(python) = python() else { return };
//! let traced = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]");
//! for way in WayIn::EACH {
//!     run(traced.command(way, &python).arg("tests/python/flow.py")).expect_success();
//!     assert_eq!(traced.take_traces(), "shop: send orders\n");
//! }
//! ```
//!
//! On a machine without the language such a test is skipped, visibly.

mod c;
mod forwarding;
mod go;
mod library;
mod made_once;
mod node;
mod processing;
mod python;
mod rounds;
mod skip;

pub use c::{c_program, librdkafka_of_python};
pub use forwarding::{FORWARDING, forwarding_in_rust};
pub use go::{GoBuild, go_program, plugin_in_go};
pub use library::{build_folder, library};
pub use made_once::made_once;
pub use node::{BILLING, kafka_javascript, kafka_javascript_in_one, node_modules, node_packages};
pub use processing::{PAYING, PROCESSING, Shop, processing_in_rust};
pub use python::{PYTHON_OF_SHAPES, python, python_of, python_with};
pub use rounds::{MANY, Rounds, run_rounds};
pub use skip::skip;
