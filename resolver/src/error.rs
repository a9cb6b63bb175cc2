//! Why a resolver was refused.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::config::Report;

/// A strict resolver refused its configuration or a plugin. Displays every problem with its place in the file.
#[derive(Clone, Debug)]
pub struct ResolverError {
    report: Arc<Report>,
}

impl ResolverError {
    pub(crate) fn new(report: Report) -> Self {
        Self { report: Arc::new(report) }
    }

    /// All problems, not only the first.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

impl fmt::Display for ResolverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has errors\n{}", self.report.name, self.report.render(false).trim_end())
    }
}

impl std::error::Error for ResolverError {}
