//! How long the exports to one backend took, from the first try of a batch to the end of its last.

use std::time::Duration;

use super::drop_reason::DropReason;
use super::finished_batch::Signal;

/// Upper bounds, in seconds: OpenTelemetry's for durations of requests.
pub(crate) const DURATION_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Durations of one signal that ended in one way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operations {
    pub(crate) signal: Signal,
    /// Why the batch is lost; `None`: the backend took it, be it in part.
    pub(crate) lost: Option<DropReason>,
    /// One more than there are bounds.
    pub(crate) counts: [u64; DURATION_BOUNDS.len() + 1],
    /// Seconds.
    pub(crate) sum: f64,
}

/// Adds those of another queue of the same backend.
pub(super) fn add(to: &mut Vec<Operations>, more: &[Operations]) {
    for of in more {
        match to.iter_mut().find(|known| known.signal == of.signal && known.lost == of.lost) {
            Some(known) => {
                known.counts.iter_mut().zip(of.counts).for_each(|(sum, count)| *sum += count);
                known.sum += of.sum;
            }
            None => to.push(of.clone()),
        }
    }
}

/// Those of one backend. A place for each way that was met: a handful.
#[derive(Clone, Debug, Default)]
pub(super) struct OperationDurations(Vec<Operations>);

impl OperationDurations {
    pub(super) fn ended(&mut self, signal: Signal, lost: Option<DropReason>, took: Duration) {
        let place = self.0.iter().position(|known| known.signal == signal && known.lost == lost).unwrap_or_else(|| {
            self.0.push(Operations { signal, lost, counts: [0; DURATION_BOUNDS.len() + 1], sum: 0.0 });
            self.0.len() - 1
        });
        let Some(operations) = self.0.get_mut(place) else { return };
        let seconds = took.as_secs_f64();
        operations.sum += seconds;
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = operations.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    pub(super) fn all(&self) -> &[Operations] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_that_is_a_bound_is_in_the_bucket_below_it() {
        let mut durations = OperationDurations::default();
        for seconds in [0.0, 0.005, 0.006, 10.0, 60.0] {
            durations.ended(Signal::Traces, None, Duration::from_secs_f64(seconds));
        }
        durations.ended(Signal::Traces, Some(DropReason::Rejected), Duration::from_secs(1));
        durations.ended(Signal::Metrics, None, Duration::from_secs(1));
        let counts = durations.all()[0].counts;
        assert_eq!((counts[0], counts[1], counts[13], counts[14]), (2, 1, 1, 1));
        assert!((durations.all()[0].sum - 70.011).abs() < 1e-9);
        assert_eq!(durations.all().len(), 3);
    }
}
