//! The keys of `[backends.NAME]` that say how batches are sent, and `[batch]`.

#![forbid(unsafe_code)]

use std::ops::RangeInclusive;
use std::time::Duration;

use super::keys;
use super::section::Section;
use crate::config::draft::sending::{BatchLayer, SendingLayer, SendingSettings};
use crate::config::model::{QueueBytes, Retry};
use crate::config::reading::field::Field;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;

/// What `section` says of the sending to its backend.
pub(super) fn read(section: &Section<'_>, findings: &mut Findings) -> SendingLayer {
    let mut layer = SendingLayer {
        timeout: section.field("timeout").map(|field| field.duration(TIMES, findings)),
        concurrency: section.field("concurrency").map(|field| {
            let value = field.integer(1..=64, findings)?;
            usize::try_from(value).map_err(|_| Broken)
        }),
        queue_bytes: section.field("queue_bytes").map(|field| queue_bytes(field, findings)),
        shed_traces: section.field("shed_traces").map(|field| field.boolean(findings)),
        spool_limit: section.field("spool_limit").map(|field| field.bytes(SPOOL_BYTES, findings)),
        ..SendingLayer::default()
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

/// A size, or the word for one that is found when it is needed.
fn queue_bytes(field: Field<'_>, findings: &mut Findings) -> Result<QueueBytes, Broken> {
    if field.is_word(AUTO) {
        return Ok(QueueBytes::Auto);
    }
    field.bytes(QUEUE_BYTES, findings).map(QueueBytes::Fixed)
}

/// What `section` says, laid over `below`; a retry whose first pause is longer than its longest is refused.
pub(super) fn in_effect(
    section: &Section<'_>,
    below: &SendingLayer,
    findings: &mut Findings,
) -> Result<SendingSettings, Broken> {
    let settings = read(section, findings).over(below).in_effect()?;
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

/// What `[batch]` says.
pub(super) fn read_batch(section: &Section<'_>, findings: &mut Findings) -> BatchLayer {
    BatchLayer {
        delay: section.field("delay").map(|field| field.duration(TIMES, findings)),
        max_bytes: section.field("max_bytes").map(|field| field.bytes(BATCH_BYTES, findings)),
    }
}

const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
const LONG_TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
const AUTO: &str = "auto";
const QUEUE_BYTES: RangeInclusive<u64> = (64 << 10)..=(4 << 30);
const SPOOL_BYTES: RangeInclusive<u64> = (1 << 20)..=(1 << 40);
const BATCH_BYTES: RangeInclusive<u64> = (4 << 10)..=(64 << 20);
