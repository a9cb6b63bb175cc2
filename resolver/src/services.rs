//! Which service a message belongs to, and the settings it is traced with.
//!
//! Built once from the configuration and immutable from then on, so any number of threads may ask at the same time.
//! An answer costs up to some microseconds (bench `rules`) and is meant to be kept per client and topic by whoever asks
//! per message. Why the choice is made as it is: `RATIONALE.md`.

#![forbid(unsafe_code)]

mod explanation;
mod glob;
mod rule;
mod selection;
mod service_map;

pub use explanation::{ExplainedRule, Explanation, Verdict};
pub(crate) use rule::matches as pattern_matches;
pub use rule::{RuleList, Side};
pub use selection::{Candidate, Selection};
pub use service_map::ServiceMap;
