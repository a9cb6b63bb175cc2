//! One file of the spool: batches one after the other, each with a mark that says what became of it.
//!
//! The file is opened for each thing that is done and closed again: a program that closes descriptors which it does not know
//! cannot make us write into another file of its own, and a long outage holds no descriptors.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::claim::Claim;
use super::record::{self, FILE_HEADER, Look, Mark};
use crate::export::FinishedBatch;
use crate::process_lock;

/// Spans by the number of their service; [`OTHERS`] are those of another process.
pub(in crate::export) type ByService = BTreeMap<u32, u64>;

/// Where a process counts what another has left behind.
pub(in crate::export) const OTHERS: u32 = u32::MAX;

/// See the module. Shared by the spool and by every batch in memory that also lies in it.
#[derive(Debug)]
pub(super) struct Segment {
    name: String,
    /// Its folder, and the lock on it.
    claim: Arc<Claim>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the first record is looked for.
    first: u64,
    end: u64,
    /// Where the next look for a batch begins.
    cursor: u64,
    /// Records that are not done.
    open: u64,
    /// Of these, those that are in memory too.
    held: BTreeSet<u64>,
    /// Records that are done although the file does not say so: the mark could not be written.
    unmarked: BTreeSet<u64>,
    /// What the others have.
    parked: ByService,
    /// Where stretches begin that cannot be read.
    damaged: BTreeSet<u64>,
    /// Records of which something may have arrived, and whether that was told when they were taken.
    unsure: BTreeMap<u64, bool>,
    /// Nothing is open any more, and the file is gone.
    is_gone: bool,
}

/// The place of a batch that is in memory too.
#[derive(Clone, Debug)]
pub(in crate::export) struct Slot {
    segment: Arc<Segment>,
    at: u64,
}

/// What another process has left behind in a file.
pub(super) struct Left {
    pub(super) segment: Arc<Segment>,
    pub(super) spans: u64,
    /// Of these, those in calls of which nobody knows what came.
    pub(super) unsure: u64,
}

/// What was found where a batch was looked for.
pub(super) enum Next {
    Batch {
        batch: FinishedBatch,
        slot: Slot,
        /// Something of it may have arrived, which was not told before.
        is_unsure: bool,
    },
    /// Of what is left nothing can be read.
    Lost(ByService),
    /// This file cannot be read at this moment: everything is as it was, and it is looked at again.
    NotNow(PathBuf, io::Error),
    Nothing,
}

impl Segment {
    /// A new file for this process's own batches.
    pub(super) fn make(claim: &Arc<Claim>, name: String) -> io::Result<Arc<Self>> {
        let segment = Self { name, claim: Arc::clone(claim), state: Mutex::default() };
        let file = process_lock::options().create_new(true).mode(0o600).open(segment.path())?;
        if let Err(error) = file.write_all_at(&FILE_HEADER, 0) {
            // An empty file is nobody's, and would stay.
            let _ = fs::remove_file(segment.path());
            return Err(error);
        }
        let length = FILE_HEADER.len() as u64;
        *segment.state() = State { first: length, end: length, cursor: length, ..State::default() };
        Ok(Arc::new(segment))
    }

