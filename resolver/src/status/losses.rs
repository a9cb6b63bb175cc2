//! The one place that speaks of lost spans: when losses begin, each minute while they last, and their sum at the end.

#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::counted::{counted, verb};
use crate::diagnostics;
use crate::export::{BackendState, DropReason, ServiceCounters};
use crate::per_process::PerProcess;

/// What became of the spans that were to reach one backend, at one moment.
pub(crate) struct Account<'a> {
    pub(crate) backend: &'a str,
    /// Names, by service index.
    pub(crate) services: &'a [String],
    /// By service index.
    pub(crate) counters: Vec<ServiceCounters>,
    /// Of all metrics.
    pub(crate) data_points: ServiceCounters,
    /// Of processes before this one, from the spool.
    pub(crate) taken_over: ServiceCounters,
    pub(crate) state: BackendState,
}

/// When a sum is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// What waits goes on waiting.
    Seen,
    /// The process ends, unless what would end it fails: what waits is lost.
    End,
    /// The process may end at any moment now, without telling anybody: what waits for a backend that is in trouble is then
    /// lost, and nobody will say so.
    LastSeen,
}

/// What was said so far, by backend index. Each lost span is in one sum, and in one of the lines between at most.
///
/// A fork begins anew: with counters, locks and words of its own.
#[derive(Default)]
pub(crate) struct Told(PerProcess<Mutex<Vec<ToldOf>>>);

/// What was said of one backend.
#[derive(Default)]
struct ToldOf {
    /// What lines between had said.
    between: Vec<Lost>,
    /// The sum of `between`.
    between_in_all: u64,
    /// When losses began, or were last told; `None` while nothing is lost.
    losing_since: Option<Instant>,
    /// What sums had said.
    sums: Vec<Lost>,
    /// How many spans of the spool the last sum told of.
    spooled: u64,
    /// How many spans the last sum called as good as lost, although they still waited.
    doomed: u64,
    exported: u64,
    /// Lost data points that sums had told.
    lost_data_points: u64,
}

/// Lost spans of one service, by reason.
type Lost = [u64; DropReason::ALL.len()];

/// In the place of a service: spans that processes before this one had left in the spool.
const EARLIER: &str = "(of processes before this one)";

/// How often losses that go on are told.
const EVERY: Duration = Duration::from_secs(60);

