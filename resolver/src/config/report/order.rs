//! Things in the order of their places.

#![forbid(unsafe_code)]

/// `items` by their `key`; those of the same key stay as they are to each other.
///
/// A sort is 7 KB of code for every type that it moves, so only keys are sorted, which have one type.
pub(crate) fn ordered<T>(items: Vec<T>, key: impl Fn(&T) -> Key) -> Vec<T> {
    let mut order: Vec<(Key, usize)> = items.iter().enumerate().map(|(index, item)| (key(item), index)).collect();
    order.sort_unstable();
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(_, index)| items.get_mut(index)?.take()).collect()
}

/// Whether it follows from others, where it begins, where it ends.
pub(crate) type Key = (bool, usize, usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_at_the_same_place_keeps_its_order() {
        let items = vec![("c", 7), ("a", 3), ("d", 7), ("b", 3), ("e", 0)];
        let names: String = ordered(items, |(_, place)| (false, *place, 0)).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, "eabcd");
    }

    #[test]
    fn what_follows_from_others_comes_after_all_of_them() {
        assert_eq!(ordered(vec![1, 2, 3], |item| (*item == 1, 9 - item, 0)), [3, 2, 1]);
    }
}
