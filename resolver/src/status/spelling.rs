//! Whether two names of topics are one that was written in two ways, or two names.
//!
//! Strict: what could be two topics of one company is two names. `RATIONALE.md`: "When is a topic called misspelt?"

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::config::Pattern;
use crate::services::pattern_matches as matches;

/// A topic as a pattern would have it, and what that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Respelt {
    /// The pattern matches it.
    pub(super) topic: String,
    /// For a sentence: `differs by upper and lower case`.
    pub(super) how: String,
}

/// How `topic` is to be spelt for the pattern to match it, if spelling is all that keeps them apart.
pub(super) fn respelt(pattern: &Pattern, topic: &str) -> Option<Respelt> {
    if matches(pattern, topic) {
        return None;
    }
    match pattern {
        Pattern::Exact(name) => as_a_whole(name, topic).or_else(|| by_words(pattern, topic)),
        // What stands beside a wildcard could be anything: between a sign and another lies a topic of its own.
        Pattern::Glob(_) => by_words(pattern, topic),
        // What is near to an expression is anybody's guess.
        Pattern::Regex(_) => None,
    }
}

/// The same letters and numbers, but for upper and lower case and the signs between them.
fn as_a_whole(name: &str, topic: &str) -> Option<Respelt> {
    let letters = topic.chars().filter(char::is_ascii_alphabetic).count();
    if name == topic || letters < FEWEST_LETTERS || bare(name) != bare(topic) {
        return None;
    }
    let how = if name.eq_ignore_ascii_case(topic) {
        "differs by upper and lower case".to_owned()
    } else if name.trim() == topic.trim() {
        "differs by a blank at its end".to_owned()
    } else if name.chars().filter(is_letter_or_digit).eq(topic.chars().filter(is_letter_or_digit)) {
        "differs by the signs between its words".to_owned()
    } else {
        "differs by upper and lower case, and the signs between its words".to_owned()
    };
    Some(Respelt { topic: name.to_owned(), how })
}

/// Letters in lower case and digits. Where a sign parts two numbers it stays: `1.0` is not `10`.
fn bare(name: &str) -> String {
    let mut bare = String::with_capacity(name.len());
    let mut is_parted = false;
    for c in name.chars() {
        if !is_letter_or_digit(&c) {
            is_parted = true;
            continue;
        }
        if is_parted && c.is_ascii_digit() && bare.ends_with(|last: char| last.is_ascii_digit()) {
            bare.push('.');
        }
        is_parted = false;
        bare.push(c.to_ascii_lowercase());
    }
    bare
}

/// Signs that topics' names are made of; a blank, which they have not, is one that slipped in.
fn is_letter_or_digit(c: &char) -> bool {
    !matches!(c, '-' | '_' | '.' | ' ')
}

/// One word of the topic is another spelling of one of the pattern's; or all of them, by upper and lower case.
fn by_words(pattern: &Pattern, topic: &str) -> Option<Respelt> {
    let text = pattern.text();
    let wanted: Vec<&str> = words(text).filter_map(|range| text.get(range)).collect();
    let mut in_case = topic.to_owned();
    for range in words(topic).filter(|range| range.len() >= FEWEST_LETTERS) {
        let Some(word) = topic.get(range.clone()) else { continue };
        if let Some(wanted) = wanted.iter().find(|wanted| wanted.eq_ignore_ascii_case(word)) {
            in_case.replace_range(range, wanted);
        }
    }
    if in_case != topic && matches(pattern, &in_case) {
        return Some(Respelt { topic: in_case, how: "differs by upper and lower case".to_owned() });
    }
    words(topic).find_map(|range| {
        let word = topic.get(range.clone())?;
        wanted.iter().find_map(|wanted| {
            let how = slip(wanted, word)?;
            let mut respelt = topic.to_owned();
            respelt.replace_range(range.clone(), wanted);
            matches(pattern, &respelt).then_some(Respelt { topic: respelt, how })
        })
    })
}

