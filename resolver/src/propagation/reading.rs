//! What one header, or one family of headers, turned out to say.

use super::SpanContext;
use crate::tracer::sampler::ParentSampling;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nothing that can be used: absent, malformed, or with an id of zero.
    Nothing,
    /// Only whether to keep the trace, of which no ids are given.
    Hint(ParentSampling),
    /// A context, with both ids.
    Context(SpanContext, ParentSampling),
}
