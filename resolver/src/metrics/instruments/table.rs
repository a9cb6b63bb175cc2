//! All series of one resolver in this process: a bounded table.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::outcomes::FailureRoom;
use super::series::{Series, SeriesKey};
use crate::per_process::PerProcess;

/// Filled when clients meet topics, read when somebody collects; no message waits for it. A fork has a table of its own,
/// which is empty.
#[derive(Default)]
pub(crate) struct Instruments(PerProcess<Mutex<Table>>);

#[derive(Default)]
struct Table {
    series: BTreeMap<SeriesKey, Arc<Series>>,
    /// By service and side, of what has no room in `series`.
    overflow: BTreeMap<(usize, bool), Arc<Series>>,
    room: Arc<FailureRoom>,
}

/// Topics, by service, side, group and server, that are measured each by itself. With as many ways to fail: the limit of
/// OpenTelemetry's own SDKs, and 4 MiB at most.
pub(super) const MOST_SERIES: usize = 1_000;

impl Instruments {
    /// The series of these messages, from the first on. Microseconds; asked once for each client and topic.
    pub(crate) fn of(&self, key: &SeriesKey) -> Arc<Series> {
        let mut table = self.table();
        if let Some(known) = table.series.get(key) {
            return Arc::clone(known);
        }
        let room = Arc::clone(&table.room);
        let beyond = table.overflow.entry((key.service, key.is_consumer));
        let overflow =
            Arc::clone(beyond.or_insert_with(|| Arc::new(Series::beyond(key.is_consumer, Arc::clone(&room)))));
        if table.series.len() >= MOST_SERIES {
            return overflow;
        }
        let series = Arc::new(Series::new(key.clone(), room, overflow));
        table.series.insert(key.clone(), Arc::clone(&series));
        series
    }

    /// Every series with its service, those of a service together.
    pub(super) fn by_service(&self) -> BTreeMap<usize, Vec<Arc<Series>>> {
        let table = self.table();
        let own = table.series.iter().map(|(key, series)| (key.service, series));
        let beyond = table.overflow.iter().map(|((service, _), series)| (*service, series));
        let mut services: BTreeMap<usize, Vec<Arc<Series>>> = BTreeMap::new();
        for (service, series) in own.chain(beyond) {
            services.entry(service).or_default().push(Arc::clone(series));
        }
        services
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcomes::MOST_FAILURES_OF_ALL;
    use super::*;

    fn key(topic: &str) -> SeriesKey {
        SeriesKey { service: 1, is_consumer: false, topic: topic.to_owned(), group: None, server: None }
    }

    #[test]
    fn a_topic_has_one_series_for_each_side_service_and_group() {
        let instruments = Instruments::default();
        let one = instruments.of(&key("orders"));
        assert!(Arc::ptr_eq(&one, &instruments.of(&key("orders"))));
        let consumer = SeriesKey { is_consumer: true, group: Some("g".to_owned()), ..key("orders") };
        for other in [
            key("bills"),
            SeriesKey { service: 2, ..key("orders") },
            SeriesKey { group: Some("h".to_owned()), ..consumer.clone() },
            SeriesKey { server: Some(("kafka".to_owned(), None)), ..key("orders") },
            consumer,
        ] {
            assert!(!Arc::ptr_eq(&one, &instruments.of(&other)), "{other:?}");
        }
    }

    #[test]
    fn topics_beyond_the_bound_share_one_series() {
        let instruments = Instruments::default();
        for number in 0..MOST_SERIES {
            instruments.of(&key(&number.to_string()));
        }
        let (one, other) = (instruments.of(&key("one more")), instruments.of(&key("another")));
        assert!(Arc::ptr_eq(&one, &other) && one.key.is_none());
        assert!(instruments.of(&key("7")).key.is_some());
        assert_eq!(instruments.by_service()[&1].len(), MOST_SERIES + 1);
        let most = (MOST_SERIES * size_of::<Series>()) + MOST_FAILURES_OF_ALL * 1_200;
        assert!(most < 4 << 20, "{most}");
    }
}
