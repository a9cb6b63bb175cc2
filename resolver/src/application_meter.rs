//! What is measured, through the application's own OpenTelemetry `MeterProvider`.
//!
//! ```text
//!   the application's reader collects ─▶ a callback of ours ─▶ all that is there ─┬─▶ observed: counters, gauges
//!                                                                                 └─▶ recorded anew: histograms
//! ```
//!
//! Runs on the reader's thread, never on one of Kafka's. `RATIONALE.md`: "How does a histogram come into the application's
//! own provider?"

#![forbid(unsafe_code)]

mod rounds;
mod stand_ins;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter, MeterProvider};

use self::rounds::Rounds;
use self::stand_ins::stand_ins;
use crate::diagnostics;
use crate::metric_readers::own_kinds;
use crate::metrics::{Attributes, Collected, Distribution, Instruments, Metric, Points, Value};
use crate::per_process::PerProcess;
use crate::resolver::{Resolver, Shared};

impl Resolver {
    /// Lets the application's own OpenTelemetry provider have what is measured: the messaging metrics of the services, and
    /// how the library itself is, as far as the file asks for them (`measure` of a service, `self` of `[metrics]`).
    ///
    /// They are the same metrics as by the other ways, beside which this one stands; what belongs to a service has its name
    /// as the attribute `service.name`. A provider's readers collect them like any others. To be called once for each
    /// provider: one that is given twice has histograms that count twice. A resolver that is dropped tells nothing more.
    pub fn export_metrics_to(&self, provider: &dyn MeterProvider) {
        let Some(shared) = self.shared() else { return };
        if !shared.measures() {
            diagnostics::warn(
                "an OpenTelemetry MeterProvider is to have metrics, and nothing is measured: `measure` of a service or \
                 `self` of [metrics] turns them on",
            );
        }
        let meter = provider.meter("tracer-resolver");
        // All of them: a reload may turn on what is off.
        let kinds: Vec<_> = Instruments::kinds().into_iter().chain(own_kinds()).collect();
        let histograms: HashMap<_, _> =
            kinds.iter().filter_map(|kind| Some((kind.name, histogram(&meter, kind)?))).collect();
        let fed = Arc::new(Fed {
            resolver: Arc::downgrade(&shared),
            rounds: Rounds::of(kinds.len() - histograms.len()),
            histograms,
            recorded: PerProcess::new(),
        });
        for kind in &kinds {
            fed.observe(&meter, kind);
        }
    }
}

/// One provider that has our metrics. Its instruments' callbacks share it.
struct Fed {
    resolver: Weak<Shared>,
    rounds: Rounds<(Vec<Collected>, Vec<String>)>,
    histograms: HashMap<&'static str, Histogram<f64>>,
    /// A fork's values begin at zero, and so does what was recorded of them.
    recorded: PerProcess<Mutex<HashMap<Series, Recorded>>>,
}

/// Service, metric and attributes.
type Series = (Option<usize>, &'static str, Attributes);

/// What the provider's histogram has of one of ours.
#[derive(Default)]
struct Recorded {
    counts: Vec<u64>,
    sum: f64,
}

impl Fed {
    /// Makes the instrument, if it is one whose values are asked for.
    fn observe(self: &Arc<Self>, meter: &Meter, kind: &Metric) {
        let (fed, name) = (Arc::clone(self), kind.name);
        let (described, unit) = (kind.description, kind.unit);
        match kind.points {
            Points::Sum(_) => drop(
                meter
                    .u64_observable_counter(name)
                    .with_description(described)
                    .with_unit(unit)
                    .with_callback(move |observer| {
                        fed.tell(name, |value, attributes| observer.observe(value.unsigned_abs(), attributes));
                    })
                    .build(),
            ),
            Points::UpDown(_) => drop(
                meter
                    .i64_observable_up_down_counter(name)
                    .with_description(described)
                    .with_unit(unit)
                    .with_callback(move |observer| {
                        fed.tell(name, |value, attributes| observer.observe(value, attributes));
                    })
                    .build(),
            ),
            Points::Gauge(_) => drop(
                meter
                    .i64_observable_gauge(name)
                    .with_description(described)
                    .with_unit(unit)
                    .with_callback(move |observer| {
                        fed.tell(name, |value, attributes| observer.observe(value, attributes));
                    })
                    .build(),
            ),
            Points::Histogram { .. } => {}
        }
    }

    /// Tells the values of one metric; and lets the histograms catch up, whichever metric is asked for: an application may
    /// have left out any of them.
    fn tell(&self, name: &'static str, mut observe: impl FnMut(i64, &[KeyValue])) {
        let Some(shared) = self.resolver.upgrade() else { return };
        let round = self.rounds.collected(name, Instant::now(), || {
            let (collected, services) = shared.collected_for_the_program();
            self.catch_up(&collected, &services);
            (collected, services)
        });
        let (collected, services) = &*round;
        for of in collected {
            for metric in of.metrics.iter().filter(|metric| metric.name == name) {
                if let Points::Sum(points) | Points::UpDown(points) | Points::Gauge(points) = &metric.points {
                    points.iter().for_each(|point| observe(point.value, &attributes(of, services, &point.attributes)));
                }
            }
        }
    }

    /// Records what the provider's histograms have not got yet. One reader at a time.
    fn catch_up(&self, collected: &[Collected], services: &[String]) {
        let mut all = self.recorded.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        for of in collected {
            for metric in &of.metrics {
                let Points::Histogram { bounds, points } = &metric.points else { continue };
                let Some(histogram) = self.histograms.get(metric.name) else { continue };
                for point in points {
                    let recorded = all.entry((of.service, metric.name, point.attributes.clone())).or_default();
                    let fresh = recorded.fresh(point);
                    if fresh.iter().all(|count| *count == 0) {
                        continue;
                    }
                    let attributes = attributes(of, services, &point.attributes);
                    for (value, times) in stand_ins(bounds, &fresh, point.sum - recorded.sum) {
                        (0..times).for_each(|_| histogram.record(value, &attributes));
                        recorded.sum += value * times as f64;
                    }
                    recorded.counts.clone_from(&point.counts);
                }
            }
        }
    }
}

impl Recorded {
    /// By bucket, how many values are new.
    fn fresh(&self, point: &Distribution) -> Vec<u64> {
        let known = self.counts.iter().copied().chain(std::iter::repeat(0));
        point.counts.iter().zip(known).map(|(count, known)| count.saturating_sub(known)).collect()
    }
}

/// The instrument, if it is a histogram.
fn histogram(meter: &Meter, kind: &Metric) -> Option<Histogram<f64>> {
    let Points::Histogram { bounds, .. } = &kind.points else { return None };
    let builder = meter.f64_histogram(kind.name).with_description(kind.description).with_unit(kind.unit);
    Some(builder.with_boundaries(bounds.to_vec()).build())
}

/// A provider has one resource, and we may be several services: so a point says itself whose it is.
fn attributes(of: &Collected, services: &[String], own: &Attributes) -> Vec<KeyValue> {
    let service = of.service.and_then(|number| services.get(number));
    let service = service.map(|name| KeyValue::new("service.name", name.clone()));
    let own = own.iter().map(|(key, value)| match value {
        Value::Text(text) => KeyValue::new(*key, text.clone().into_owned()),
        Value::Int(number) => KeyValue::new(*key, *number),
        Value::Bool(is) => KeyValue::new(*key, *is),
    });
    service.into_iter().chain(own).collect()
}