impl Told {
    /// Looks whether losses have begun or gone on, and says so. Called by the batch thread many times a second: `account` is
    /// asked only when there is something to say.
    pub(crate) fn look<'a>(&self, now: Instant, index: usize, lost: u64, account: impl FnOnce() -> Account<'a>) {
        let line = {
            let mut told = self.lock();
            // Nothing is kept while nothing was ever lost.
            if told.len() <= index && lost == 0 {
                return;
            }
            of(&mut told, index).look(now, lost, account)
        };
        if let Some(line) = line {
            diagnostics::warn(&line);
        }
    }

    /// Says what has not been said by an earlier sum: a line for each backend that lost anything, and one for the others.
    pub(crate) fn sum<'a>(&self, moment: Moment, accounts: impl Iterator<Item = Account<'a>>) {
        let mut well = Vec::new();
        for (index, account) in accounts.enumerate() {
            let (line, exported) = of(&mut self.lock(), index).sum(moment, &account);
            if let Some(line) = line {
                diagnostics::warn(&line);
            } else if exported > 0 {
                well.push(format!("{exported} to backend `{}`", account.backend));
            }
        }
        if !well.is_empty() {
            diagnostics::info(&format!("spans exported, and none lost: {}", well.join(", ")));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ToldOf>> {
        self.0.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of(told: &mut Vec<ToldOf>, index: usize) -> &mut ToldOf {
    if told.len() <= index {
        told.resize_with(index + 1, ToldOf::default);
    }
    #[expect(clippy::indexing_slicing, reason = "resized just above")]
    &mut told[index]
}

impl ToldOf {
    fn look<'a>(&mut self, now: Instant, lost: u64, account: impl FnOnce() -> Account<'a>) -> Option<String> {
        let begins = match self.losing_since {
            None => true,
            Some(since) if now.saturating_duration_since(since) < EVERY => return None,
            Some(_) => false,
        };
        if lost <= self.between_in_all {
            self.losing_since = None;
            return None;
        }
        let account = account();
        let fresh = since(&account, &self.between);
        self.remember_between(&account, now);
        Some(if begins {
            format!(
                "backend `{}`: spans are being lost: {}; how many is said every minute while it goes on",
                account.backend,
                reasons(&fresh)
            )
        } else {
            format!("backend `{}`: spans are still being lost, since a minute ago {}", account.backend, list(&fresh))
        })
    }

    /// A line if anything was lost, and how many spans arrived, both since the last sum.
    fn sum(&mut self, moment: Moment, account: &Account<'_>) -> (Option<String>, u64) {
        let exported: u64 = account.counters.iter().map(|counters| counters.exported).sum();
        let more = exported.saturating_sub(std::mem::replace(&mut self.exported, exported));
        let fresh = since(account, &self.sums);
        let sum = |count: fn(&ServiceCounters) -> u64| {
            account.counters.iter().chain([&account.taken_over]).map(count).sum::<u64>()
        };
        let is_in_trouble = account.state.is_in_trouble();
        let may_be_lost = moment == Moment::End || moment == Moment::LastSeen && is_in_trouble;
        // What is also in the spool outlives the process.
        let kept = if may_be_lost { sum(|counters| counters.kept) } else { 0 };
        let waiting = sum(|counters| counters.waiting) - kept;
        let spooled = sum(|counters| counters.spooled) + kept;
        let may_stay = may_be_lost || moment == Moment::Seen;
        let tells_spooled = may_stay && spooled > 0 && std::mem::replace(&mut self.spooled, spooled) != spooled;
        let said = std::mem::replace(&mut self.doomed, if may_be_lost { waiting } else { 0 });
        let doomed = may_be_lost && waiting > 0 && waiting != said;
        let lost_data_points = account.data_points.lost_for_good();
        let data_points =
            lost_data_points.saturating_sub(std::mem::replace(&mut self.lost_data_points, lost_data_points));
        if fresh.is_empty() && !doomed && data_points == 0 && !tells_spooled {
            return (None, more);
        }
        let word = if self.sums.iter().flatten().all(|spans| *spans == 0) { "" } else { "more " };
        self.sums = lost(account);
        // A sum needs no line between after it.
        self.remember_between(account, Instant::now());
        let mut parts: Vec<_> = fresh
            .iter()
            .map(|loss| {
                let total = loss.in_all();
                format!(
                    "{total} {word}of {} of service `{}` {} lost: {}",
                    counted(loss.offered, "span"),
                    loss.service,
                    verb(total, "was", "were"),
                    loss.by_reason()
                )
            })
            .collect();
        if data_points > 0 {
            let reasons = DropReason::ALL.map(|reason| match reason {
                DropReason::Superseded => 0,
                reason => account.data_points.lost_for(reason),
            });
            let reasons: Vec<_> =
                named(&reasons).map(|(reason, points)| format!("{points} {}", reason.name())).collect();
            parts.push(format!(
                "{data_points} of {} data points of metrics were lost: {}",
                account.data_points.offered,
                reasons.join(", ")
            ));
        }
        if waiting > 0 {
            let wait = format!("{} still {}", counted(waiting, "span"), verb(waiting, "waits", "wait"));
            let lost = verb(waiting, "is", "are");
            parts.push(if doomed { format!("{wait}, and {lost} lost if this process ends now") } else { wait });
        }
        if tells_spooled {
            parts.push(format!(
                "{} {} in the spool, and the next process with this backend sends {}",
                counted(spooled, "span"),
                verb(spooled, "is", "are"),
                verb(spooled, "it", "them")
            ));
        }
        (Some(format!("backend `{}`: {}", account.backend, parts.join("; "))), more)
    }

    fn remember_between(&mut self, account: &Account<'_>, now: Instant) {
        self.between = lost(account);
        self.between_in_all = self.between.iter().flatten().sum();
        self.losing_since = Some(now);
    }
}

/// What one service lost since something was said.
struct Loss<'a> {
    service: &'a str,
    offered: u64,
    lost: Lost,
}

impl Loss<'_> {
    fn in_all(&self) -> u64 {
        self.lost.iter().sum()
    }

    fn by_reason(&self) -> String {
        let parts: Vec<_> = named(&self.lost).map(|(reason, spans)| format!("{spans} {}", reason.name())).collect();
        parts.join(", ")
    }
}

