//! Trace and span ids: random, never zero, a few nanoseconds each (bench `rules`).
//!
//! Every thread has its own generator (xoshiro256++, seeded by the kernel), so nothing is shared but one number that is
//! read. They are unique ids, not secrets: do not use them as tokens.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::SystemTime;

use crate::cancellation::uncancelled;

/// A new trace id, which the thread that drew it knows again ([`is_of_this_thread`]).
///
/// Twelve bytes are random. The first four are a keyed hash of these, with a key that only this thread has: for everybody
/// else as good as random. The last seven bytes are random, so that the W3C random flag may be set with it.
#[inline]
pub fn new_trace_id() -> [u8; 16] {
    trace_id_by(None)
}

/// The same for a train of thought, which knows its own ids on whatever thread it goes on ([`is_of_train`]); 0 is the calling
/// thread.
pub fn new_trace_id_of(train: u64) -> [u8; 16] {
    trace_id_by((train != 0).then(|| key_of(train)))
}

/// With a seal of this key, or of the calling thread's own.
#[inline]
fn trace_id_by(key: Option<u64>) -> [u8; 16] {
    let mut id = [0; 16];
    // Zero is no id; once in 2^96 there is a second round.
    while id == [0; 16] {
        let (drawn, own) = draw(|seeded| ([seeded.generator.next(), seeded.generator.next()], seeded.key));
        id = sealed(drawn, key.unwrap_or(own));
    }
    id
}

/// Whether this train of thought drew this trace id, in this process or one it was forked from.
pub fn is_of_train(train: u64, trace_id: &[u8; 16]) -> bool {
    sealed(halves(trace_id), key_of(train)) == *trace_id
}

/// A span id for the first span of a trace that a train of thought began, by which it is known again
/// ([`is_first_span`]); for 0 any.
pub fn first_span_id(train: u64, trace_id: &[u8; 16]) -> [u8; 8] {
    if train == 0 {
        return new_span_id();
    }
    let [high, low] = halves(trace_id);
    mixed(high ^ mixed(low ^ key_of(train))).max(1).to_be_bytes()
}

/// Whether the span id is that of [`first_span_id`]; a client may have changed its first byte, and one bit of the others.
pub fn is_first_span(train: u64, trace_id: &[u8; 16], span_id: &[u8; 8]) -> bool {
    let first = u64::from_be_bytes(first_span_id(train, trace_id));
    ((first ^ u64::from_be_bytes(*span_id)) & u64::MAX >> 8).count_ones() <= 1
}

/// The key of a train of thought, from one that the process draws once.
fn key_of(train: u64) -> u64 {
    static KEY: AtomicU64 = AtomicU64::new(0);
    let mut key = KEY.load(Ordering::Relaxed);
    if key == 0 {
        let drawn = draw(|seeded| seeded.generator.next()).max(1);
        // Whoever comes first decides.
        key = match KEY.compare_exchange(0, drawn, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => drawn,
            Err(other) => other,
        };
    }
    mixed(key ^ train)
}

/// The finalizer of SplitMix64: each bit of the result depends on each of the number.
fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// Whether the calling thread drew this trace id, in this process. Once in 2^32 it says so of another's.
///
/// Costs no memory, however many traces the thread has begun and however long they live.
pub fn is_of_this_thread(trace_id: &[u8; 16]) -> bool {
    let seeded =
        LOCAL.try_with(Cell::get).ok().filter(|seeded| seeded.generation == GENERATION.load(Ordering::Relaxed));
    seeded.is_some_and(|seeded| sealed(halves(trace_id), seeded.key) == *trace_id)
}

