//! The services that a resolver has had, by numbers that no reload changes, and what was counted for each.
//!
//! Rules count for themselves: how many messages are in flight that were sent by them is known so. Here it adds up.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::ServiceCounters;
use crate::per_process::PerProcess;
use crate::status::ServiceStats;
use crate::swap::Swap;

/// See the module. Only ever grows: a name that comes again has its number again.
pub(super) struct Ledger {
    entries: Swap<Vec<Arc<Entry>>>,
    /// Held while counters move from one place to another, and while they are added up.
    moving: PerProcess<Mutex<()>>,
}

struct Entry {
    name: String,
    /// Of rules that are gone.
    gone: ServiceCounters,
    /// Of the rules that there are.
    parts: Swap<Vec<Arc<ServiceCounters>>>,
}

/// A service, as rules that are being made know it.
pub(super) struct Listed {
    pub(super) number: usize,
    /// The rules' own.
    pub(super) counters: Arc<ServiceCounters>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { entries: Swap::new(Arc::default()), moving: PerProcess::new() }
    }

    /// Lists the services of rules that are being made. One thread at a time.
    pub(super) fn list<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<Listed> {
        let before = self.entries.load();
        let mut entries = Vec::clone(&before);
        let mut numbers: HashMap<&str, usize> =
            before.iter().enumerate().map(|(number, entry)| (entry.name.as_str(), number)).collect();
        let moving = self.moving();
        entries.iter().for_each(|entry| entry.settle());
        drop(moving);
        let listed = names
            .map(|name| {
                let number = *numbers.entry(name).or_insert_with(|| {
                    entries.push(Arc::new(Entry::new(name)));
                    entries.len() - 1
                });
                let counters = Arc::new(ServiceCounters::default());
                if let Some(entry) = entries.get(number) {
                    let mut parts = Vec::clone(&entry.parts.load());
                    parts.push(Arc::clone(&counters));
                    entry.parts.store(Arc::new(parts));
                }
                Listed { number, counters }
            })
            .collect();
        self.entries.store(Arc::new(entries));
        listed
    }

    /// By number.
    pub(super) fn names(&self) -> Vec<String> {
        self.entries.load().iter().map(|entry| entry.name.clone()).collect()
    }

    pub(super) fn number_of(&self, name: &str) -> Option<usize> {
        self.entries.load().iter().position(|entry| entry.name == name)
    }

    /// What was counted for each, with its number: those with these numbers first, and then those that rules before them had, as far as
    /// anything was counted for them. `sampled_out`: what was counted for a service by its topics.
    pub(super) fn stats(&self, first: &[usize], sampled_out: impl Fn(usize) -> u64) -> Vec<(usize, ServiceStats)> {
        let entries = self.entries.load();
        let _moving = self.moving();
        let others = (0..entries.len()).filter(|number| !first.contains(number));
        let of = |number: usize| {
            let mut stats = entries.get(number)?.stats();
            stats.sampled_out += sampled_out(number);
            Some((number, stats))
        };
        let is_counted = |(_, stats): &(usize, ServiceStats)| {
            stats.spans + stats.dropped_buffer_full + stats.sampled_out + stats.unacknowledged + stats.not_injected > 0
        };
        let first = first.iter().copied().filter_map(of);
        first.chain(others.filter_map(of).filter(is_counted)).collect()
    }

    /// Traces of all services that have not begun because more came than left.
    pub(super) fn shed(&self) -> u64 {
        let _moving = self.moving();
        self.entries.load().iter().map(|entry| entry.stats().shed).sum()
    }

    fn moving(&self) -> MutexGuard<'_, ()> {
        self.moving.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), gone: ServiceCounters::default(), parts: Swap::new(Arc::default()) }
    }

    /// Takes over what rules have counted that are gone.
    fn settle(&self) {
        let parts = self.parts.load();
        // Their own handle is gone, and this list has the last. Another list that is being looked at has one more, and
        // then they stay until the next time.
        let (gone, there): (Vec<_>, Vec<_>) = parts.iter().cloned().partition(|part| Arc::strong_count(part) <= 2);
        if gone.is_empty() {
            return;
        }
        gone.iter().for_each(|part| self.gone.add(part));
        self.parts.store(Arc::new(there));
    }

    fn stats(&self) -> ServiceStats {
        let parts = self.parts.load();
        let counters = || parts.iter().map(|part| &**part).chain([&self.gone]);
        let sum =
            |of: fn(&ServiceCounters) -> &AtomicU64| counters().map(|each| of(each).load(Ordering::Relaxed)).sum();
        ServiceStats {
            name: self.name.clone(),
            spans: sum(|each| &each.spans),
            dropped_buffer_full: sum(|each| &each.lost),
            sampled_out: counters().map(|each| each.sampled_out.sum()).sum(),
            shed: counters().map(|each| each.shed.sum()).sum(),
            unacknowledged: counters().map(|each| each.unacknowledged.sum()).sum(),
            not_injected: sum(|each| &each.not_injected),
            parents_lost: sum(|each| &each.parents_lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_its_number_and_its_sums_whatever_rules_come_and_go() {
        let ledger = Ledger::new();
        let first = ledger.list(["shop", "billing"].into_iter());
        assert_eq!(first.iter().map(|listed| listed.number).collect::<Vec<_>>(), [0, 1]);
        first[1].counters.spans.fetch_add(5, Ordering::Relaxed);
        first[1].counters.unacknowledged.raise();
        for round in 1..100 {
            let next = ledger.list(["letters", "billing"].into_iter());
            assert_eq!(next.iter().map(|listed| listed.number).collect::<Vec<_>>(), [2, 1]);
            next[1].counters.spans.fetch_add(1, Ordering::Relaxed);
            let stats = ledger.stats(&[2, 1], |_| 0);
            assert_eq!(stats.iter().map(|(_, stats)| &stats.name[..]).collect::<Vec<_>>(), ["letters", "billing"]);
            assert_eq!((stats[1].1.spans, stats[1].1.unacknowledged), (5 + round, 1));
        }
        let parts = |number: usize| ledger.entries.load()[number].parts.load().len();
        assert!(parts(1) <= 3, "{} of rules that are gone", parts(1));
        first[1].counters.unacknowledged.lower();
        drop(first);
        drop(ledger.list(["shop"].into_iter()));
        assert_eq!(ledger.stats(&[0], |_| 0)[1].1.unacknowledged, 0);
        assert_eq!((ledger.stats(&[0], |_| 0)[1].1.spans, ledger.number_of("billing")), (104, Some(1)));
    }
}
