//! Which clients of a process are open, as far as a bounded list has them.

#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::stats::ClientStats;
use super::who::{Who, word};
use crate::per_process::PerProcess;

/// The open clients of each process; a fork has none of its parent's.
#[derive(Default)]
pub(crate) struct ClientsMet(PerProcess<Mutex<Here>>);

#[derive(Default)]
struct Here {
    /// With the number that tells each from all others, oldest first.
    open: Vec<(u64, Who)>,
    /// Open ones that have no place in the list.
    open_beyond: u64,
    closed: u64,
}

/// Open clients that are named.
const MOST_NAMED: usize = 200;

impl ClientsMet {
    pub(crate) fn opened(&self, number: u64, who: Who) {
        let mut here = self.lock();
        if here.open.len() < MOST_NAMED {
            here.open.push((number, who));
        } else {
            here.open_beyond += 1;
        }
    }

    pub(crate) fn closed(&self, number: u64) {
        let mut here = self.lock();
        here.closed += 1;
        match here.open.iter().position(|(of, _)| *of == number) {
            Some(place) => drop(here.open.remove(place)),
            None => here.open_beyond = here.open_beyond.saturating_sub(1),
        }
    }

    /// Those that are open and named, how many more are, and how many were closed.
    pub(crate) fn stats(&self) -> (Vec<ClientStats>, u64, u64) {
        let here = self.lock();
        let named = here.open.iter().map(|(_, who)| ClientStats {
            side: word(who.side),
            client_id: who.client_id.clone(),
            group_id: who.group_id.clone(),
        });
        (named.collect(), here.open_beyond, here.closed)
    }

    fn lock(&self) -> MutexGuard<'_, Here> {
        self.0.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::Side;

    #[test]
    fn clients_beyond_the_bound_are_counted_and_a_place_that_is_free_is_taken_again() {
        let clients = ClientsMet::default();
        let who = |id: u64| Who {
            side: Side::Consume,
            client_id: format!("c{id}"),
            group_id: Some("g".to_owned()),
            bound: None,
        };
        let most = MOST_NAMED as u64;
        (0..most + 2).for_each(|id| clients.opened(id, who(id)));
        clients.closed(most + 1);
        clients.closed(0);
        clients.opened(most + 9, who(most + 9));
        let (named, beyond, closed) = clients.stats();
        assert_eq!((named.len(), beyond, closed), (MOST_NAMED, 1, 2));
        assert_eq!((named[0].client_id.as_str(), named[0].side), ("c1", "consume"));
    }
}
