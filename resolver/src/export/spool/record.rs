//! One batch in a file of the spool: how it is written, found again, and known to be whole. `RATIONALE.md` has the format.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::export::{BatchFacts, FinishedBatch, Signal};

/// What became of a record so far. A byte of its own, outside of what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mark {
    /// Nobody has it.
    Waiting = 0,
    /// It is in a call, or one has come back and left open whether something of it was stored: nobody knows whether it has
    /// arrived.
    OnItsWay = 1,
    /// Nothing is to be done with it any more.
    Done = 2,
}

/// What a file of the spool begins with: a word, and the version of the format.
pub(super) const FILE_HEADER: [u8; 16] = *b"TRSPOOL\0\x01\0\0\0\0\0\0\0";
const FILE_WORD: [u8; 8] = *b"TRSPOOL\0";
const MAGIC: [u8; 4] = *b"TRSP";
const HEADER: usize = 24;
const MARK_AT: u64 = 4;
/// Records begin at multiples of this.
const STEP: u64 = 8;
/// No batch, and no description of one, is larger.
const MOST: u64 = 1 << 30;
const ENCODING: &str = "otlp_proto";

/// A record that is there, as far as its first bytes tell.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) at: u64,
    pub(super) next: u64,
    pub(super) is_done: bool,
    pub(super) was_on_its_way: bool,
    sum: u32,
    lengths: [u8; 8],
    head: Vec<u8>,
    body_at: u64,
    body_length: usize,
}

/// What is at a place of a file.
#[derive(Debug)]
pub(super) enum Look {
    Record(Found),
    /// Nothing that can be read up to here.
    Damaged(u64),
    End,
}

/// Where the first record of a file with this header is looked for; `None`: the file is of another version. A header that is
/// damaged is passed over as any other place.
pub(super) fn first(header: [u8; 16]) -> Option<u64> {
    match header {
        FILE_HEADER => Some(FILE_HEADER.len() as u64),
        other if other.starts_with(&FILE_WORD) => None,
        _ => Some(0),
    }
}

/// Everything of a record but the batch's own bytes, which follow.
pub(super) fn before_the_body(batch: &FinishedBatch) -> Vec<u8> {
    let head = head(batch).to_string().into_bytes();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let lengths = [length(&head), length(batch.bytes())].concat();
    let mut bytes = Vec::with_capacity(HEADER + head.len());
    bytes.extend(MAGIC);
    bytes.extend([Mark::Waiting as u8, 0, 0, 0]);
    bytes.extend(&lengths);
    bytes.extend(sum(&[&lengths, &head, batch.bytes()]).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(head);
    bytes
}

/// Where the record after one of so many bytes begins.
pub(super) fn after(at: u64, bytes: u64) -> u64 {
    (at + bytes).next_multiple_of(STEP)
}

/// Says what has become of the record at `at`.
pub(super) fn mark(file: &File, at: u64, mark: Mark) -> io::Result<()> {
    file.write_all_at(&[mark as u8], at + MARK_AT)
}

/// What is at `at` of a file that ends at `end`.
pub(super) fn look(file: &File, at: u64, end: u64) -> io::Result<Look> {
    if at >= end {
        return Ok(Look::End);
    }
    match found(file, at, end)? {
        // Where no record follows, this one's length may be wrong, or the next one is damaged.
        Some(found) if !begins_one(file, found.next, end)? && found.whole(file)?.is_none() => {
            Ok(Look::Record(Found { next: next_magic(file, at + STEP, end)?, ..found }))
        }
        Some(found) => Ok(Look::Record(found)),
        None => Ok(Look::Damaged(next_magic(file, at + STEP, end)?)),
    }
}

/// Where a search goes on after a record that is not what it says.
pub(super) fn after_damaged(file: &File, found: &Found, end: u64) -> io::Result<u64> {
    next_magic(file, found.at + STEP, end)
}

fn found(file: &File, at: u64, end: u64) -> io::Result<Option<Found>> {
    if at + HEADER as u64 > end {
        return Ok(None);
    }
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, at)?;
    let word = |from: usize| -> u32 {
        header.get(from..from + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
    };
    let (head_length, body_length) = (u64::from(word(8)), u64::from(word(12)));
    let body_at = at + HEADER as u64 + head_length;
    if header.get(..4) != Some(&MAGIC) || head_length > MOST || body_length > MOST || body_at + body_length > end {
        return Ok(None);
    }
    let mut head = vec![0; usize::try_from(head_length).unwrap_or(0)];
    file.read_exact_at(&mut head, at + HEADER as u64)?;
    let mark = header.get(4).copied().unwrap_or(0);
    Ok(Some(Found {
        at,
        next: after(body_at, body_length),
        is_done: mark == Mark::Done as u8,
        was_on_its_way: mark == Mark::OnItsWay as u8,
        sum: word(16),
        lengths: header.get(8..16).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; 8]),
        head,
        body_at,
        body_length: usize::try_from(body_length).unwrap_or(0),
    }))
}

