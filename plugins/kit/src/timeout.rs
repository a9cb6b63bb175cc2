//! A time limit as the configuration writes it.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A time limit: `"10s"`, `"500ms"`, `"2m"`, or a whole number of milliseconds. Never zero, at most one hour.
///
/// A text of digits alone is milliseconds too, so that a reference to an environment variable such as
/// `OTEL_EXPORTER_OTLP_TIMEOUT` can be used as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(Duration);

impl Timeout {
    /// What OpenTelemetry's exporters wait for one answer: ten seconds.
    pub const DEFAULT: Timeout = Timeout(Duration::from_secs(10));

    /// The limit as a duration.
    pub fn duration(self) -> Duration {
        self.0
    }

    fn from_millis(millis: u64) -> Result<Self, String> {
        if millis == 0 || millis > LONGEST_MILLIS {
            return Err(format!("a time limit is from 1ms to 60m, not {millis}ms"));
        }
        Ok(Timeout(Duration::from_millis(millis)))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let per_unit = match unit {
            "" | "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            _ => return Err(format!("takes {EXPECTED}")),
        };
        let number: u64 = number.parse().map_err(|_| format!("takes {EXPECTED}"))?;
        Self::from_millis(number.saturating_mul(per_unit))
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeoutVisitor)
    }
}

struct TimeoutVisitor;

impl Visitor<'_> for TimeoutVisitor {
    type Value = Timeout;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(EXPECTED)
    }

    fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Timeout, E> {
        Timeout::from_millis(millis).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timeout, E> {
        Timeout::parse(text).map_err(E::custom)
    }
}

const EXPECTED: &str = "a time limit such as \"10s\", \"500ms\" or a whole number of milliseconds";
const LONGEST_MILLIS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<u128, String> {
        serde_json::from_str::<Timeout>(json).map(|t| t.duration().as_millis()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_time_limit_has_a_unit_or_is_milliseconds() {
        assert_eq!(read("\"10s\""), Ok(10_000));
        assert_eq!(read("\"500ms\""), Ok(500));
        assert_eq!(read("\"2m\""), Ok(120_000));
        assert_eq!(read("\"2500\""), Ok(2_500));
        assert_eq!(read("2500"), Ok(2_500));
    }

    #[test]
    fn a_time_limit_that_makes_no_sense_is_refused() {
        for bad in [
            "0",
            "\"0s\"",
            "\"\"",
            "\"s\"",
            "\"10 s\"",
            "\"10h\"",
            "-1",
            "1.5",
            "true",
            "\"61m\"",
            "\"99999999999999999999s\"",
        ] {
            assert!(read(bad).is_err(), "{bad} was taken");
        }
    }
}