/// The runs of letters. What is between them, numbers too, has to be the same.
fn words(name: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let is_letter = |at: usize| name.as_bytes().get(at).is_some_and(u8::is_ascii_alphabetic);
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = (from..name.len()).find(|at| is_letter(*at))?;
        let end = (start..name.len()).find(|at| !is_letter(*at)).unwrap_or(name.len());
        from = end;
        Some(start..end)
    })
}

/// In what `word` differs from the one that is `wanted`, if a slip of the pen makes the one of the other.
fn slip(wanted: &str, word: &str) -> Option<String> {
    let shorter = wanted.len().min(word.len());
    if shorter < FEWEST_LETTERS || wanted == word {
        return None;
    }
    if is_plural_of(wanted, word) || is_plural_of(word, wanted) {
        return Some(format!("differs by singular and plural (`{word}`, `{wanted}`)"));
    }
    let (ours, theirs) = (word.as_bytes(), wanted.as_bytes());
    let same = ours.iter().zip(theirs).take_while(|(one, other)| one == other).count();
    let (our_rest, their_rest) = (ours.get(same..)?, theirs.get(same..)?);
    let is_one_more = |more: &[u8], less: &[u8]| more.get(1..).is_some_and(|rest| rest == less);
    let is_slip = match (our_rest, their_rest) {
        ([a, b, ours @ ..], [c, d, theirs @ ..]) if (a, b) == (d, c) && ours == theirs => shorter >= EXCHANGED,
        (more, less) | (less, more) if is_one_more(more, less) => {
            let is_doubled = same > 0 && more.first() == ours.get(same - 1);
            shorter >= if is_doubled { DOUBLED } else { ANOTHER } && (is_doubled || is_within(same, shorter))
        }
        ([a, ours @ ..], [b, theirs @ ..]) if ours == theirs => {
            let is_british = matches!((a, b), (b's', b'z') | (b'z', b's'));
            shorter >= if is_british { DOUBLED } else { ANOTHER } && is_within(same, shorter - 1)
        }
        _ => false,
    };
    (is_slip || is_british_of(wanted, word)).then(|| format!("differs by how one word is spelt (`{word}`, `{wanted}`)"))
}

fn is_plural_of(many: &str, one: &str) -> bool {
    let is_of_y = || many.strip_suffix("ies").is_some_and(|stem| one.strip_suffix('y') == Some(stem));
    many.strip_prefix(one).is_some_and(|ending| matches!(ending, "s" | "es")) || is_of_y()
}

/// `colour` and `color`.
fn is_british_of(one: &str, other: &str) -> bool {
    one.len() != other.len() && one.replace("our", "or") == other.replace("our", "or")
}

/// A word's other forms, and other words, differ in its first letter and at its end: `create`, `created`.
fn is_within(at: usize, end: usize) -> bool {
    at > 0 && at < end
}