fn begins_one(file: &File, at: u64, end: u64) -> io::Result<bool> {
    let mut magic = [0; 4];
    Ok(at >= end || file.read_at(&mut magic, at)? == magic.len() && magic == MAGIC)
}

/// The next place from `at` on at which a record may begin.
fn next_magic(file: &File, mut at: u64, end: u64) -> io::Result<u64> {
    let mut chunk = vec![0; 64 << 10];
    at = at.next_multiple_of(STEP);
    while at + (HEADER as u64) <= end {
        let read = file.read_at(&mut chunk, at)?;
        let whole = read / STEP as usize * STEP as usize;
        let steps = chunk.get(..whole).unwrap_or(&[]).chunks_exact(STEP as usize);
        if let Some(index) = steps.into_iter().position(|step| step.starts_with(&MAGIC)) {
            return Ok(at + index as u64 * STEP);
        }
        if whole == 0 {
            break;
        }
        at += whole as u64;
    }
    Ok(end)
}

impl Found {
    /// How many items it says to have; 0 if that cannot be read.
    pub(super) fn items(&self) -> u64 {
        self.description().and_then(|head| head.get("items")?.as_u64()).unwrap_or(0)
    }

    /// The batch, if every byte is as it was written and it is of a kind that is known here. `is_own`: the numbers of its
    /// services are this process's.
    pub(super) fn batch(&self, file: &File, is_own: bool) -> io::Result<Option<FinishedBatch>> {
        let Some(body) = self.whole(file)? else { return Ok(None) };
        Ok(self.description().and_then(|head| batch(&head, body, is_own)))
    }

    /// The body, if every byte is as it was written.
    fn whole(&self, file: &File) -> io::Result<Option<Vec<u8>>> {
        let mut body = vec![0; self.body_length];
        file.read_exact_at(&mut body, self.body_at)?;
        Ok((sum(&[&self.lengths, &self.head, &body]) == self.sum).then_some(body))
    }

    fn description(&self) -> Option<Value> {
        serde_json::from_slice(&self.head).ok()
    }
}

/// What is to be known of a batch without decoding it.
fn head(batch: &FinishedBatch) -> Value {
    let names = batch.facts.services.iter();
    let numbers = batch.per_service.iter().map(|(number, spans)| json!([number, spans]));
    json!({
        "signal": batch.signal.name(),
        "encoding": ENCODING,
        "items": batch.item_count,
        "service_names": names.map(|name| Value::from(&**name)).collect::<Vec<_>>(),
        "per_service": numbers.collect::<Vec<_>>(),
        "resources": batch.facts.resources,
        "oldest_start": batch.facts.oldest_start,
    })
}

fn batch(head: &Value, body: Vec<u8>, is_own: bool) -> Option<FinishedBatch> {
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let is_known = head.get("signal")? == Signal::Traces.name() && head.get("encoding")? == ENCODING;
    let names = head.get("service_names")?.as_array()?.iter().filter_map(|name| Some(Arc::from(name.as_str()?)));
    let pairs = head.get("per_service")?.as_array()?.iter();
    let per_service = pairs.map(|pair| Some((number(pair.get(0)?)?, number(pair.get(1)?)?)));
    let facts = BatchFacts {
        oldest_start: head.get("oldest_start")?.as_u64()?,
        resources: number(head.get("resources")?)?,
        services: names.collect(),
    };
    is_known.then_some(FinishedBatch {
        id: FinishedBatch::next_id(),
        signal: Signal::Traces,
        body,
        start: 0,
        item_count: number(head.get("items")?)?,
        per_service: if is_own { per_service.collect::<Option<_>>()? } else { Vec::new() },
        facts,
    })
}

fn sum(parts: &[&[u8]]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    parts.iter().for_each(|part| sum.update(part));
    sum.finalize()
}
