//! Whether two patterns can match the same name.

#![forbid(unsafe_code)]

use crate::config::model::Pattern;

/// Whether some name matches both. A regular expression is taken to meet every glob: that is not decidable cheaply,
/// and the answer only suppresses a warning.
pub(super) fn meet(left: &Pattern, right: &Pattern) -> bool {
    match (left, right) {
        (Pattern::Regex(regex), Pattern::Exact(name)) | (Pattern::Exact(name), Pattern::Regex(regex)) => {
            regex.is_match(name)
        }
        (Pattern::Regex(_), _) | (_, Pattern::Regex(_)) => true,
        (Pattern::Exact(left), Pattern::Exact(right)) => left == right,
        (Pattern::Exact(left) | Pattern::Glob(left), Pattern::Exact(right) | Pattern::Glob(right)) => {
            globs_meet(left, right)
        }
    }
}

/// The number of characters of a glob that stand for themselves.
pub(super) fn literal_characters(glob: &str) -> usize {
    glob.chars().filter(|c| !matches!(c, '*' | '?')).count()
}

/// Walks both globs at once, from their ends: `row[j]` says whether the tails `left[i..]` and `right[j..]` meet.
fn globs_meet(left: &str, right: &str) -> bool {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut below = tails_of_nothing(&right);
    for l in left.iter().rev() {
        // Against the empty tail of `right`, only stars can be left over.
        let mut row = vec![*l == '*' && below.last().copied().unwrap_or(false)];
        for (j, r) in right.iter().enumerate().rev() {
            let right_shorter = row.last().copied().unwrap_or(false);
            let at = |offset: usize| below.get(j + offset).copied().unwrap_or(false);
            row.push(match (*l, *r) {
                ('*', _) | (_, '*') => at(0) || right_shorter || at(1),
                ('?', _) | (_, '?') => at(1),
                (l, r) => l == r && at(1),
            });
        }
        row.reverse();
        below = row;
    }
    below.first().copied().unwrap_or(false)
}

/// For each tail of `glob`, whether it matches the empty name.
fn tails_of_nothing(glob: &[char]) -> Vec<bool> {
    let stars = glob.iter().rev().take_while(|c| **c == '*').count();
    (0..=glob.len()).map(|at| at + stars >= glob.len()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Another way to the same answer: every name of up to four letters is tried.
    fn some_name_matches_both(left: &str, right: &str) -> bool {
        let regex =
            |glob: &str| regex::Regex::new(&format!("^{}$", glob.replace('*', ".*").replace('?', "."))).unwrap();
        let (left, right) = (regex(left), regex(right));
        let mut names = vec![String::new()];
        for length in 0..4 {
            let longer: Vec<String> =
                names.iter().filter(|n| n.len() == length).flat_map(|n| [format!("{n}a"), format!("{n}b")]).collect();
            names.extend(longer);
        }
        names.iter().any(|name| left.is_match(name) && right.is_match(name))
    }

    proptest! {
        #[test]
        fn two_globs_meet_exactly_when_some_name_matches_both(left in "[ab*?]{0,4}", right in "[ab*?]{0,4}") {
            // Four letters are enough: each letter of a common name can be made to come from one of the globs.
            let names_are_long_enough = left.chars().chain(right.chars()).filter(|c| *c != '*').count() <= 4;
            prop_assume!(names_are_long_enough);
            prop_assert_eq!(globs_meet(&left, &right), some_name_matches_both(&left, &right), "{} {}", left, right);
        }
    }
}
