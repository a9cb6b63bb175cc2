//! Consistent probability sampling: a trace is kept where its randomness reaches a threshold, and spans carry the threshold.
//!
//! OpenTelemetry's "TraceState: Probability Sampling". Services with different probabilities decide alike about one trace,
//! as far as they can: what the less willing keeps the more willing keeps too. And whoever counts spans knows for how many
//! each one stands.

/// How much of all randomness is rejected: 56 bits, below 2^56.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(u64);

/// `th` as text: 1 to 14 hexadecimal digits, without zeros at the end.
#[derive(Clone, Copy, Debug)]
pub struct ThresholdText {
    digits: [u8; DIGITS as usize],
    length: usize,
}

/// Hexadecimal digits of 56 bits.
const DIGITS: u32 = 14;
const MAX: u64 = 1 << 56;
/// Digits of a threshold, beyond those that are `f` anyway, which the specification recommends.
const PRECISION: u32 = 4;

impl Threshold {
    /// For this share of traces, to four digits; `None`: none of them, which is no probability.
    pub fn of(probability: f64) -> Option<Self> {
        let kept = (probability.clamp(0.0, 1.0) * MAX as f64).round() as u64;
        // Of a NaN too.
        if kept == 0 {
            return None;
        }
        let exact = MAX.saturating_sub(kept);
        // A digit more for each four times that the share is halved below 1.
        let halvings = kept.leading_zeros().saturating_sub(MAX.leading_zeros() + 1) / 4;
        let shift = 4 * DIGITS.saturating_sub(PRECISION + halvings);
        let half = (1_u64 << shift) >> 1;
        // A share of at least 16^-(n+1) leaves room to round up to `n + 4` digits.
        Some(Self((exact + half) >> shift << shift))
    }

    /// Reads `th`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let length = u32::try_from(text.len()).ok().filter(|length| (1..=DIGITS).contains(length))?;
        Some(Self(hexadecimal(text)? << (4 * (DIGITS - length))))
    }

    /// The least randomness that reaches it.
    #[inline]
    pub(crate) fn randomness(self) -> u64 {
        self.0
    }

    /// The one that only this randomness, and what is above it, reaches.
    #[inline]
    pub(crate) fn at(randomness: u64) -> Self {
        Self(randomness)
    }

    /// Whether a trace of this randomness is kept.
    #[inline]
    pub fn keeps(self, randomness: u64) -> bool {
        randomness >= self.0
    }

    /// What follows `th:`.
    pub fn text(self) -> ThresholdText {
        let mut digits = [b'0'; DIGITS as usize];
        let mut length = 1;
        for (index, digit) in digits.iter_mut().enumerate() {
            let shift = 4 * (DIGITS as usize - 1 - index);
            let value = (self.0 >> shift) as u8 & 0xf;
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
            if value != 0 {
                length = index + 1;
            }
        }
        ThresholdText { digits, length }
    }
}

impl ThresholdText {
    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(..self.length).unwrap_or_default()
    }
}

/// Reads `rv`: exactly 14 digits.
pub fn parse_randomness(text: &[u8]) -> Option<u64> {
    if text.len() == DIGITS as usize { hexadecimal(text) } else { None }
}

/// The randomness of a trace that says nothing else: the last 56 bits of its id.
#[inline]
pub fn randomness_of(trace_id: &[u8; 16]) -> u64 {
    u128::from_be_bytes(*trace_id) as u64 & (MAX - 1)
}

