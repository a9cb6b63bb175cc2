//! How batches are sent to a backend (`timeout`, `concurrency`, `queue_bytes`, `retry`), and when they are full
//! (`[batch]`).

#![forbid(unsafe_code)]

use std::time::Duration;

use super::layer::{Said, said};
use crate::config::model::{Batch, QueueBytes, Retry};
use crate::config::report::findings::Broken;

/// What one section says about the sending to a backend.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendingLayer {
    pub(crate) timeout: Said<Duration>,
    pub(crate) concurrency: Said<usize>,
    pub(crate) queue_bytes: Said<QueueBytes>,
    pub(crate) shed_traces: Said<bool>,
    pub(crate) spool_limit: Said<usize>,
    pub(crate) initial: Said<Duration>,
    pub(crate) max: Said<Duration>,
    pub(crate) max_elapsed: Said<Duration>,
}

/// All of it, in effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendingSettings {
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
    pub(crate) queue_bytes: QueueBytes,
    pub(crate) shed_traces: bool,
    pub(crate) spool_limit: usize,
    pub(crate) retry: Retry,
}

impl SendingLayer {
    /// This laid over `below`.
    #[must_use]
    pub(crate) fn over(&self, below: &Self) -> Self {
        Self {
            timeout: self.timeout.or(below.timeout),
            concurrency: self.concurrency.or(below.concurrency),
            queue_bytes: self.queue_bytes.or(below.queue_bytes),
            shed_traces: self.shed_traces.or(below.shed_traces),
            spool_limit: self.spool_limit.or(below.spool_limit),
            initial: self.initial.or(below.initial),
            max: self.max.or(below.max),
            max_elapsed: self.max_elapsed.or(below.max_elapsed),
        }
    }

    /// What it comes to, if it says everything.
    pub(crate) fn in_effect(&self) -> Result<SendingSettings, Broken> {
        Ok(SendingSettings {
            timeout: said(self.timeout)?,
            concurrency: said(self.concurrency)?,
            queue_bytes: said(self.queue_bytes)?,
            shed_traces: said(self.shed_traces)?,
            spool_limit: said(self.spool_limit)?,
            retry: Retry { initial: said(self.initial)?, max: said(self.max)?, max_elapsed: said(self.max_elapsed)? },
        })
    }
}

/// What `[batch]` says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BatchLayer {
    pub(crate) delay: Said<Duration>,
    pub(crate) max_bytes: Said<usize>,
}

impl BatchLayer {
    /// This laid over `below`.
    #[must_use]
    pub(crate) fn over(&self, below: &Self) -> Self {
        Self { delay: self.delay.or(below.delay), max_bytes: self.max_bytes.or(below.max_bytes) }
    }

    /// What it comes to, if it says everything.
    pub(crate) fn in_effect(&self) -> Result<Batch, Broken> {
        Ok(Batch { delay: said(self.delay)?, max_bytes: said(self.max_bytes)? })
    }
}
