//! For the tests of a backend (feature `testing`): batches to export, a host that keeps what is logged, and one life by the
//! contract. No dependency, no process of its own; `tracer-interceptors plugins check` holds the built file against more.
//!
//! ```
//! use std::time::Duration;
//! use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, testing};
//!
//! struct Null;
//!
//! impl Backend for Null {
//!     const TYPE_NAME: &'static str = "null";
//!     const VERSION: &'static str = "1.0.0";
//!     const CONFIG_SCHEMA: &'static str = r#"{"type": "object", "additionalProperties": false}"#;
//!
//!     fn validate(_config_json: &str) -> Result<(), BackendError> {
//!         Ok(())
//!     }
//!     fn create(_args: &CreateArgs<'_>) -> Result<Self, BackendError> {
//!         Ok(Self)
//!     }
//!     fn export(&self, _batch: &Batch<'_>, _timeout: Duration) -> Result<(), BackendError> {
//!         Ok(())
//!     }
//! }
//!
//! testing::assert_contract::<Null>("{}");
//! let orders = testing::spans(3, &["orders", "mail"]);
//! assert_eq!(orders.batch().service_names.len(), 2);
//! ```

mod contract;
mod sample;
mod test_host;

pub use contract::assert_contract;
pub use sample::{SampleBatch, metrics, spans};
pub use test_host::{LogLine, TestHost};
