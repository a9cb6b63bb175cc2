//! What was measured, for the program itself.

#![forbid(unsafe_code)]

use super::Resolver;
use crate::metrics::Measurement;

impl Resolver {
    /// The messaging metrics of the services for which `metrics` is on, as `docs/messaging-metrics.md` describes them: what
    /// this process has measured until now.
    ///
    /// Each exemplar is given once, to whoever collects first. Not to be called from a Kafka callback.
    pub fn measurements(&self) -> Vec<Measurement> {
        let Some(shared) = self.shared() else { return Vec::new() };
        let (collected, services) = shared.measurements();
        Measurement::all(collected, |service| services.get(service).map_or("", String::as_str))
    }
}
