//! `Store`: what a backend's queue knows of its spool. Every batch is written to it before anybody may lose it.
//!
//! Reads and writes files: only the batch thread and the export threads call it, and none of them while it holds the queue's lock.

#![forbid(unsafe_code)]

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::claim::Claim;
use super::place;
use super::segment::{ByService, Next, Segment, Slot};
use crate::config;
use crate::counted::{counted, verb};
use crate::diagnostics::{self, OnceAMinute};
use crate::export::FinishedBatch;

/// See the module.
#[derive(Debug)]
pub(in crate::export) struct Store {
    backend: String,
    settings: config::Spool,
    state: Mutex<State>,
    began: Instant,
    /// When others are looked for next, in milliseconds after it began.
    look_for_others_at: AtomicU64,
    /// Batches that are in no one's hands: nobody takes a lock to see that there is none.
    parked: AtomicU64,
    /// Bytes in the folder of the backend, of all processes, as of a moment.
    bytes: AtomicU64,
    damaged: AtomicU64,
    maybe_twice: AtomicU64,
    /// Whoever sends nothing of his own looks for all that others have left, without a pause.
    is_eager: AtomicBool,
    /// Since it last found something, it has looked at every folder.
    has_looked_everywhere: AtomicBool,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// This process's own folder, from its first batch on.
    own: Option<Own>,
    /// Of others first, then this process's own, oldest first.
    segments: VecDeque<Arc<Segment>>,
    counted_at: Option<Instant>,
    /// Where among the others a look begins.
    turn: usize,
    /// Folders looked at since anything was found. Others come and go meanwhile, so their number says nothing.
    looked_at: HashSet<PathBuf>,
    /// What of the others cannot be looked at, and why, as found since then.
    unread: Option<String>,
    trouble: OnceAMinute,
    damage: OnceAMinute,
    unread_told: OnceAMinute,
}

#[derive(Debug)]
struct Own {
    claim: Arc<Claim>,
    segment: Option<Arc<Segment>>,
    begun: u64,
}

/// A batch that was in the spool only, or what became of it.
pub(in crate::export) enum Taken {
    Batch(FinishedBatch, Slot),
    /// It cannot be read any more.
    Lost(ByService),
    Nothing,
}

/// How a spool is, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolStats {
    /// Bytes of the batches of all processes in it, as they were last added up.
    pub bytes: u64,
    /// How many there may be.
    pub limit: u64,
    /// Spans of this process that lie in the spool and in memory no more. They are neither exported nor lost.
    pub spans: u64,
    /// Spans that processes before this one have left there, and that this one has taken over and not sent yet.
    pub spans_of_others: u64,
    /// Of those, the ones that the backend has by now.
    pub exported_of_others: u64,
    /// Of those, the ones that are lost: refused by the backend, or damaged.
    pub lost_of_others: u64,
    /// Places in its files that could not be read, and were passed over.
    pub damaged: u64,
    /// Spans that were sent again although nobody knows what came of an earlier call, as when their process ended meanwhile:
    /// they may be there twice.
    pub maybe_twice: u64,
}

impl SpoolStats {
    /// Those of two backends, one of which takes the other's place.
    pub(in crate::export) fn and(self, newer: Self) -> Self {
        Self {
            spans: self.spans + newer.spans,
            spans_of_others: self.spans_of_others + newer.spans_of_others,
            exported_of_others: self.exported_of_others + newer.exported_of_others,
            lost_of_others: self.lost_of_others + newer.lost_of_others,
            damaged: self.damaged + newer.damaged,
            maybe_twice: self.maybe_twice + newer.maybe_twice,
            ..newer
        }
    }
}

