//! Who met a topic, and whose its messages are.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

use crate::services::Side;

/// Who met a topic.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) side: Side,
    pub(crate) client_id: String,
    pub(crate) group_id: Option<String>,
    /// The number of the service that the program bound the client to.
    pub(crate) bound: Option<usize>,
}

/// Whose a topic's messages are, by the rules of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// This service's, by its index, which traces them by the settings of this slot.
    Traced {
        service: usize,
        slot: usize,
    },
    /// This service's, which does not (`trace = "off"`).
    Untraced(usize),
    /// A service's that excludes them.
    Excluded,
    Nobody,
}

/// The same whatever a reload brings: by the numbers of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Traced(usize),
    Untraced(usize),
    Excluded,
    Nobody,
}

impl Owner {
    pub(crate) fn service(self) -> Option<usize> {
        match self {
            Self::Traced(service) | Self::Untraced(service) => Some(service),
            Self::Excluded | Self::Nobody => None,
        }
    }
}

impl Who {
    /// Which client of which side, for a sentence.
    pub(super) fn describe(&self) -> String {
        let mut text = match self.side {
            Side::Produce => "produced".to_owned(),
            Side::Consume => "consumed".to_owned(),
        };
        // Writing into a `String` cannot fail.
        let _ = write!(text, " by client `{}`", self.client_id);
        if let Some(group) = &self.group_id {
            let _ = write!(text, ", group `{group}`");
        }
        text
    }
}

/// A side in the words of [`super::Stats`].
pub(super) fn word(side: Side) -> &'static str {
    match side {
        Side::Produce => "produce",
        Side::Consume => "consume",
    }
}
