//! The host's side of a backend (`timeout`, `queue_bytes`, …), and `[batch]`.

#![forbid(unsafe_code)]

use std::ops::RangeInclusive;
use std::time::Duration;

use super::code;
use super::findings::{Broken, Findings};
use super::keys;
use super::layer::{Said, said};
use super::model::{Batch, Retry};
use super::report::Problem;
use super::section::Section;

/// What a section says about how the host treats a backend.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HostLayer {
    timeout: Said<Duration>,
    concurrency: Said<usize>,
    queue_bytes: Said<usize>,
    initial: Said<Duration>,
    max: Said<Duration>,
    max_elapsed: Said<Duration>,
}

/// All of it, in effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostSettings {
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) retry: Retry,
}

impl HostLayer {
    pub(crate) fn read(section: &Section<'_>, findings: &mut Findings) -> Self {
        let mut layer = Self {
            timeout: section.field("timeout").map(|field| field.duration(TIMES, findings)),
            concurrency: section.field("concurrency").map(|field| {
                let value = field.integer(1..=64, findings)?;
                usize::try_from(value).map_err(|_| Broken)
            }),
            queue_bytes: section.field("queue_bytes").map(|field| field.bytes(QUEUE_BYTES, findings)),
            ..Self::default()
        };
        let Some(field) = section.field("retry") else { return layer };
        match Section::open(field, "retry = { initial, max, max_elapsed }".into(), keys::RETRY, findings) {
            Ok(retry) => {
                layer.initial = retry.field("initial").map(|field| field.duration(TIMES, findings));
                layer.max = retry.field("max").map(|field| field.duration(TIMES, findings));
                layer.max_elapsed = retry.field("max_elapsed").map(|field| field.duration(LONG_TIMES, findings));
            }
            Err(broken) => layer.initial = Some(Err(broken)),
        }
        layer
    }

    /// This laid over `below`.
    #[must_use]
    fn over(&self, below: &Self) -> Self {
        Self {
            timeout: self.timeout.or(below.timeout),
            concurrency: self.concurrency.or(below.concurrency),
            queue_bytes: self.queue_bytes.or(below.queue_bytes),
            initial: self.initial.or(below.initial),
            max: self.max.or(below.max),
            max_elapsed: self.max_elapsed.or(below.max_elapsed),
        }
    }

    /// What it comes to, if it says everything.
    pub(crate) fn in_effect(&self) -> Result<HostSettings, Broken> {
        Ok(HostSettings {
            timeout: said(self.timeout)?,
            concurrency: said(self.concurrency)?,
            queue_bytes: said(self.queue_bytes)?,
            retry: Retry { initial: said(self.initial)?, max: said(self.max)?, max_elapsed: said(self.max_elapsed)? },
        })
    }

    /// This laid over `below`; a retry whose first pause is longer than its longest is refused.
    pub(crate) fn settings(
        &self,
        below: &Self,
        section: &Section<'_>,
        findings: &mut Findings,
    ) -> Result<HostSettings, Broken> {
        let settings = self.over(below).in_effect()?;
        let Retry { initial, max, max_elapsed } = settings.retry;
        if initial <= max && initial <= max_elapsed {
            return Ok(settings);
        }
        let message = format!(
            "{}: `retry.initial` is the shortest pause, and cannot be longer than `max` or `max_elapsed`",
            section.title
        );
        let span = section.field("retry").map_or(section.span.clone(), |field| field.span());
        Err(findings.refuse(
            Problem::error(code::CONTRADICTION, message)
                .at(span, format!("in effect: initial {initial:?}, max {max:?}, max_elapsed {max_elapsed:?}")),
        ))
    }
}

/// What `[batch]` says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BatchLayer {
    pub(crate) delay: Said<Duration>,
    pub(crate) max_bytes: Said<usize>,
}

impl BatchLayer {
    pub(crate) fn read(section: &Section<'_>, findings: &mut Findings) -> Self {
        Self {
            delay: section.field("delay").map(|field| field.duration(TIMES, findings)),
            max_bytes: section.field("max_bytes").map(|field| field.bytes(BATCH_BYTES, findings)),
        }
    }

    /// This laid over `below`.
    pub(crate) fn settings(&self, below: &Self) -> Result<Batch, Broken> {
        Ok(Batch { delay: said(self.delay.or(below.delay))?, max_bytes: said(self.max_bytes.or(below.max_bytes))? })
    }
}

const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
const LONG_TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
const QUEUE_BYTES: RangeInclusive<u64> = (64 << 10)..=(4 << 30);
const BATCH_BYTES: RangeInclusive<u64> = (4 << 10)..=(64 << 20);
