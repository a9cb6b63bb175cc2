//! What becomes of the backends that one reading of the configuration makes, which answer when they can.
//!
//! Who waits for them takes what is wrong with them into its report. What comes later is told as it comes.

#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Problem;

/// Whether somebody waits for backends that start, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// Nobody: an application's client is being created.
    No,
    /// For so long; what has not started by then goes on by itself.
    For(Duration),
    /// The same, but then it is an error: what is taken is to be known to be right.
    ForAll(Duration),
}

/// See the module. Shared by the backends' own threads.
pub(super) struct Starts {
    state: Mutex<State>,
    /// Held while something is told, so that it is told in order.
    telling: Mutex<()>,
}

struct State {
    /// So many have not answered.
    left: usize,
    /// By place in the file, of those that nobody was told of yet.
    problems: Vec<(usize, Vec<Problem>)>,
    tell: Option<Tell>,
}

/// What is wrong with a backend, and whether it was the last to answer.
type Tell = Arc<dyn Fn(Vec<Problem>, bool) + Send + Sync>;

/// One backend's answer. Given when this is dropped.
pub(super) struct Answer {
    starts: Arc<Starts>,
    place: usize,
    problems: Vec<Problem>,
}

impl Starts {
    pub(super) fn new() -> Arc<Self> {
        let state = Mutex::new(State { left: 0, problems: Vec::new(), tell: None });
        Arc::new(Self { state, telling: Mutex::default() })
    }

    /// One more will answer.
    pub(super) fn expect(self: &Arc<Self>, place: usize) -> Answer {
        self.state().left += 1;
        Answer { starts: Arc::clone(self), place, problems: Vec::new() }
    }

    /// What is wrong as far as it is known, in the order of the file.
    pub(super) fn problems(&self) -> Vec<Problem> {
        in_order(std::mem::take(&mut self.state().problems))
    }

    /// From here on `tell` is told, by the backend's own thread: at once if nothing is left to wait for.
    pub(super) fn tell(&self, tell: impl Fn(Vec<Problem>, bool) + Send + Sync + 'static) {
        let tell: Tell = Arc::new(tell);
        let _in_order = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        let (problems, is_over) = (in_order(std::mem::take(&mut state.problems)), state.left == 0);
        state.tell = (!is_over).then(|| Arc::clone(&tell));
        drop(state);
        if is_over || !problems.is_empty() {
            tell(problems, is_over);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// These are wrong.
    pub(super) fn complain(&mut self, problems: Vec<Problem>) {
        self.problems = problems;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let problems = std::mem::take(&mut self.problems);
        let _in_order = self.starts.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.starts.state();
        state.left -= 1;
        let is_over = state.left == 0;
        match state.tell.clone() {
            Some(tell) => {
                drop(state);
                if is_over || !problems.is_empty() {
                    tell(problems, is_over);
                }
            }
            None => state.problems.push((self.place, problems)),
        }
    }
}

fn in_order(mut problems: Vec<(usize, Vec<Problem>)>) -> Vec<Problem> {
    problems.sort_by_key(|(place, _)| *place);
    problems.into_iter().flat_map(|(_, problems)| problems).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.message.as_str()).collect()
    }

    #[test]
    fn who_waits_has_what_is_wrong_in_the_order_of_the_file_and_who_does_not_is_told_as_it_comes() {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let starts = Starts::new();
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|place| (starts.expect(place), place));
        let fails = |(mut answer, place): (Answer, usize)| {
            answer.complain(vec![Problem::error("P1", format!("{place}"))]);
        };
        fails(second);
        fails(first);
        assert_eq!(codes(&starts.problems()), ["0", "1"]);
        let here = Arc::clone(&told);
        starts.tell(move |problems, is_over| {
            here.lock().unwrap().push(format!("{:?} {is_over}", codes(&problems)));
        });
        assert!(told.lock().unwrap().is_empty());
        fails(third);
        drop(fourth);
        assert_eq!(*told.lock().unwrap(), ["[\"2\"] false", "[] true"]);
    }

    #[test]
    fn where_all_have_answered_it_is_said_at_once() {
        let starts = Starts::new();
        drop(starts.expect(0));
        let told = Arc::new(Mutex::new(0));
        let here = Arc::clone(&told);
        starts.tell(move |_, is_over| *here.lock().unwrap() += usize::from(is_over));
        assert_eq!(*told.lock().unwrap(), 1);
    }
}