    /// One that another process has left behind. `None`: there is nothing in it.
    pub(super) fn left_behind(claim: &Arc<Claim>, name: String) -> io::Result<Option<Left>> {
        let segment = Self { name, claim: Arc::clone(claim), state: Mutex::default() };
        let path = segment.path();
        let file = process_lock::options().open(&path)?;
        let end = file.metadata()?.len();
        let mut header = FILE_HEADER;
        if end < FILE_HEADER.len() as u64 {
            fs::remove_file(path)?;
            return Ok(None);
        }
        file.read_exact_at(&mut header, 0)?;
        let Some(first) = record::first(header) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it was not written by this version"));
        };
        let (mut open, mut spans, mut unsure, mut at) = (0, 0, 0, first);
        loop {
            match record::look(&file, at, end)? {
                Look::Record(found) => {
                    open += u64::from(!found.is_done);
                    let items = if found.is_done { 0 } else { found.items() };
                    spans += items;
                    unsure += if found.was_on_its_way { items } else { 0 };
                    at = found.next;
                }
                Look::Damaged(next) => {
                    // It is told when it is come by.
                    open += 1;
                    at = next;
                }
                Look::End => break,
            }
        }
        if open == 0 {
            fs::remove_file(path)?;
            return Ok(None);
        }
        let parked = ByService::from([(OTHERS, spans)]);
        *segment.state() = State { first, end, cursor: first, open, parked, ..State::default() };
        Ok(Some(Left { segment: Arc::new(segment), spans, unsure }))
    }

    /// Writes a batch behind the others; `None` if the file is gone. What was written of one that fails is written over by the
    /// next.
    pub(super) fn append(self: &Arc<Self>, batch: &FinishedBatch) -> io::Result<Option<Slot>> {
        let mut state = self.state();
        if state.is_gone {
            return Ok(None);
        }
        let before = record::before_the_body(batch);
        let (file, at) = (self.open()?, state.end);
        let bytes = before.len() as u64 + batch.bytes().len() as u64;
        let written = file
            .write_all_at(batch.bytes(), at + before.len() as u64)
            // Last: without it there is no record, so that a process that is killed meanwhile leaves none that is torn.
            .and_then(|()| file.write_all_at(&before, at));
        if let Err(error) = written {
            // What fails here is written over later, or found to be no record.
            let _ = file.set_len(at);
            return Err(error);
        }
        state.end = record::after(at, bytes);
        state.open += 1;
        state.held.insert(at);
        Ok(Some(Slot { segment: Arc::clone(self), at }))
    }

    /// The next batch that is in no one's hands, which it is from now on.
    ///
    /// `damaged` is told of each stretch of the file that cannot be read.
    pub(super) fn next(self: &Arc<Self>, damaged: &mut dyn FnMut(&Path, u64)) -> Next {
        let mut state = self.state();
        if state.open <= state.held.len() as u64 {
            return state.lost();
        }
        match self.find(&mut state, damaged) {
            Ok(Some(next)) => next,
            Ok(None) => self.give_up(&mut state, damaged),
            Err(error) if is_lost(&error) => self.give_up(&mut state, damaged),
            Err(error) => Next::NotNow(self.path(), error),
        }
    }

    /// `None`: there is nothing that can be read. The cursor passes nothing that it has not read.
    fn find(self: &Arc<Self>, state: &mut State, damaged: &mut dyn FnMut(&Path, u64)) -> io::Result<Option<Next>> {
        let file = self.open()?;
        // Those before the cursor may have been put back.
        for _ in 0..2 {
            loop {
                let at = state.cursor;
                match record::look(&file, at, state.end)? {
                    Look::Record(found) => {
                        if found.is_done || state.held.contains(&at) || state.unmarked.contains(&at) {
                            state.cursor = found.next;
                            continue;
                        }
                        let batch = match found.batch(&file, self.claim.is_own()) {
                            Err(error) if is_lost(&error) => None,
                            read => read?,
                        };
                        let Some(batch) = batch else {
                            state.cursor = record::after_damaged(&file, &found, state.end)?;
                            self.pass_over(state, at, damaged);
                            continue;
                        };
                        state.cursor = found.next;
                        state.held.insert(at);
                        state.take(&batch);
                        let slot = Slot { segment: Arc::clone(self), at };
                        let is_unsure = found.was_on_its_way && state.is_to_tell_of(at);
                        return Ok(Some(Next::Batch { batch, slot, is_unsure }));
                    }
                    Look::Damaged(next) => {
                        state.cursor = next;
                        self.pass_over(state, at, damaged);
                    }
                    Look::End => break,
                }
            }
            state.cursor = state.first;
        }
        Ok(None)
    }

    /// Whether it was written by this process.
    pub(super) fn is_own(&self) -> bool {
        self.claim.is_own()
    }

    /// Whether there is nothing in it any more, and nothing left to say of it.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.is_gone && state.parked.is_empty()
    }

    /// Whether something of it is in nobody's hands.
    pub(super) fn has_parked(&self) -> bool {
        let state = self.state();
        state.open > state.held.len() as u64 || !state.parked.is_empty()
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        let state = self.state();
        if state.is_gone { 0 } else { state.end }
    }

    /// A stretch that cannot be read is told once.
    fn pass_over(&self, state: &mut State, at: u64, damaged: &mut dyn FnMut(&Path, u64)) {
        if state.damaged.insert(at) {
            damaged(&self.path(), at);
            state.open = state.open.saturating_sub(1);
        }
    }

    /// Of what no one has in hand nothing can be read, now or later.
    fn give_up(&self, state: &mut State, damaged: &mut dyn FnMut(&Path, u64)) -> Next {
        if state.open > state.held.len() as u64 {
            damaged(&self.path(), state.cursor);
        }
        state.open = state.held.len() as u64;
        self.remove_if_done(state);
        state.lost()
    }

    /// How many bytes of the disk are free by that.
    fn remove_if_done(&self, state: &mut State) -> u64 {
        if state.open > 0 || state.is_gone {
            return 0;
        }
        state.is_gone = true;
        // If it stays, there is nothing in it that is not done.
        let _ = fs::remove_file(self.path());
        state.end
    }

    fn open(&self) -> io::Result<File> {
        process_lock::options().open(self.path())
    }

    fn path(&self) -> PathBuf {
        self.claim.folder().join(&self.name)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether looking again cannot help: the file is gone, or shorter than what was written. Anything else, as too many open files,
/// says nothing of what lies there.
fn is_lost(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

impl State {
    /// Of what is in nobody's hands nothing is open: what was counted there cannot be read.
    fn lost(&mut self) -> Next {
        let lost = std::mem::take(&mut self.parked);
        if lost.is_empty() { Next::Nothing } else { Next::Lost(lost) }
    }

    /// Whether it is to be told that something of a record may have arrived: once.
    fn is_to_tell_of(&mut self, at: u64) -> bool {
        self.unsure.insert(at, true) != Some(true)
    }

    /// Its spans are in memory.
    fn take(&mut self, batch: &FinishedBatch) {
        for (service, spans) in by_service(batch) {
            if let Some(parked) = self.parked.get_mut(&service) {
                *parked = parked.saturating_sub(spans);
            }
        }
        self.parked.retain(|_, spans| *spans > 0);
    }
}

impl Slot {
    /// A call has it from now on.
    pub(in crate::export) fn is_on_its_way(&self) -> io::Result<()> {
        record::mark(&self.segment.open()?, self.at, Mark::OnItsWay)
    }

    /// The call has failed, and there may be another. `may_be_stored`: nobody knows whether something of it has arrived. Then
    /// the mark stays, whatever comes of others: it is of all of them.
    pub(in crate::export) fn waits(&self, may_be_stored: bool) -> io::Result<()> {
        let mut state = self.segment.state();
        if may_be_stored {
            state.unsure.entry(self.at).or_default();
        }
        // What somebody else has done with it meanwhile is not taken back.
        if state.unsure.contains_key(&self.at) || !state.held.contains(&self.at) {
            return Ok(());
        }
        record::mark(&self.segment.open()?, self.at, Mark::Waiting)
    }

    /// Nothing is to be done any more. How many bytes of the disk are free by that.
    pub(in crate::export) fn is_done(&self) -> io::Result<u64> {
        let mut state = self.segment.state();
        let is_last = state.open == 1;
        // The file goes at once, if this was the last.
        let marked = if is_last {
            Ok(())
        } else {
            self.segment.open().and_then(|file| record::mark(&file, self.at, Mark::Done))
        };
        if state.held.remove(&self.at) {
            state.open = state.open.saturating_sub(1);
            if marked.is_err() {
                state.unmarked.insert(self.at);
            }
        }
        state.unsure.remove(&self.at);
        let freed = self.segment.remove_if_done(&mut state);
        marked.map(|()| freed)
    }

    /// It is in the spool only, from now on.
    pub(in crate::export) fn is_parked(&self, batch: &FinishedBatch) {
        let mut state = self.segment.state();
        if state.held.remove(&self.at) {
            for (service, spans) in by_service(batch) {
                *state.parked.entry(service).or_default() += spans;
            }
        }
    }
}

/// Its spans, as they are counted.
pub(in crate::export) fn by_service(batch: &FinishedBatch) -> impl Iterator<Item = (u32, u64)> + '_ {
    let of_others = batch.per_service.is_empty().then_some((OTHERS, u64::from(batch.item_count)));
    batch.per_service.iter().map(|&(service, spans)| (service, u64::from(spans))).chain(of_others)
}