fn lost(account: &Account<'_>) -> Vec<Lost> {
    let all = std::iter::once(&account.taken_over).chain(&account.counters);
    all.map(|counters| DropReason::ALL.map(|reason| counters.lost_for(reason))).collect()
}

/// What was lost beyond what was `said`, by the services that lost anything.
fn since<'a>(account: &Account<'a>, said: &[Lost]) -> Vec<Loss<'a>> {
    let nothing = [0; DropReason::ALL.len()];
    let names = std::iter::once(EARLIER).chain(account.services.iter().map(String::as_str));
    let counters = std::iter::once(&account.taken_over).chain(&account.counters);
    let services = names.zip(counters).zip(lost(account)).enumerate();
    services
        .map(|(index, ((service, counters), mut lost))| {
            let said = said.get(index).unwrap_or(&nothing);
            lost.iter_mut().zip(said).for_each(|(lost, said)| *lost = lost.saturating_sub(*said));
            Loss { service, offered: counters.offered, lost }
        })
        .filter(|loss| loss.in_all() > 0)
        .collect()
}

fn named(lost: &Lost) -> impl Iterator<Item = (DropReason, u64)> {
    DropReason::ALL.into_iter().zip(*lost).filter(|(_, spans)| *spans > 0)
}

/// How many of which service, why.
fn list(losses: &[Loss<'_>]) -> String {
    let parts: Vec<_> = losses
        .iter()
        .map(|loss| format!("{} of service `{}` ({})", loss.in_all(), loss.service, loss.by_reason()))
        .collect();
    parts.join(", ")
}

/// The same, and what the reasons mean.
fn reasons(losses: &[Loss<'_>]) -> String {
    let mut all = [0; DropReason::ALL.len()];
    for loss in losses {
        all.iter_mut().zip(loss.lost).for_each(|(all, lost)| *all += lost);
    }
    let meanings: Vec<_> = named(&all).map(|(reason, _)| format!("{}: {}", reason.name(), reason.meaning())).collect();
    format!("{}. {}", list(losses), meanings.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(services: &[String], lost: impl Fn(usize, DropReason) -> u64) -> Account<'_> {
        let counters = (0..services.len()).map(|index| {
            let dropped = DropReason::ALL.map(|reason| lost(index, reason));
            ServiceCounters {
                offered: 1000,
                exported: 1000 - dropped.iter().sum::<u64>(),
                dropped,
                ..Default::default()
            }
        });
        Account {
            backend: "collector",
            services,
            counters: counters.collect(),
            data_points: ServiceCounters::default(),
            taken_over: ServiceCounters::default(),
            state: BackendState::Healthy,
        }
    }

    fn services() -> Vec<String> {
        vec!["shop".to_owned(), "billing".to_owned()]
    }

    fn full(spans: u64) -> impl Fn(usize, DropReason) -> u64 {
        move |index, reason| if index == 0 && reason == DropReason::QueueFull { spans } else { 0 }
    }

    #[test]
    fn losses_are_told_when_they_begin_then_each_minute_with_their_number_and_again_when_they_begin_again() {
        let (services, start) = (services(), Instant::now());
        let mut told = ToldOf::default();
        let mut look = |seconds: u64, lost: u64| {
            told.look(start + Duration::from_secs(seconds), lost, || account(&services, full(lost)))
        };
        assert_eq!(look(0, 0), None);
        let begins = look(1, 40).unwrap();
        assert_eq!(
            begins,
            "backend `collector`: spans are being lost: 40 of service `shop` (40 queue_full). queue_full: more waits than \
             `queue_bytes` has room for; how many is said every minute while it goes on"
        );
        assert_eq!((look(2, 50), look(60, 90)), (None, None), "the minute is not over");
        assert_eq!(
            look(61, 100).unwrap(),
            "backend `collector`: spans are still being lost, since a minute ago 60 of service `shop` (60 queue_full)"
        );
        assert_eq!((look(100, 100), look(121, 100)), (None, None), "it is over");
        assert!(look(122, 101).unwrap().contains("being lost: 1 of service `shop`"), "at once");
    }

    #[test]
    fn a_sum_names_service_and_reason_and_a_later_one_says_the_rest_only() {
        let services = services();
        let mut told = ToldOf::default();
        let lost = |more: u64| {
            move |index, reason| match (index, reason) {
                (0, DropReason::RetriesExhausted) => 300,
                (0, DropReason::ShutDown) => 45 + more,
                (1, DropReason::QueueFull) => 1,
                _ => 0,
            }
        };
        let (line, exported) = told.sum(Moment::Seen, &account(&services, lost(0)));
        assert_eq!(
            line.unwrap(),
            "backend `collector`: 345 of 1000 spans of service `shop` were lost: 300 retries_exhausted, 45 shut_down; 1 of \
             1000 spans of service `billing` was lost: 1 queue_full"
        );
        assert_eq!(exported, 655 + 999);
        assert_eq!(told.sum(Moment::Seen, &account(&services, lost(0))), (None, 0), "said once");
        let (line, _) = told.sum(Moment::Seen, &account(&services, lost(5)));
        assert_eq!(line.unwrap(), "backend `collector`: 5 more of 1000 spans of service `shop` were lost: 5 shut_down");
        assert_eq!(told.look(Instant::now(), 351, || unreachable!("a sum has just told them")), None);
    }

    #[test]
    fn spans_refused_in_a_batch_that_was_taken_are_lost_too() {
        let services = services();
        let mut account = account(&services, |_, _| 0);
        account.counters[0].rejected = 7;
        let (line, _) = ToldOf::default().sum(Moment::Seen, &account);
        assert_eq!(line.unwrap(), "backend `collector`: 7 of 1000 spans of service `shop` were lost: 7 rejected");
    }

    #[test]
    fn lost_data_points_are_told_once_and_superseded_ones_never() {
        let services = services();
        let mut account = account(&services, |_, _| 0);
        account.data_points.offered = 50;
        account.data_points.dropped[DropReason::Superseded as usize] = 9;
        let mut told = ToldOf::default();
        assert_eq!(told.sum(Moment::Seen, &account).0, None);
        account.data_points.dropped[DropReason::RetriesExhausted as usize] = 7;
        account.data_points.rejected = 2;
        let line = told.sum(Moment::Seen, &account).0.unwrap();
        assert_eq!(
            line,
            "backend `collector`: 9 of 50 data points of metrics were lost: 2 rejected, 7 retries_exhausted"
        );
        assert_eq!(told.sum(Moment::End, &account).0, None);
    }

    #[test]
    fn what_still_waits_is_no_loss_and_is_said_beside_one() {
        let services = services();
        let mut account = account(&services, full(3));
        account.counters[1].waiting = 12;
        let (line, _) = ToldOf::default().sum(Moment::Seen, &account);
        assert!(line.unwrap().ends_with("3 queue_full; 12 spans still wait"));
    }

    #[test]
    fn where_the_end_may_not_be_seen_what_waits_for_a_backend_in_trouble_is_said() {
        let services = services();
        let mut account = account(&services, |_, _| 0);
        account.counters[1].waiting = 12;
        assert_eq!(ToldOf::default().sum(Moment::LastSeen, &account).0, None, "it is taken in a moment");
        account.state = BackendState::Retrying;
        assert_eq!(ToldOf::default().sum(Moment::Seen, &account).0, None);
        account.state = BackendState::Healthy;
        let mut told = ToldOf::default();
        assert!(told.sum(Moment::End, &account).0.unwrap().contains("12 spans still wait, and are lost if"));
        assert_eq!(told.sum(Moment::End, &account).0, None, "said once");
        account.counters[1] = ServiceCounters { offered: 12, ..ServiceCounters::default() };
        account.counters[1].dropped[DropReason::ShutDown as usize] = 12;
        let line = told.sum(Moment::End, &account).0.unwrap();
        assert_eq!(line, "backend `collector`: 12 of 12 spans of service `billing` were lost: 12 shut_down");
        account.counters[1] = ServiceCounters { waiting: 12, ..ServiceCounters::default() };
        account.state = BackendState::Retrying;
        let (line, _) = ToldOf::default().sum(Moment::LastSeen, &account);
        assert_eq!(line.unwrap(), "backend `collector`: 12 spans still wait, and are lost if this process ends now");
    }
}
