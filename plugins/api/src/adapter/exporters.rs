//! One exporter for each distinct resource.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanExporter;

use crate::adapter::{ExporterArgs, ExporterBackend};
use crate::{BackendError, CreateArgs, Host, LogLevel};

/// The exporters of one backend. Bounded: see [`ExporterBackend::MAX_RESOURCES`].
pub(crate) struct Exporters<T: ExporterBackend> {
    backend_name: String,
    config_json: String,
    host: Host,
    /// Made at creation, to know that one can be made; becomes that of the first resource.
    spare: Option<T::Exporter>,
    by_resource: HashMap<Vec<u8>, Slot<T::Exporter>>,
    /// Counts look-ups; only ever grows.
    clock: u64,
}

struct Slot<E> {
    exporter: E,
    last_used: u64,
}

impl<T: ExporterBackend> Exporters<T> {
    pub(crate) fn new(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        let mut exporters = Self {
            backend_name: args.backend_name.to_owned(),
            config_json: args.config_json.to_owned(),
            host: args.host.clone(),
            spare: None,
            by_resource: HashMap::new(),
            clock: 0,
        };
        exporters.spare = Some(exporters.make_one()?);
        Ok(exporters)
    }

    /// The exporter that was told `resource`, made if there is none; `key` stands for `resource`.
    pub(crate) fn of(
        &mut self,
        key: Vec<u8>,
        resource: &Resource,
        deadline: Option<Instant>,
    ) -> Result<&T::Exporter, BackendError> {
        self.clock += 1;
        if !self.by_resource.contains_key(&key) {
            self.make_room(deadline);
            let mut exporter = self.make()?;
            exporter.set_resource(resource);
            self.by_resource.insert(key.clone(), Slot { exporter, last_used: 0 });
        }
        match self.by_resource.get_mut(&key) {
            Some(slot) => {
                slot.last_used = self.clock;
                Ok(&slot.exporter)
            }
            None => Err(BackendError::internal("an exporter was lost")),
        }
    }

    /// Calls `call` on every exporter with the time left; the first error, after all were called.
    pub(crate) fn each(
        &mut self,
        deadline: Option<Instant>,
        mut call: impl FnMut(&T::Exporter, Duration) -> OTelSdkResult,
    ) -> Result<(), BackendError> {
        let exporters = self.by_resource.values().map(|slot| &slot.exporter).chain(&self.spare);
        let mut result = Ok(());
        for exporter in exporters {
            if let Err(why) = call(exporter, time_left(deadline)) {
                result = result.and(Err(T::classify(&why)));
            }
        }
        result
    }

    fn make_one(&self) -> Result<T::Exporter, BackendError> {
        T::exporter(&ExporterArgs {
            backend_name: &self.backend_name,
            config_json: &self.config_json,
            host: self.host.clone(),
        })
    }

    fn make(&mut self) -> Result<T::Exporter, BackendError> {
        match self.spare.take() {
            Some(exporter) => Ok(exporter),
            // The same configuration did at creation: what is missing now may be there later.
            None => self
                .make_one()
                .map_err(|why| BackendError::retryable(format!("no exporter for a further resource: {why}"))),
        }
    }

    /// Shuts down the exporter that was idle longest, if there are as many as may be.
    fn make_room(&mut self, deadline: Option<Instant>) {
        if self.by_resource.len() < T::MAX_RESOURCES.max(1) {
            return;
        }
        let idlest = self.by_resource.iter().min_by_key(|(_, slot)| slot.last_used).map(|(key, _)| key.clone());
        if let Some(slot) = idlest.and_then(|key| self.by_resource.remove(&key)) {
            // Every export on it has returned: a failure here loses nothing that was acknowledged.
            if let Err(why) = slot.exporter.shutdown_with_timeout(time_left(deadline)) {
                let message = format!("an exporter that was idle did not shut down cleanly: {why}");
                self.host.log(LogLevel::Warn, T::TYPE_NAME, &message);
            }
        }
    }
}

/// Zero when it has passed; without a deadline, all the time there is.
pub(crate) fn time_left(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
}
