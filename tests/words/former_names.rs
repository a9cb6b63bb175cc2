//! Former names of the words, for tests that are written while they change.

use std::ops::Deref;

use tracer_resolver::Resolver;

use crate::kafka::Kafka;
use crate::receivers::OtlpReceiver;
use crate::{Traced, WayIn, load};

/// Now [`load`] of a file.
pub fn resolver_to(endpoint: &str, settings: &str) -> Resolver {
    load(crate::configuration::completed(&format!("{}{settings}", crate::ONE_SERVICE), endpoint))
}

impl OtlpReceiver {
    /// Now [`OtlpReceiver::start`].
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start_reading_later() -> std::io::Result<Self> {
        Self::start()
    }
}

/// Now [`Traced`].
pub type TracedCluster = Traced;

/// Now [`WayIn`].
pub type Door = WayIn;

#[expect(non_upper_case_globals, reason = "as it was written")]
impl WayIn {
    /// Now [`WayIn::None`].
    pub const Closed: WayIn = WayIn::None;
    /// Now [`WayIn::EACH`].
    pub const TRACED: [WayIn; 2] = WayIn::EACH;
}

/// Now [`Traced`], whose `traces` forgets nothing.
pub struct Surroundings(Traced);

impl Surroundings {
    /// Now [`Traced::start`], or [`Traced::on`] a cluster of several partitions.
    pub fn start(topics: &[&str], partitions: i32, configuration: &str) -> Self {
        Self(Traced::on(Kafka::start_with(topics, partitions), configuration))
    }

    /// Now [`Traced::send_numbered`].
    pub fn send_untraced(&self, topic: &str, count: usize) {
        self.0.send_numbered(topic, count);
    }

    /// Now [`Traced::take_traces`].
    pub fn traces(&self) -> String {
        self.0.take_traces()
    }
}

impl Deref for Surroundings {
    type Target = Traced;

    fn deref(&self) -> &Traced {
        &self.0
    }
}
