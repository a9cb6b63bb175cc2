//! Values that stand for those that a histogram has counted.

#![forbid(unsafe_code)]

/// For each bucket in which anything was counted, one value and how often it is to be recorded: each in its bucket, and all
/// of them together as much as `sum`, as far as their buckets let them.
///
/// What was measured itself fulfils both, so there are such values; what rounding leaves over is for the next time.
pub(super) fn stand_ins(bounds: &[f64], counts: &[u64], sum: f64) -> Vec<(f64, u64)> {
    let lower = |bucket: usize| bucket.checked_sub(1).and_then(|below| bounds.get(below)).copied().unwrap_or(0.0);
    let closed =
        || counts.iter().zip(bounds).enumerate().map(|(bucket, (count, upper))| (lower(bucket), *upper, *count));
    let least: f64 = closed().map(|(lower, _, count)| lower * count as f64).sum();
    let most: f64 = closed().map(|(_, upper, count)| upper * count as f64).sum();
    // The last bucket has no end: where it has values, they take what the others leave.
    let open = counts.get(bounds.len()).copied().unwrap_or(0);
    let above = lower(bounds.len()).next_up();
    let in_open = if open == 0 { above } else { above.max((sum - f64::midpoint(least, most)) / open as f64) };
    let left = sum - in_open * open as f64;
    let share = if most > least { ((left - least) / (most - least)).clamp(0.0, 1.0) } else { 0.0 };
    closed()
        .map(|(lower, upper, count)| {
            // The lower bound is the last value of the bucket below; zero has none below it.
            let least = if lower > 0.0 { lower.next_up() } else { lower };
            ((lower + share * (upper - lower)).clamp(least, upper), count)
        })
        .chain(std::iter::once((in_open, open)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: [f64; 4] = [0.005, 0.1, 1.0, 7.5];

    fn bucket(value: f64) -> usize {
        BOUNDS.iter().filter(|bound| value > **bound).count()
    }

    fn counted(values: &[f64]) -> [u64; 5] {
        let mut counts = [0; 5];
        values.iter().for_each(|value| counts[bucket(*value)] += 1);
        counts
    }

    #[test]
    fn a_value_that_was_measured_alone_is_recorded_as_it_is() {
        for value in [0.0, 0.001, 0.005, 0.0051, 0.1, 0.3, 7.5, 7.6, 3_600.0] {
            let found = stand_ins(&BOUNDS, &counted(&[value]), value);
            let [(found, 1)] = found[..] else { panic!("{found:?}") };
            assert!((found - value).abs() <= 1e-12 * value && bucket(found) == bucket(value), "{found} {value}");
        }
        assert_eq!(stand_ins(&BOUNDS, &[0; 5], 0.0), []);
    }

    #[test]
    fn a_sum_that_was_read_a_moment_before_or_after_the_counts_moves_no_value_out_of_its_bucket() {
        for sum in [-1.0, 0.0, 1e9] {
            for (place, (value, count)) in stand_ins(&BOUNDS, &[1, 2, 3, 4, 5], sum).into_iter().enumerate() {
                assert_eq!((bucket(value), count), (place, place as u64 + 1), "{sum}: {value}");
            }
        }
    }

    proptest! {
        #[test]
        fn counts_and_sum_are_those_of_what_was_measured(values in prop::collection::vec(0.0..20.0_f64, 1..50)) {
            let (counts, sum) = (counted(&values), values.iter().sum::<f64>());
            let found = stand_ins(&BOUNDS, &counts, sum);
            let mut again = [0; 5];
            found.iter().for_each(|(value, count)| again[bucket(*value)] += count);
            prop_assert_eq!(again, counts);
            let total: f64 = found.iter().map(|(value, count)| value * *count as f64).sum();
            prop_assert!((total - sum).abs() < 1e-9, "{} {}", total, sum);
        }
    }
}
