//! Numbers in sentences: `1 span was`, `2 spans were`. Whatever is counted for a person is written by these.

#![forbid(unsafe_code)]

/// `1 span`, `2 spans`; `1 batch`, `2 batches`; `1 entry`, `2 entries`. `what` is one of them.
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 {
        return format!("1 {what}");
    }
    let before_y = what.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    match before_y {
        Some(stem) => format!("{count} {stem}ies"),
        None if ["s", "x", "ch", "sh"].iter().any(|end| what.ends_with(end)) => format!("{count} {what}es"),
        None => format!("{count} {what}s"),
    }
}

/// The verb of so many: `one` for one of them, else `many`.
pub(crate) fn verb(count: u64, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_thing_is_not_several() {
        for (count, what, expected) in [
            (0, "span", "0 spans"),
            (1, "span", "1 span"),
            (2, "batch", "2 batches"),
            (3, "entry", "3 entries"),
            (1, "entry", "1 entry"),
            (2, "key", "2 keys"),
            (9, "process", "9 processes"),
        ] {
            assert_eq!(counted(count, what), expected);
        }
        assert_eq!((verb(1, "was", "were"), verb(0, "was", "were")), ("was", "were"));
    }
}