/// The id of these sixteen bytes, with the seal in place of the first four.
#[inline]
fn sealed(drawn: [u64; 2], key: u64) -> [u8; 16] {
    let [high, low] = [drawn[0] & 0xffff_ffff, drawn[1]];
    // Two rounds of multiply and fold over the twelve random bytes.
    let folded = (u128::from(low ^ key) * u128::from(high | 1 << 63)) ^ u128::from(key);
    let seal = (folded as u64 ^ (folded >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) & !0xffff_ffff;
    (u128::from(seal | high) << 64 | u128::from(low)).to_be_bytes()
}

/// The first and the last eight bytes.
fn halves(id: &[u8; 16]) -> [u64; 2] {
    let id = u128::from_be_bytes(*id);
    [(id >> 64) as u64, id as u64]
}

/// A new span id.
#[inline]
pub fn new_span_id() -> [u8; 8] {
    let mut id = 0;
    // Zero is no id; once in 2^64 there is a second round.
    while id == 0 {
        id = draw(|seeded| seeded.generator.next());
    }
    id.to_ne_bytes()
}

/// Makes every thread draw a new seed before its next id.
///
/// To be called in the child after a fork, which would else give out the parent's ids a second time. One atomic
/// addition: allowed in an atfork handler and in a signal handler.
pub fn reseed() {
    // Relaxed: the forking thread is the child's only one, and reads its own addition.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

#[inline]
fn draw<T>(from: impl FnOnce(&mut Seeded) -> T) -> T {
    let mut seeded = LOCAL.get();
    // Relaxed: only the value matters; see `reseed`.
    let generation = GENERATION.load(Ordering::Relaxed);
    if seeded.generation != generation {
        let mut generator = Generator::from_kernel();
        seeded = Seeded { generation, key: generator.next(), generator };
    }
    let drawn = from(&mut seeded);
    LOCAL.set(seeded);
    drawn
}

thread_local! {
    /// Has no destructor, so it can be used for as long as its thread runs any code at all.
    static LOCAL: Cell<Seeded> = const { Cell::new(Seeded { generation: 0, key: 0, generator: Generator([0; 4]) }) };
}

/// Grows with every `reseed`. Starts at one: a thread's zero means "not seeded yet".
static GENERATION: AtomicU32 = AtomicU32::new(1);

#[derive(Clone, Copy)]
struct Seeded {
    /// The value of `GENERATION` when the generator was seeded.
    generation: u32,
    /// By which this thread knows its own trace ids again.
    key: u64,
    generator: Generator,
}

/// xoshiro256++ 1.0 of Blackman and Vigna.
#[derive(Clone, Copy)]
struct Generator([u64; 4]);

impl Generator {
    #[cold]
    fn from_kernel() -> Self {
        let mut seed = [[0; 8]; 4];
        // A thread can be cancelled where it asks the system for random bytes.
        match uncancelled(|| getrandom::fill(seed.as_flattened_mut())) {
            Ok(()) => Self::from_seed(seed.map(u64::from_ne_bytes)),
            // No random bytes is no reason to lose spans: ids then differ by process, thread and moment.
            Err(_) => Self::from_surroundings(),
        }
    }

    /// A seed from what differs between processes, threads and moments. The standard library's hash keys are random per
    /// process, which alone would repeat after a fork.
    #[cold]
    fn from_surroundings() -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let keys = RandomState::new();
        // Relaxed: a counter, to tell calls of one process apart.
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let part = |index: u32| {
            keys.hash_one((index, call, std::process::id(), std::thread::current().id(), SystemTime::now()))
        };
        Self::from_seed([part(0), part(1), part(2), part(3)])
    }

    /// The one state that the generator never leaves is all zero.
    fn from_seed(seed: [u64; 4]) -> Self {
        Self(if seed == [0; 4] { [1; 4] } else { seed })
    }

    #[inline]
    fn next(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.0;
        let result = s0.wrapping_add(*s3).rotate_left(23).wrapping_add(*s0);
        let shifted = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= shifted;
        *s3 = s3.rotate_left(45);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut generator = Generator([1, 2, 3, 4]);
        let drawn: Vec<u64> = (0..10).map(|_| generator.next()).collect();
        // The reference vector of xoshiro256++, as its C program prints it.
        assert_eq!(
            drawn,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386,
                9_228_616_714_210_784_205,
                9_973_669_472_204_895_162,
                14_011_001_112_246_962_877,
                12_406_186_145_184_390_807,
                15_849_039_046_786_891_736,
                10_450_023_813_501_588_000,
            ]
        );
    }

    #[test]
    fn a_train_of_thought_knows_its_own_traces_and_their_first_spans_on_any_thread() {
        let trace_id = new_trace_id_of(7);
        let first = first_span_id(7, &trace_id);
        let other_thread = std::thread::spawn(move || {
            (
                is_of_train(7, &trace_id),
                is_first_span(7, &trace_id, &first),
                is_first_span(7, &trace_id, &new_span_id()),
            )
        });
        assert_eq!(other_thread.join().unwrap(), (true, true, false));
        assert!(!is_of_train(8, &trace_id) && !is_of_this_thread(&trace_id));
        assert!(is_of_this_thread(&new_trace_id_of(0)));
        assert!(!is_of_train(7, &new_trace_id()));
    }

    #[test]
    fn a_client_may_change_the_first_byte_and_one_bit_of_a_first_span() {
        let trace_id = new_trace_id_of(7);
        let first = u64::from_be_bytes(first_span_id(7, &trace_id));
        assert!(is_first_span(7, &trace_id, &(first ^ 1 << 18).to_be_bytes()));
        assert!(is_first_span(7, &trace_id, &(first ^ 1 << 18 ^ 0xa5 << 56).to_be_bytes()));
        assert!(!is_first_span(7, &trace_id, &(first ^ 1 << 18 ^ 1 << 3).to_be_bytes()));
    }

    #[test]
    fn no_seed_makes_the_generator_stand_still() {
        let mut generator = Generator::from_seed([0; 4]);
        assert!((0..4).any(|_| generator.next() != 0));
    }

    #[test]
    fn ids_are_never_zero_even_when_the_generator_says_so() {
        // The state whose first number is zero: s0 = s3 = 0.
        let stalling = Generator([0, 1, 2, 0]);
        assert_eq!(stalling.clone().next(), 0, "the guard would not be tested");
        set_local(stalling);
        assert_ne!(new_span_id(), [0; 8]);
        // And one whose first two numbers are: found by working the step back from an s0 and s3 of zero.
        let stalling = Generator([0, 0, 1 << 63, 0]);
        let mut twin = stalling;
        assert_eq!(sealed([twin.next(), twin.next()], 0), [0; 16], "the guard would not be tested");
        set_local(stalling);
        assert_ne!(new_trace_id(), [0; 16]);
    }

    #[test]
    fn ids_differ_within_and_across_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..10_000).map(|_| (new_trace_id(), new_span_id())).collect::<Vec<_>>()))
            .collect();
        let ids: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.iter().map(|(trace, _)| trace).collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(ids.iter().map(|(_, span)| span).collect::<HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn a_thread_knows_its_own_trace_ids_again_and_no_others() {
        let own: Vec<_> = (0..1_000).map(|_| new_trace_id()).collect();
        assert!(own.iter().all(is_of_this_thread));
        let others = std::thread::spawn(|| (0..1_000).map(|_| new_trace_id()).collect::<Vec<_>>()).join().unwrap();
        assert!(!others.iter().any(is_of_this_thread));
        let mut changed = own[0];
        changed[15] ^= 1;
        assert!(!is_of_this_thread(&changed) && !is_of_this_thread(&[0; 16]));
        reseed();
        assert!(!is_of_this_thread(&own[0]), "a child of a fork does not know its parent's");
        std::thread::spawn(move || assert!(!is_of_this_thread(&own[0]), "nor does a thread that drew none"))
            .join()
            .unwrap();
    }

    #[test]
    fn every_bit_of_an_id_is_used() {
        let ids: Vec<u128> = (0..1_000).map(|_| u128::from_ne_bytes(new_trace_id())).collect();
        assert_eq!(ids.iter().fold(0, |seen, id| seen | id), u128::MAX);
        assert_eq!(ids.iter().fold(u128::MAX, |seen, id| seen & id), 0);
    }

    #[test]
    fn after_reseed_a_copy_of_the_generator_goes_another_way() {
        new_span_id();
        let forked = LOCAL.get().generator;
        let parents = new_span_id();
        // What a child sees after the fork: the parent's generator, as it was.
        set_local(forked);
        assert_eq!(new_span_id(), parents, "without a reseed the ids repeat");
        set_local(forked);
        reseed();
        assert_ne!(new_span_id(), parents);
    }

    #[test]
    fn without_the_kernels_randomness_seeds_still_differ() {
        let seeds: HashSet<[u64; 4]> = (0..1_000).map(|_| Generator::from_surroundings().0).collect();
        assert_eq!(seeds.len(), 1_000);
    }

    fn set_local(generator: Generator) {
        LOCAL.set(Seeded { generation: GENERATION.load(Ordering::Relaxed), key: 0, generator });
    }
}
