//! Times and sizes with their units, as they are written: `500ms`, `8MiB`.

#![forbid(unsafe_code)]

use std::time::Duration;

/// `500ms`, `5s`, `2m`, `1h`: whole numbers with a unit; as milliseconds.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds)
}

/// `8MiB`, `512KiB`, `1GiB`, `2MB` (of a million), `100B`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// What to write in place of a time that is written as elsewhere: `30sec`, `0.5s`, `10`.
pub(crate) fn meant_duration(text: &str) -> Option<String> {
    let (number, unit) = fraction(text)?;
    let factor = match unit.as_str() {
        "" => {
            return Some(format!("\"{}s\" for seconds, or \"{}ms\"", text.trim(), text.trim()))
                .filter(|_| number.fract() == 0.0);
        }
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hour" | "hours" => 3_600_000.0,
        _ => return None,
    };
    let milliseconds = number * factor;
    let is_whole = milliseconds.fract() == 0.0 && (1.0..1e12).contains(&milliseconds);
    let time = is_whole.then(|| Duration::from_secs_f64(milliseconds / 1_000.0))?;
    Some(format!("\"{}\"", written_duration(time)))
}

/// What to write in place of a size that is written as elsewhere: `64M`, `8mib`.
pub(crate) fn meant_bytes(text: &str) -> Option<String> {
    let (number, unit) = fraction(text)?;
    let unit = match unit.as_str() {
        "k" | "ki" | "kib" => "KiB",
        "m" | "mi" | "mib" => "MiB",
        "g" | "gi" | "gib" => "GiB",
        "kb" => "kB",
        "mb" => "MB",
        "gb" => "GB",
        "b" | "byte" | "bytes" => "B",
        _ => return None,
    };
    (number.fract() == 0.0).then(|| format!("\"{number}{unit}\""))
}

/// The way to write `value` that a person would choose.
pub fn written_duration(value: Duration) -> String {
    let milliseconds = value.as_millis();
    match [(3_600_000, "h"), (60_000, "m"), (1_000, "s")].iter().find(|(unit, _)| milliseconds % unit == 0) {
        Some((unit, name)) if milliseconds > 0 => format!("{}{name}", milliseconds / unit),
        _ => format!("{milliseconds}ms"),
    }
}

/// The way to write `value` that a person would choose.
pub fn written_bytes(value: u64) -> String {
    match [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")].iter().find(|(unit, _)| value % unit == 0) {
        Some((unit, name)) if value > 0 => format!("{}{name}", value / unit),
        _ => format!("{value}B"),
    }
}

/// `12ms` → (12, `ms`). One blank may stand between them.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.strip_prefix(' ').unwrap_or(unit)))
}

/// `0.5 Sec` → (0.5, `sec`).
fn fraction(text: &str) -> Option<(f64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_with_their_units_and_not_without() {
        assert_eq!(duration_ms("500ms"), Some(500));
        assert_eq!(duration_ms("5 s"), Some(5000));
        assert_eq!(duration_ms("2h"), Some(7_200_000));
        assert_eq!(bytes("8MiB"), Some(8 << 20));
        assert_eq!(bytes("2MB"), Some(2_000_000));
        for text in ["", "5", "s", "-5s", "5 seconds", "1.5s", "99999999999999999999s", "99999999999999999h"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
        for text in ["8", "MiB", "8mib", "99999999999999999GiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for milliseconds in [1, 500, 1000, 90_000, 3_600_000] {
            let written = written_duration(Duration::from_millis(milliseconds));
            assert_eq!(duration_ms(&written), Some(milliseconds));
        }
        for value in [1, 1024, 1 << 20, 3 << 30, 1000] {
            assert_eq!(bytes(&written_bytes(value)), Some(value));
        }
    }
}
