//! What all series have measured, as metrics.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::bounds::{DURATIONS, TIMES_IN_QUEUE};
use super::exemplar_slot::Exemplars;
use super::series::Series;
use super::table::Instruments;
use crate::metrics::model::{Attributes, Collected, Distribution, Metric, Number, Points, Value};

impl Instruments {
    /// Everything measured in this process until now, by service. Not for a Kafka thread.
    pub(crate) fn collect(&self, exemplars: Exemplars) -> Vec<Collected> {
        let services = self.by_service().into_iter();
        let metrics = |series: Vec<Arc<Series>>| {
            let all = Found::of(&series, exemplars).metrics().into_iter();
            all.filter(|metric| metric.points.count() > 0).collect::<Vec<_>>()
        };
        let all = services.map(|(service, series)| Collected { service: Some(service), metrics: metrics(series) });
        all.filter(|collected| !collected.metrics.is_empty()).collect()
    }

    /// All metrics that there may be, with nothing measured.
    #[cfg(feature = "application-metrics")]
    pub(crate) fn kinds() -> Vec<Metric> {
        Found::default().metrics()
    }
}

/// The points of one service.
#[derive(Default)]
struct Found {
    operations: Vec<Distribution>,
    sent: Vec<Number>,
    consumed: Vec<Number>,
    processings: Vec<Distribution>,
    queue: Vec<Distribution>,
}

impl Found {
    fn of(series: &[Arc<Series>], exemplars: Exemplars) -> Self {
        let mut found = Self::default();
        for series in series {
            if series.is_consumer {
                found.add_consumer(series, exemplars);
            } else {
                found.add_producer(series, exemplars);
            }
        }
        found
    }

    /// Each metric, also those of which nothing was found.
    fn metrics(self) -> Vec<Metric> {
        let durations = |points| Points::Histogram { bounds: DURATIONS.seconds(), points };
        let metric = |name, description, unit, points| Metric { name, description, unit, points };
        vec![
            metric(
                "messaging.client.operation.duration",
                "Duration of messaging operation initiated by a producer or consumer client.",
                "s",
                durations(self.operations),
            ),
            metric(
                "messaging.client.sent.messages",
                "Number of messages producer attempted to send to the broker.",
                "{message}",
                Points::Sum(self.sent),
            ),
            metric(
                "messaging.client.consumed.messages",
                "Number of messages that were delivered to the application.",
                "{message}",
                Points::Sum(self.consumed),
            ),
            metric("messaging.process.duration", "Duration of processing operation.", "s", durations(self.processings)),
            metric(
                "tracer_resolver.queue.duration",
                "Time from a message's timestamp to its delivery to the application.",
                "s",
                Points::Histogram { bounds: TIMES_IN_QUEUE.seconds(), points: self.queue },
            ),
        ]
    }

    fn add_producer(&mut self, series: &Series, exemplars: Exemplars) {
        for (error_type, durations) in series.operations.all() {
            let attributes = attributes(series, "send", Some("send"), error_type);
            let Some(point) = durations.collect(attributes, exemplars) else { continue };
            // The two counters are one: each send that ends has a duration.
            let value = point.counts.iter().sum::<u64>() as i64;
            add_number(
                &mut self.sent,
                Number { attributes: self::attributes(series, "send", None, error_type), value },
            );
            add_distribution(&mut self.operations, point);
        }
    }

    fn add_consumer(&mut self, series: &Series, exemplars: Exemplars) {
        let queue = series.queue.collect(attributes(series, "receive", None, None), exemplars);
        let dated = queue.as_ref().map_or(0, |point| point.counts.iter().sum::<u64>());
        let value = (dated + series.undated.load(Ordering::Relaxed)) as i64;
        if value > 0 {
            add_number(&mut self.consumed, Number { attributes: attributes(series, "receive", None, None), value });
        }
        self.queue.extend(queue);
        for (error_type, durations) in series.operations.all() {
            self.processings.extend(durations.collect(attributes(series, "process", None, error_type), exemplars));
        }
    }
}

/// Adds a point, or adds it to that with the same attributes: two of librdkafka's errors may have one name.
fn add_number(points: &mut Vec<Number>, new: Number) {
    match points.iter_mut().find(|point| point.attributes == new.attributes) {
        Some(point) => point.value += new.value,
        None => points.push(new),
    }
}

fn add_distribution(points: &mut Vec<Distribution>, new: Distribution) {
    match points.iter_mut().find(|point| point.attributes == new.attributes) {
        Some(point) => {
            point.counts.iter_mut().zip(&new.counts).for_each(|(sum, count)| *sum += count);
            point.sum += new.sum;
            point.exemplars.extend(new.exemplars);
        }
        None => points.push(new),
    }
}

fn attributes(
    series: &Series,
    operation: &'static str,
    operation_type: Option<&'static str>,
    error_type: Option<&str>,
) -> Attributes {
    let Some(key) = &series.key else { return vec![("otel.metric.overflow", Value::Bool(true))] };
    let fixed = |text| Value::Text(Cow::Borrowed(text));
    let owned = |text: &str| Value::Text(Cow::Owned(text.to_owned()));
    let mut attributes = vec![
        ("messaging.system", fixed("kafka")),
        ("messaging.operation.name", fixed(operation)),
        ("messaging.destination.name", owned(&key.topic)),
    ];
    attributes.extend(operation_type.map(|kind| ("messaging.operation.type", fixed(kind))));
    attributes.extend(key.group.as_deref().map(|group| ("messaging.consumer.group.name", owned(group))));
    if let Some((host, port)) = &key.server {
        attributes.push(("server.address", owned(host)));
        attributes.extend(port.map(|port| ("server.port", Value::Int(i64::from(port)))));
    }
    attributes.extend(error_type.map(|error| ("error.type", owned(error))));
    attributes
}
