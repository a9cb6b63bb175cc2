//! Globs over names: `*` is any run of characters, dots too; `?` is one.

/// Whether all of `name` matches `pattern`.
///
/// Allocates nothing. A character is a Unicode scalar value, and there is no escape: Kafka allows neither `*` nor `?` in
/// a topic's name. Only the last star is ever tried again, so the cost is bounded by the product of both lengths and
/// linear for patterns whose pieces between stars are short (why that is enough: `RATIONALE.md`).
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    matches_characters(pattern.chars(), name.chars())
}

/// The same of ASCII letters in any case, and of bytes that need not be text.
pub(crate) fn matches_in_any_case(pattern: &str, bytes: &[u8]) -> bool {
    let characters = bytes.utf8_chunks().flat_map(|chunk| {
        chunk.valid().chars().chain((!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER))
    });
    let lower = |character: char| character.to_ascii_lowercase();
    matches_characters(pattern.chars().map(lower), characters.map(lower))
}

fn matches_characters<P, N>(mut pattern: P, mut name: N) -> bool
where
    P: Iterator<Item = char> + Clone,
    N: Iterator<Item = char> + Clone,
{
    let mut last_star: Option<Star<P, N>> = None;
    loop {
        let (wanted, found) = (pattern.clone().next(), name.clone().next());
        match (wanted, found) {
            (Some('*'), _) => {
                pattern.next();
                last_star = Some(Star { pattern_after: pattern.clone(), run_ends: name.clone() });
            }
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern.next();
                name.next();
            }
            // The name is used up and the pattern wants more: a longer run of the star would only leave less.
            (Some(_), None) => return false,
            (_, Some(_)) => {
                let Some(star) = &mut last_star else { return false };
                star.run_ends.next();
                pattern = star.pattern_after.clone();
                name = star.run_ends.clone();
            }
        }
    }
}

/// The characters that stand for themselves; the measure of how specific a glob is.
pub(super) fn literal_characters(pattern: &str) -> usize {
    pattern.chars().filter(|character| !matches!(character, '*' | '?')).count()
}

/// Where to go on when what follows a star did not match.
struct Star<P, N> {
    pattern_after: P,
    /// Where the run that the star stands for ends, so far.
    run_ends: N,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_any_run_of_characters_dots_too() {
        for name in ["payments.", "payments.card", "payments.card.visa", "payments.*"] {
            assert!(matches("payments.*", name), "{name}");
        }
        assert!(!matches("payments.*", "payments"));
        assert!(matches("*", ""));
        assert!(matches("a**b", "ab"));
        assert!(matches("*.dlq", "orders.eu.dlq"));
    }

    #[test]
    fn a_question_mark_is_one_character_not_one_byte() {
        assert!(matches("stra?e", "straße"));
        assert!(matches("?", "\u{1F980}"));
        assert!(!matches("?", ""));
        assert!(!matches("?", "ab"));
    }

    #[test]
    fn a_glob_is_anchored_at_both_ends_and_knows_case() {
        assert!(!matches("order?", "my-orders"));
        assert!(!matches("order?", "orders-eu"));
        assert!(!matches("Order?", "orders"));
    }

    #[test]
    fn bytes_are_matched_in_any_case_and_what_is_no_text_is_one_character_a_piece() {
        assert!(matches_in_any_case("*Auth*", b"x-AUTHORIZATION"));
        assert!(matches_in_any_case("bearer *", b"Bearer \xff\xfe"));
        assert!(matches_in_any_case("?", b"\xff"));
        assert!(!matches_in_any_case("*token*", b"to-ken"));
        assert!(!matches_in_any_case("a", b""));
    }

    #[test]
    fn a_hostile_pattern_stays_cheap() {
        let pattern = "*a".repeat(60) + "b";
        let name = "a".repeat(10_000);
        let start = std::time::Instant::now();
        assert!(!matches(&pattern, &name));
        // Exponential backtracking would outlive the machine; a second leaves room for the slowest debug build.
        assert!(start.elapsed() < std::time::Duration::from_secs(1));
    }

    fn as_regex(glob: &str) -> regex::Regex {
        let body: String = glob
            .chars()
            .map(|character| match character {
                '*' => ".*".to_owned(),
                '?' => ".".to_owned(),
                other => regex::escape(other.encode_utf8(&mut [0; 4])),
            })
            .collect();
        regex::Regex::new(&format!("(?s)^(?:{body})$")).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn a_glob_agrees_with_the_equivalent_regex(pattern in "[ab.é*?]{0,8}", name in "[ab.é]{0,10}") {
            prop_assert_eq!(matches(&pattern, &name), as_regex(&pattern).is_match(&name));
        }

        #[test]
        fn any_text_is_a_pattern_and_a_name(pattern in "\\PC{0,20}", name in "\\PC{0,20}") {
            prop_assert_eq!(matches(&pattern, &name), as_regex(&pattern).is_match(&name));
        }
    }
}