impl Store {
    pub(in crate::export) fn new(backend: &str, settings: &config::Spool) -> Self {
        Self {
            backend: backend.to_owned(),
            settings: settings.clone(),
            state: Mutex::default(),
            began: Instant::now(),
            look_for_others_at: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            maybe_twice: AtomicU64::new(0),
            is_eager: AtomicBool::new(false),
            has_looked_everywhere: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Writes a batch down. `None`: there is no room, or no way, which is told; the batch is in memory only.
    pub(in crate::export) fn keep(&self, batch: &FinishedBatch, now: Instant) -> Option<Slot> {
        let mut state = self.state();
        match self.append(&mut state, batch, now) {
            Ok(slot) => Some(slot),
            Err(why) => {
                let tells = state.trouble.opens(now);
                drop(state);
                if tells {
                    self.warn(&format!(
                        "the spool {} takes no spans, and what the backend does not take waits in memory only: {why}",
                        self.settings.folder.display()
                    ));
                }
                None
            }
        }
    }

    fn append(&self, state: &mut State, batch: &FinishedBatch, now: Instant) -> Result<Slot, String> {
        let length = batch.weight() as u64;
        self.add_up(state, now);
        if self.bytes.load(Ordering::Relaxed).saturating_add(length) > self.settings.limit {
            let limit = config::written_bytes(self.settings.limit);
            return Err(format!("it has its `spool_limit` of {limit}"));
        }
        let slot = self.written(state, batch).map_err(|error| error.to_string())?;
        self.bytes.fetch_add(length, Ordering::Relaxed);
        Ok(slot)
    }

    fn written(&self, state: &mut State, batch: &FinishedBatch) -> io::Result<Slot> {
        // A program may have closed the lock's descriptor, and somebody may have removed the folder.
        if state.own.as_ref().is_some_and(|own| !own.claim.is_held()) {
            state.own = None;
        }
        for _ in 0..2 {
            let State { own, segments, .. } = &mut *state;
            let own = match own {
                Some(own) => own,
                None => own.insert(self.own_folder()?),
            };
            let segment = match &own.segment {
                Some(segment) if segment.bytes() < SEGMENT_BYTES => segment,
                _ => {
                    let name = place::segment(own.begun);
                    // Whatever comes of it: what is in the way of this name is not in that of the next.
                    own.begun += 1;
                    let segment = Segment::make(&own.claim, name)?;
                    segments.push_back(Arc::clone(&segment));
                    own.segment.insert(segment)
                }
            };
            if let Some(slot) = segment.append(batch)? {
                return Ok(slot);
            }
            own.segment = None;
            segments.retain(|segment| !segment.is_over());
        }
        Err(io::ErrorKind::Other.into())
    }

    fn own_folder(&self) -> io::Result<Own> {
        let place = place::prepare(&self.settings.folder, &self.backend).map_err(io::Error::other)?;
        Ok(Own { claim: Arc::new(Claim::make(&place)?), segment: None, begun: 0 })
    }

    /// A call has the batch from now on.
    pub(in crate::export) fn is_on_its_way(&self, slot: &Slot) {
        self.marked(slot.is_on_its_way());
    }

    /// The call has failed. `may_be_stored`: nobody knows whether something of it has arrived.
    pub(in crate::export) fn waits(&self, slot: &Slot, may_be_stored: bool) {
        self.marked(slot.waits(may_be_stored));
    }

    /// The batch has come to its end.
    pub(in crate::export) fn is_done(&self, slot: &Slot) {
        let freed = slot.is_done();
        if let Ok(freed) = &freed {
            // Another process may have counted less meanwhile: never below nothing.
            let less = |bytes: u64| Some(bytes.saturating_sub(*freed));
            let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        self.marked(freed.map(|_| ()));
    }

    /// It is in the spool only.
    pub(in crate::export) fn is_parked(&self, slot: &Slot, batch: &FinishedBatch) {
        // Held, so that whoever finds nothing parked at this moment does not say so after this.
        let _state = self.state();
        slot.is_parked(batch);
        self.parked.fetch_add(1, Ordering::Relaxed);
    }

    fn marked(&self, result: io::Result<()>) {
        let Err(error) = result else { return };
        if self.state().trouble.opens(Instant::now()) {
            let folder = self.settings.folder.display();
            self.warn(&format!(
                "what becomes of batches cannot be written into the spool {folder}: they may be sent twice: {error}"
            ));
        }
    }

    /// Whether there is a batch that is in the spool only.
    pub(in crate::export) fn has_parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed) > 0
    }

    /// The oldest batch that is in the spool only. Where there is nothing now although there are some, they cannot be read yet.
    pub(in crate::export) fn take(&self) -> Taken {
        let mut state = self.state();
        let mut damaged = 0_u64;
        let mut place = None;
        let mut tell = |path: &Path, at: u64| {
            damaged += 1;
            place.get_or_insert((path.to_owned(), at));
        };
        let mut taken = Taken::Nothing;
        let mut twice = 0;
        let mut not_now = None;
        for segment in &state.segments {
            match segment.next(&mut tell) {
                Next::Batch { batch, slot, is_unsure } => {
                    twice = if is_unsure { u64::from(batch.item_count) } else { 0 };
                    taken = Taken::Batch(batch, slot);
                    break;
                }
                Next::Lost(lost) => {
                    taken = Taken::Lost(lost);
                    break;
                }
                // The others may be well.
                Next::NotNow(path, error) => not_now = Some((path, error)),
                Next::Nothing => {}
            }
        }
        state.segments.retain(|segment| !segment.is_over());
        let is_left = state.segments.iter().any(|segment| segment.has_parked());
        if !is_left {
            self.parked.store(0, Ordering::Relaxed);
        }
        let tells_damage = damaged > 0 && state.damage.opens(Instant::now());
        let not_now = not_now.filter(|_| state.trouble.opens(Instant::now()));
        drop(state);
        if let Some((path, error)) = not_now {
            self.warn(&format!(
                "a file of the spool cannot be read now, and is kept and looked at again: {}: {error}",
                path.display()
            ));
        }
        self.maybe_twice.fetch_add(twice, Ordering::Relaxed);
        self.damaged.fetch_add(damaged, Ordering::Relaxed);
        if let Some((path, at)) = place.filter(|_| tells_damage) {
            self.warn(&format!(
                "a file of the spool is damaged, and that part of it is passed over: {}, byte {at}",
                path.display()
            ));
        }
        taken
    }

    /// When to look again for what others have left behind.
    /// Takes no lock.
    pub(in crate::export) fn looks_for_others_at(&self) -> Instant {
        self.began + Duration::from_millis(self.look_for_others_at.load(Ordering::Relaxed))
    }

    /// Takes over what processes have left that ended. How many spans that is; `count` hears of it before anybody can
    /// take them. Files are read without the lock, for which those that write to the spool would wait: one thread calls this.
    pub(in crate::export) fn take_over(&self, now: Instant, count: impl FnOnce(u64)) -> u64 {
        let pause = if self.is_eager.load(Ordering::Relaxed) { SOON } else { LOOK_FOR_OTHERS };
        let next = u64::try_from((now.saturating_duration_since(self.began) + pause).as_millis()).unwrap_or(u64::MAX);
        self.look_for_others_at.store(next, Ordering::Relaxed);
        if self.state().segments.iter().any(|segment| !segment.is_own()) {
            return 0;
        }
        let (folders, mut troubles) = match place::left(&self.settings.folder, &self.backend) {
            Ok(folders) => (folders, Vec::new()),
            Err(why) => (Vec::new(), vec![why]),
        };
        let (mut spans, mut unsure, mut claims) = (0, 0, 0);
        let mut looked_at = Vec::new();
        let mut found = Vec::new();
        let turn = self.state().turn;
        let in_turn = folders.iter().cycle().skip(turn.checked_rem(folders.len()).unwrap_or(0));
        for folder in in_turn.take(folders.len().min(MOST_LOOKED_AT)) {
            looked_at.push(folder.clone());
            let fault = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
            let claim = match Claim::take_over(folder) {
                Ok(Some(claim)) => Arc::new(claim),
                Ok(None) => continue,
                Err(error) => {
                    troubles.push(fault(folder, error));
                    continue;
                }
            };
            let before = found.len();
            let names = place::segments(folder).unwrap_or_else(|error| {
                troubles.push(fault(folder, error));
                Vec::new()
            });
            for name in names {
                match Segment::left_behind(&claim, name.clone()) {
                    Ok(Some(left)) => {
                        spans += left.spans;
                        unsure += left.unsure;
                        found.push(left.segment);
                    }
                    Ok(None) => {}
                    Err(error) => troubles.push(fault(&folder.join(name), error)),
                }
            }
            // Who has nothing that is sent keeps no descriptor, and is in nobody's way.
            claims += usize::from(found.len() > before);
            if claims == MOST_AT_ONCE {
                break;
            }
        }
        count(spans);
        let mut state = self.state();
        for segment in found.into_iter().rev() {
            state.segments.push_front(segment);
            self.parked.fetch_add(1, Ordering::Relaxed);
        }
        state.turn = turn.wrapping_add(looked_at.len());
        let trouble = troubles.into_iter().next();
        if claims > 0 {
            // All of them are looked at once more.
            (state.looked_at, state.unread) = (HashSet::new(), None);
        } else {
            state.looked_at.extend(looked_at);
            state.unread = trouble.clone().or(state.unread.take());
        }
        // Those that went are forgotten.
        let there: HashSet<_> = folders.iter().collect();
        state.looked_at.retain(|folder| there.contains(folder));
        self.has_looked_everywhere.store(state.looked_at.len() == there.len(), Ordering::Relaxed);
        let told = trouble.filter(|_| state.unread_told.opens(now));
        drop(state);
        if let Some(trouble) = told {
            self.warn(&format!("the spool has what cannot be read, and it stays where it is: {trouble}"));
        }
        let found = format!(
            "{} {} in the spool from processes before this one",
            counted(spans, "span"),
            verb(spans, "is", "are")
        );
        if unsure > 0 {
            self.warn(&format!("{found}; {unsure} of them may have arrived before, and may arrive twice"));
        } else if spans > 0 {
            self.say(log::Level::Info, &found);
        }
        spans
    }

    /// Looks for all that others have left, without a pause between.
    pub(in crate::export) fn is_to_look_everywhere(&self) {
        self.is_eager.store(true, Ordering::Relaxed);
        self.look_for_others_at.store(0, Ordering::Relaxed);
    }

    /// What of it could not be looked at, and why, in the last round.
    pub(in crate::export) fn unread(&self) -> Option<String> {
        self.state().unread.clone()
    }

    /// Whether that is done.
    pub(in crate::export) fn has_looked_everywhere(&self) -> bool {
        self.has_looked_everywhere.load(Ordering::Relaxed)
    }

    /// Everything that this process keeps is in its files. What has nothing in it is removed.
    pub(in crate::export) fn tidy(&self) {
        let mut state = self.state();
        state.segments.retain(|segment| !segment.is_over());
        if !state.segments.iter().any(|segment| segment.is_own()) {
            state.own = None;
        }
    }

    /// Nobody sends by this queue any more: what is left belongs to whoever takes it, this process too.
    pub(in crate::export) fn close(&self) {
        let mut state = self.state();
        state.segments.clear();
        state.own = None;
        self.parked.store(0, Ordering::Relaxed);
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(in crate::export) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// How many bytes lie there, and how many may.
    pub(in crate::export) fn fill(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.settings.limit)
    }

    pub(in crate::export) fn stats(&self) -> SpoolStats {
        SpoolStats {
            bytes: self.bytes.load(Ordering::Relaxed),
            limit: self.settings.limit,
            damaged: self.damaged.load(Ordering::Relaxed),
            maybe_twice: self.maybe_twice.load(Ordering::Relaxed),
            ..SpoolStats::default()
        }
    }

    /// What all processes have in there, counted now and then: between two looks only what this one adds.
    fn add_up(&self, state: &mut State, now: Instant) {
        if state.counted_at.is_none_or(|at| now.saturating_duration_since(at) >= ADD_UP) {
            state.counted_at = Some(now);
            let place = place::of_backend(&self.settings.folder, &self.backend);
            self.bytes.store(place::bytes(&place), Ordering::Relaxed);
        }
    }

    fn warn(&self, text: &str) {
        self.say(log::Level::Warn, text);
    }

    fn say(&self, level: log::Level, text: &str) {
        diagnostics::say(LOG_TARGET, level, &format!("backend `{}`: {text}", self.backend));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file is begun after so much; it goes when all in it has been sent.
const SEGMENT_BYTES: u64 = 8 << 20;
const ADD_UP: Duration = Duration::from_secs(5);
/// Processes that ended are looked for so often, and so many folders at a time: a thousand processes look at the same ones.
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_millis(20);
const MOST_LOOKED_AT: usize = 64;
/// Each has a descriptor.
const MOST_AT_ONCE: usize = 4;
const LOG_TARGET: &str = "tracer_resolver::export";
