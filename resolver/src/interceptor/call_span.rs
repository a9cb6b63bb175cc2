//! The span of a call that handed over several messages, as those of its messages know it.

#![forbid(unsafe_code)]

use crate::propagation::SpanContext;
use crate::tracer::Verdict;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallSpan {
    pub context: SpanContext,
    /// What was decided about it, and with it about them.
    pub verdict: Verdict,
}
