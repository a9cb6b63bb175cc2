//! Who we are, by name and password.

#![forbid(unsafe_code)]

use rdkafka::ClientConfig;
use serde::Deserialize;

use crate::property::Property;

/// The `sasl` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sasl {
    mechanism: Mechanism,
    username: Property,
    password: Property,
}

/// How the broker is convinced that we know the password.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Mechanism {
    /// It is sent.
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Sasl {
    pub(crate) fn configure(&self, config: &mut ClientConfig) {
        config
            .set("sasl.mechanism", self.mechanism.word())
            .set("sasl.username", self.username.value())
            .set("sasl.password", self.password.value());
    }

    pub(crate) fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What must not be printed.
    pub(crate) fn secrets(&self) -> [&str; 2] {
        [self.username.value(), self.password.value()]
    }
}

impl Mechanism {
    fn word(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// The properties that the table says.
pub(crate) const NAMES: &[&str] = &["sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password"];
