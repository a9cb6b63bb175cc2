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

/// Whether `wide` certainly matches every name that `narrow` matches. `false` means that nothing is known.
///
/// A glob is taken as a name whose wildcards only wildcards match: what then matches, matches all that it stands for.
pub(super) fn covers(wide: &Pattern, narrow: &Pattern) -> bool {
    match (wide, narrow) {
        (Pattern::Regex(regex), Pattern::Exact(name)) => regex.is_match(name),
        (Pattern::Regex(wide), Pattern::Regex(narrow)) => wide.as_str() == narrow.as_str(),
        (Pattern::Exact(wide), Pattern::Exact(narrow)) => wide == narrow,
        (Pattern::Glob(wide), Pattern::Exact(narrow) | Pattern::Glob(narrow)) => {
            wide.len().max(narrow.len()) <= MAX_COVER && glob_covers(wide, narrow)
        }
        // All there is.
        (Pattern::Glob(wide), Pattern::Regex(_)) => wide.chars().all(|c| c == '*') && !wide.is_empty(),
        (Pattern::Regex(_), Pattern::Glob(_)) | (Pattern::Exact(_), _) => false,
    }
}

/// As a name is matched: a star takes as little as the rest lets it.
fn glob_covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.chars(), narrow.chars());
    // What stands behind the latest star, and the tail of `narrow` from which that is tried next.
    let mut star = None;
    loop {
        let (mut wide_rest, mut narrow_rest) = (wide.clone(), narrow.clone());
        match (wide_rest.next(), narrow_rest.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((wide_rest.clone(), narrow.clone()));
                wide = wide_rest;
                continue;
            }
            // A star can only take more.
            (Some(_), None) => return false,
            (Some(w), Some(n)) if w == n || w == '?' && n != '*' => {
                (wide, narrow) = (wide_rest, narrow_rest);
                continue;
            }
            (_, Some(_)) => {}
        }
        let Some((behind, from)) = &mut star else { return false };
        from.next();
        (wide, narrow) = (behind.clone(), from.clone());
    }
}

/// Longer patterns are not looked at: the work grows with the product of their lengths.
const MAX_COVER: usize = 512;

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

    #[test]
    fn what_is_certain_to_be_covered_is_known() {
        let of = |text: &str| crate::config::reading::pattern::from_text(text);
        for (wide, narrow) in [("*", "a.*"), ("a*", "a.*"), ("a*", "ab"), ("a?c", "a?c"), ("*b", "a*b"), ("**", "*?")] {
            assert!(covers(&of(wide), &of(narrow)), "{wide} {narrow}");
        }
        for (wide, narrow) in [("a*", "*a"), ("?", "*"), ("a", "a*"), ("", "a"), ("a?", "a")] {
            assert!(!covers(&of(wide), &of(narrow)), "{wide} {narrow}");
        }
    }

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
        fn a_glob_that_covers_another_matches_all_that_the_other_matches(wide in "[ab*?]{0,4}", narrow in "[ab*?]{0,4}") {
            let regex =
                |glob: &str| regex::Regex::new(&format!("^{}$", glob.replace('*', ".*").replace('?', "."))).unwrap();
            if glob_covers(&wide, &narrow) {
                let (wide, narrow) = (regex(&wide), regex(&narrow));
                let mut names = vec![String::new()];
                for _ in 0..6 {
                    prop_assert!(names.iter().all(|name| !narrow.is_match(name) || wide.is_match(name)));
                    names = names.iter().flat_map(|name| [format!("{name}a"), format!("{name}b")]).collect();
                }
            }
        }

        #[test]
        fn two_globs_meet_exactly_when_some_name_matches_both(left in "[ab*?]{0,4}", right in "[ab*?]{0,4}") {
            // Four letters are enough: each letter of a common name can be made to come from one of the globs.
            let names_are_long_enough = left.chars().chain(right.chars()).filter(|c| *c != '*').count() <= 4;
            prop_assume!(names_are_long_enough);
            prop_assert_eq!(globs_meet(&left, &right), some_name_matches_both(&left, &right), "{} {}", left, right);
        }
    }
}