/// Of shorter words and names, nearly all are near to another.
const FEWEST_LETTERS: usize = 4;
/// Letters that a word must have, at the least, for two that have changed places to be a slip: `form` and `from` are two
/// words, `ordres` is one misspelt.
const EXCHANGED: usize = 6;
/// The same for a letter that is there twice, or not: `adress`.
const DOUBLED: usize = 5;
/// The same for any letter too many, too few, or another: `contacts` and `contracts` are two words.
const ANOTHER: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(name: &str) -> Pattern {
        Pattern::Exact(name.to_owned())
    }

    #[test]
    fn a_name_that_differs_by_spelling_only_is_the_same() {
        for (name, topic, by) in [
            ("order", "orders", "plural"),
            ("orders", "order", "plural"),
            ("order-items", "orders-items", "plural"),
            ("shop.order.v1", "shop.orders.v1", "plural"),
            ("category", "categories", "plural"),
            ("addresses", "address", "plural"),
            ("Orders", "orders", "upper and lower case"),
            ("ORDER_ITEMS", "order_items", "upper and lower case"),
            ("order-items", "order_items", "signs"),
            ("order.items", "order-items", "signs"),
            ("order-items", "orderitems", "signs"),
            ("orders.v1", "orders-v1", "signs"),
            ("order-items", "OrderItems", "upper and lower case, and the signs"),
            ("orders ", "orders", "blank"),
            ("orders", "ordres", "one word"),
            ("payments", "paymnets", "one word"),
            ("shop.payments.2", "shop.paymnets.2", "one word"),
            ("addresses", "adresses", "one word"),
            ("order-cancelled", "order-canceled", "one word"),
            ("notifications", "notificatons", "one word"),
            ("transactions", "transaktions", "one word"),
            ("colours", "colors", "one word"),
            ("authorised", "authorized", "one word"),
            ("organisations", "organizations", "one word"),
        ] {
            let found = respelt(&exact(name), topic);
            assert_eq!(found.as_ref().map(|found| found.topic.as_str()), Some(name), "{name} {topic}");
            assert!(found.unwrap().how.contains(by), "{name} {topic}");
        }
    }

    #[test]
    fn what_could_be_two_topics_is_two_names() {
        for (name, topic) in [
            ("orders", "orders"),
            ("stock1", "stock2"),
            ("stock1", "stock11"),
            ("stock-1", "stocks-2"),
            ("orders.v1", "orders.v2"),
            ("orders-v1.0", "orders-v10"),
            ("orders", "orders1"),
            ("orders", "orders-dlq"),
            ("orders", "orders.retry"),
            ("orders", "orders-s"),
            ("orders-eu", "orders-us"),
            ("orders.de", "orders.dk"),
            ("events-a", "events-b"),
            ("events-a", "events-as"),
            ("dev.orders", "prod.orders"),
            ("in", "on"),
            ("in", "ins"),
            ("log", "logs"),
            ("DB", "db"),
            ("a-b", "ab"),
            ("cart", "card"),
            ("form", "from"),
            ("trial", "trail"),
            ("stocks", "stacks"),
            ("contacts", "contracts"),
            ("trading", "tracing"),
            ("billing", "filling"),
            ("order", "border"),
            ("order-create", "order-created"),
            ("order-created", "order-creates"),
            ("payment-request", "payment-response"),
            ("user-registration", "user-deregistration"),
            ("notification", "notificationx"),
            ("orders-in", "orders-out"),
            ("orders-blue", "orders-green"),
            ("Orders", "order"),
            ("orders", "payments"),
            ("", "a"),
        ] {
            assert_eq!(respelt(&exact(name), topic), None, "{name} {topic}");
            assert_eq!(respelt(&exact(topic), name), None, "{topic} {name}");
        }
    }

    #[test]
    fn of_a_glob_the_words_are_compared_and_of_an_expression_nothing() {
        let of = |glob: &str, topic: &str| respelt(&Pattern::Glob(glob.to_owned()), topic).map(|found| found.topic);
        assert_eq!(of("payments.*", "payment.card").as_deref(), Some("payments.card"));
        assert_eq!(of("Payments.*.Card", "payments.eu.card").as_deref(), Some("Payments.eu.Card"));
        assert_eq!(of("*.payments", "eu.paymnets").as_deref(), Some("eu.payments"));
        for (glob, topic) in [
            ("orders.*", "orders-dlq"),
            ("orders.*", "orders_eu"),
            ("stock?", "stock10"),
            ("orders.*", "orderly.eu"),
            ("*", "orders"),
            ("order*", "orders"),
        ] {
            assert_eq!(of(glob, topic), None, "{glob} {topic}");
        }
        assert_eq!(respelt(&Pattern::Regex(regex::Regex::new("^(?:orders)$").unwrap()), "order"), None);
    }
}