/// Digits in lower case, as both are written, so that they can be compared as texts; at most 16.
fn hexadecimal(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(threshold: Threshold) -> String {
        String::from_utf8(threshold.text().as_bytes().to_vec()).unwrap()
    }

    /// The table in "Converting floating-point probability to threshold value", precision 4.
    #[test]
    fn the_specification_s_table_of_thresholds() {
        for (one_in, th) in [
            (1.0, "0"),
            (2.0, "8"),
            (3.0, "aaab"),
            (4.0, "c"),
            (5.0, "cccd"),
            (8.0, "e"),
            (10.0, "e666"),
            (16.0, "f"),
            (100.0, "fd70a"),
            (1000.0, "ffbe77"),
            (10_000.0, "fff9724"),
            (100_000.0, "ffff583a"),
            (1_000_000.0, "ffffef39"),
        ] {
            assert_eq!(text(Threshold::of(1.0 / one_in).unwrap()), th, "1 in {one_in}");
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(Threshold::of(0.0), None);
        assert_eq!(Threshold::of(-1.0), None);
        assert_eq!(Threshold::of(f64::NAN), None);
        assert_eq!(Threshold::of(2.0), Threshold::of(1.0));
        assert_eq!(text(Threshold::of(2_f64.powi(-56)).unwrap()), "ffffffffffffff");
        assert!(Threshold::of(1.0).unwrap().keeps(0));
        assert!(Threshold::of(2_f64.powi(-56)).unwrap().keeps(MAX - 1));
        assert!(!Threshold::of(2_f64.powi(-56)).unwrap().keeps(MAX - 2));
    }

    #[test]
    fn what_is_no_threshold_and_no_randomness() {
        for text in ["", "8A", "0x8", "g", "8 ", "123456789abcdef", "-1"] {
            assert_eq!(Threshold::parse(text.as_bytes()), None, "{text:?}");
        }
        for text in ["", "8", "6e6d1a75832a2", "6e6d1a75832a2ff", "6E6d1a75832a2f", "6e6d1a75832a2g"] {
            assert_eq!(parse_randomness(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_randomness(b"6e6d1a75832a2f"), Some(0x6e_6d1a_7583_2a2f));
        assert_eq!(Threshold::parse(b"fd70a4"), Some(Threshold(0xfd_70a4_0000_0000)));
        assert_eq!(text(Threshold::parse(b"0800").unwrap()), "08");
    }

    #[test]
    fn the_randomness_of_a_trace_is_the_last_seven_bytes_of_its_id() {
        let id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
        assert_eq!(randomness_of(&id), 0xce_929d_0e0e_4736);
    }

    /// The specification's algorithm, which works on the digits of a hexadecimal fraction.
    fn by_the_specification(probability: f64) -> String {
        if probability == 1.0 {
            return "0".to_owned();
        }
        let exponent = i64::from(((probability.to_bits() >> 52) & 0x7ff) as u16) - 1022;
        let precision = (4 - exponent / 4).clamp(1, 12);
        let rejection = 2.0 - probability + 0.5 * 16_f64.powi(-(precision as i32));
        let digits =
            if rejection >= 2.0 { "f".repeat(13) } else { format!("{:013x}", rejection.to_bits() & ((1 << 52) - 1)) };
        let digits = digits[..precision as usize].trim_end_matches('0');
        if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Of shares that a double's 52 bits below one hold exactly, so that both compute without loss.
        #[test]
        fn thresholds_are_those_of_the_specification_s_own_algorithm(share in 1_u64 << 22..=1 << 50) {
            let probability = share as f64 / (1_u64 << 50) as f64;
            prop_assert_eq!(text(Threshold::of(probability).unwrap()), by_the_specification(probability));
        }

        #[test]
        fn a_threshold_is_read_as_it_was_written(threshold in 0..MAX) {
            let threshold = Threshold(threshold);
            prop_assert_eq!(Threshold::parse(threshold.text().as_bytes()), Some(threshold));
        }

        #[test]
        fn what_a_smaller_share_keeps_a_larger_one_keeps(one in 0.0..=1.0, other in 0.0..=1.0, randomness in 0..MAX) {
            let keeps = |share| Threshold::of(share).is_some_and(|threshold| threshold.keeps(randomness));
            let (less, more) = if one < other { (one, other) } else { (other, one) };
            prop_assert!(!keeps(less) || keeps(more), "{less} {more}");
        }

        #[test]
        fn the_share_that_is_kept_is_the_one_asked_for_to_four_digits(share in 1e-9..=1.0) {
            let kept = (MAX - Threshold::of(share).unwrap().0) as f64 / MAX as f64;
            prop_assert!((kept / share - 1.0).abs() <= 1.0 / 8192.0 * 16.0, "{share} {kept}");
        }
    }
}
