//! What was acknowledged of a batch, in the number that the host keeps for its next try.
//!
//! RATIONALE: "How does a number say what was acknowledged?"

#![forbid(unsafe_code)]

/// By part of the request: a number that decides with which others it is done. Parts that are acknowledged together as a rule
/// have numbers that are alike: the hash of a trace, or the position.
pub(crate) struct Numbers {
    /// Whether they are hashes of traces.
    by_trace: bool,
    numbers: Vec<u32>,
}

impl Numbers {
    /// Of parts that go by trace: what Kafka's partitions are chosen by. One that has no trace goes anywhere.
    pub(crate) fn of_traces<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        Numbers { by_trace: true, numbers: keys.map(hash).collect() }
    }

    /// Of so many parts that go in their order.
    pub(crate) fn of_order(parts: usize) -> Self {
        Numbers { by_trace: false, numbers: (0..parts).map(|part| u32::try_from(part).unwrap_or(u32::MAX)).collect() }
    }

    /// Whether the part at `position` may be acknowledged without the one before it, and that be said.
    pub(crate) fn is_cut(&self, position: usize) -> bool {
        position == 0 || self.class(position, MOST_CLASSES) != self.class(position - 1, MOST_CLASSES)
    }

    /// By part, what the number says; all open, if it says nothing of parts such as these.
    pub(crate) fn read(&self, cookie: u64) -> Vec<bool> {
        let classes = (cookie >> CLASSES_AT) as u32;
        let is_of_these = (cookie & BY_TRACE != 0) == self.by_trace && (1..=MOST_CLASSES).contains(&classes);
        (0..self.numbers.len()).map(|part| is_of_these && cookie & 1 << self.class(part, classes) != 0).collect()
    }

    /// The number that says as much of `done` as it can, and no part that is not. 0 if it says nothing.
    pub(crate) fn cookie(&self, done: &[bool]) -> u64 {
        let best = (1..=MOST_CLASSES).map(|classes| self.cookie_of(done, classes)).max_by_key(|(said, _)| *said);
        best.filter(|(said, _)| *said > 0).map_or(0, |(_, cookie)| cookie)
    }

    /// Of how many parts it says that they are done, and how.
    fn cookie_of(&self, done: &[bool], classes: u32) -> (usize, u64) {
        let (mut all, mut open) = (0_u64, 0_u64);
        for (part, is_done) in done.iter().enumerate() {
            let class = 1 << self.class(part, classes);
            if *is_done { all |= class } else { open |= class }
        }
        let set = all & !open;
        let said = (0..done.len()).filter(|part| set & 1 << self.class(*part, classes) != 0).count();
        let flag = if self.by_trace { BY_TRACE } else { 0 };
        (said, set | flag | u64::from(classes) << CLASSES_AT)
    }

    /// Below `classes`.
    fn class(&self, part: usize, classes: u32) -> u32 {
        let number = self.numbers.get(part).copied().unwrap_or_default();
        if self.by_trace {
            return number % classes;
        }
        let parts = u64::try_from(self.numbers.len()).unwrap_or(u64::MAX).max(u64::from(classes));
        u32::try_from(u64::from(number) * u64::from(classes) / parts).unwrap_or_default()
    }
}

/// As the partitioner `fnv1a_random` has it: modulo the partitions it is the partition.
fn hash(key: &str) -> u32 {
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash as i32).unsigned_abs()
}

/// As many as there is room for, beside how many they are.
const MOST_CLASSES: u32 = 57;
const BY_TRACE: u64 = 1 << 57;
const CLASSES_AT: u32 = 58;

#[cfg(test)]
mod tests {
    use super::*;

    fn again(numbers: &Numbers, done: &[bool]) -> Vec<bool> {
        numbers.read(numbers.cookie(done))
    }

    fn traces(count: u32) -> (Vec<String>, Numbers) {
        let keys: Vec<String> = (0..count).map(|trace| format!("{:032x}", trace.wrapping_mul(0x9e37_79b9))).collect();
        let numbers = Numbers::of_traces(keys.iter().map(String::as_str));
        (keys, numbers)
    }

    #[test]
    fn what_some_partitions_have_acknowledged_is_said_exactly_however_many_traces_there_are() {
        let (keys, numbers) = traces(3_000);
        for partitions in 2..=57 {
            let done: Vec<bool> = keys.iter().map(|key| hash(key) % partitions % 3 == 1).collect();
            assert_eq!(again(&numbers, &done), done, "{partitions} partitions");
        }
    }

    #[test]
    fn no_part_is_said_to_be_done_that_is_not() {
        let (_, by_trace) = traces(400);
        for numbers in [by_trace, Numbers::of_order(400)] {
            for step in 2..40 {
                let done: Vec<bool> = (0..400).map(|part| part * part % step == 1).collect();
                let said = again(&numbers, &done);
                assert!(said.iter().zip(&done).all(|(said, done)| !said || *done), "{step}");
            }
        }
    }

    #[test]
    fn messages_that_end_where_they_may_be_cut_are_said_exactly() {
        for parts in [1, 2, 57, 58, 100, 513] {
            let numbers = Numbers::of_order(parts);
            let cuts: Vec<usize> = (0..parts).filter(|part| numbers.is_cut(*part)).collect();
            assert_eq!(cuts.len(), parts.min(57), "{parts}");
            for (from, to) in cuts.iter().zip(&cuts[1..]) {
                let done: Vec<bool> = (0..parts).map(|part| (*from..*to).contains(&part)).collect();
                assert_eq!(again(&numbers, &done), done, "{parts}: {from} to {to}");
            }
        }
    }

    #[test]
    fn nothing_done_is_no_number_and_a_number_of_another_kind_says_nothing() {
        let order = Numbers::of_order(10);
        let (_, by_trace) = traces(10);
        assert_eq!((order.cookie(&[false; 10]), by_trace.cookie(&[false; 10])), (0, 0));
        let all = order.cookie(&[true; 10]);
        assert_eq!(order.read(all), [true; 10]);
        assert_eq!(by_trace.read(all), [false; 10]);
        assert_eq!(order.read(u64::MAX), [false; 10]);
    }
}
