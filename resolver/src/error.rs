//! Why a resolver was refused.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::config::Report;

/// A strict resolver refused its configuration or a plugin. Displays every problem with its place in the file.
#[derive(Clone)]
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

/// As displayed: `fn main() -> Result<…>` prints errors this way, and the file, which may hold secrets, is not for print.
impl fmt::Debug for ResolverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ResolverError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Source};

    #[test]
    fn an_error_out_of_main_shows_the_problems_and_not_the_file() {
        let text = "version = 1\n# a password\ndefalts = {}\n".to_owned();
        let report = config::load(Source::Text { name: "t.toml".into(), text }).report;
        let shown = format!("{:?}", ResolverError::new(report));
        assert!(shown.contains("t.toml:3:1") && !shown.contains("a password"), "{shown}");
    }
}
