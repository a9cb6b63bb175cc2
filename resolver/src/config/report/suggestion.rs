//! "Did you mean": the known name that is nearest to an unknown one.

#![forbid(unsafe_code)]

/// The nearest of `known`, if it is near enough to be meant.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    let name = name.to_lowercase();
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(&name, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The words beside the caret: the nearest known name, or nothing.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    nearest(name, known).map_or(String::new(), |candidate| format!("did you mean `{candidate}`?"))
}

/// Names for a message: `a, b, c`; of very many, the first ones and their number.
pub(crate) fn listed(names: &[&str]) -> String {
    match names.get(..LISTED) {
        _ if names.is_empty() => "none".into(),
        Some(shown) if names.len() > LISTED => format!("{}, … ({} in all)", shown.join(", "), names.len()),
        _ => names.join(", "),
    }
}

/// The names of a table of choices.
pub(crate) fn names_of<'c, T>(choices: &[(&'c str, T)]) -> Vec<&'c str> {
    choices.iter().map(|(name, _)| *name).collect()
}

const LISTED: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["sampler", "relation", "b3"];
        assert_eq!(nearest("sampelr", &known), Some("sampler"));
        assert_eq!(nearest("SAMPLER", &known), Some("sampler"));
        assert_eq!(nearest("b4", &known), Some("b3"));
        assert_eq!(nearest("colour", &known), None);
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let names: Vec<String> = (0..30).map(|n| format!("n{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(listed(&names).ends_with("n23, … (30 in all)"));
        assert_eq!(listed(&[]), "none");
    }
}
