//! A number of bytes as the configuration writes it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A number of bytes: `"64KiB"`, `"100MiB"`, `"1GiB"`, or a whole number of bytes. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// `count` mebibytes, for defaults.
    pub const fn mebibytes(count: u32) -> Self {
        ByteSize(count as u64 * MEBIBYTE)
    }

    /// So many bytes, for defaults.
    pub const fn of(bytes: u32) -> Self {
        ByteSize(bytes as u64)
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    fn from_bytes(bytes: u64) -> Result<Self, String> {
        if bytes == 0 { Err("a size is at least one byte".to_owned()) } else { Ok(ByteSize(bytes)) }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let per_unit = match unit {
            "" | "B" => 1,
            "KiB" => KIBIBYTE,
            "MiB" => MEBIBYTE,
            "GiB" => GIBIBYTE,
            _ => return Err(format!("takes {EXPECTED}")),
        };
        let number: u64 = number.parse().map_err(|_| format!("takes {EXPECTED}"))?;
        let bytes = number.checked_mul(per_unit).ok_or_else(|| "more bytes than 64 bits can count".to_owned())?;
        Self::from_bytes(bytes)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ByteSizeVisitor)
    }
}

struct ByteSizeVisitor;

impl Visitor<'_> for ByteSizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(EXPECTED)
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        ByteSize::from_bytes(bytes).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        ByteSize::parse(text).map_err(E::custom)
    }
}

const EXPECTED: &str = "a size such as \"64KiB\", \"100MiB\" or a whole number of bytes";
const KIBIBYTE: u64 = 1 << 10;
const MEBIBYTE: u64 = 1 << 20;
const GIBIBYTE: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<u64, String> {
        serde_json::from_str::<ByteSize>(json).map(ByteSize::bytes).map_err(|e| e.to_string())
    }

    #[test]
    fn a_size_has_a_binary_unit_or_is_bytes() {
        assert_eq!(read("\"64KiB\""), Ok(65_536));
        assert_eq!(read("\"100MiB\""), Ok(104_857_600));
        assert_eq!(read("\"1GiB\""), Ok(1_073_741_824));
        assert_eq!(read("\"512\""), Ok(512));
        assert_eq!(read("512"), Ok(512));
    }

    #[test]
    fn a_size_that_makes_no_sense_is_refused() {
        for bad in ["0", "\"0MiB\"", "\"\"", "\"MiB\"", "\"1 MiB\"", "\"1MB\"", "-1", "1.5", "\"99999999999GiB\""] {
            assert!(read(bad).is_err(), "{bad} was taken");
        }
    }
}
