//! The headers of a message in a callback: looked through with a bound, whatever an application puts there.

use std::cell::Cell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::captured::Captured;
use super::kafka_api::{KafkaApi, RdKafkaHeaders, RdKafkaMessage};
use crate::propagation::{concerns, is_named};

/// The header list of a message: the message's own, changed in place, never replaced.
///
/// Of a list that is longer than [`MAX_HEADERS`], or has more than [`MAX_OURS`] headers of the names that tracers use,
/// nothing is read, and nothing is added to it: its message goes on as it is.
pub(super) struct Headers<'a> {
    api: &'a KafkaApi,
    raw: *mut RdKafkaHeaders,
    seen: Seen<'a>,
    message: PhantomData<&'a RdKafkaMessage>,
}

/// What one pass over the list found. Read where it is: it is too large to be copied for each question.
struct Seen<'a> {
    /// Whether the list has been passed over since its last change; else nothing below counts.
    is_known: Cell<bool>,
    /// The first headers that tracers use, so that most messages are done with one look.
    first: [Cell<Option<Header<'a>>>; KEPT],
    /// Where all of those are, in order.
    ours: [Cell<u16>; MAX_OURS],
    ours_count: Cell<u8>,
    /// How many headers there are.
    count: Cell<u16>,
    /// Headers whose name's length is not certain; the sizes of these are in no sum.
    unsure: Cell<u16>,
    /// What all others than `ours` take in a record, at the most.
    others: Cell<usize>,
    is_whole: Cell<bool>,
    /// Whether a `baggage` header is among `ours`.
    has_baggage: Cell<bool>,
}

/// One header.
#[derive(Clone, Copy)]
struct Header<'a> {
    name: &'a CStr,
    value: Option<&'a [u8]>,
    /// Bytes between the first of the name and its value, without the NUL before that.
    room: Option<usize>,
}

/// Headers of a message that are looked at.
const MAX_HEADERS: u16 = 1024;
/// Headers of one message that tracers use: 32 `tracestate`, as many as W3C allows members, and every other name twice.
const MAX_OURS: usize = 64;
/// Of these, so many are kept as they were read: a context with its state.
const KEPT: usize = 2;
/// Steps through the list for the sake of lengths that are not certain.
const MAX_STEPS: usize = 16 * MAX_HEADERS as usize;
/// Bytes that a header takes beside its name and value, at the most: two varints.
pub(super) const HEADER_OVERHEAD: usize = 10;

impl<'a> Headers<'a> {
    /// # Safety
    ///
    /// `raw` is the list of a message that lives for `'a`, and of the librdkafka of `api`; nobody else changes it.
    pub(super) unsafe fn from_raw(api: &'a KafkaApi, raw: *mut RdKafkaHeaders) -> Self {
        Self { api, raw, seen: Seen::nothing(), message: PhantomData }
    }

    /// Those that spans tell, in the order of the record. A pass of its own, which only who asks for it pays.
    pub(super) fn told(&self, wanted: &Captured) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let all = self.are_few().then(|| self.all()).into_iter().flatten();
        let told = all.filter(|header| wanted.wants(header.name.to_bytes()));
        told.map(|header| (header.name.to_bytes(), header.value))
    }

    /// Those of the names that tracers use, in any spelling, in the order of the record.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + '_ {
        self.ours().map(|header| (header.name.to_bytes(), header.value))
    }

    /// The last header of this name that has a value.
    #[inline]
    pub(super) fn last(&self, name: &CStr) -> Option<&'a [u8]> {
        let (mut value, mut size) = (std::ptr::null(), 0);
        // SAFETY: as in `get`.
        unsafe {
            let found = (self.api.header_get_last)(self.raw, name.as_ptr(), &raw mut value, &raw mut size);
            (found == 0 && !value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size))
        }
    }

    /// The values of its `baggage` headers, in the order of the record.
    pub(super) fn baggage(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.iter().filter(|(name, _)| is_baggage(name)).filter_map(|(_, value)| value)
    }

    /// Whether there is a `baggage` header.
    #[inline]
    pub(super) fn have_baggage(&self) -> bool {
        self.seen().has_baggage.get()
    }

    /// Whether the list is one that is looked at.
    pub(super) fn are_few(&self) -> bool {
        self.seen().is_whole.get()
    }

    /// Bytes that the headers take in a record, at the most, once those are gone that `goes` names; `None` when that
    /// cannot be told.
    ///
    /// librdkafka counts a name by the length it was given, and gives it back as C's text: one with a NUL in it is
    /// longer than it looks. See "How long is a header's name?" in `RATIONALE.md`.
    pub(super) fn size_without(&self, goes: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let seen = self.seen();
        if !seen.is_whole.get() {
            return None;
        }
        let stays = |header: &Header<'_>| !goes(header.name.to_bytes());
        let sure = self.ours().filter(|header| header.is_sure() && stays(header));
        let sure =
            sure.fold(seen.others.get(), |sum, header| sum.saturating_add(header.size(header.name.count_bytes())));
        if seen.unsure.get() == 0 {
            return Some(sure);
        }
        if usize::from(seen.unsure.get()) * usize::from(seen.count.get()) > MAX_STEPS {
            return None;
        }
        let unsure = self.all().filter(|header| !header.is_sure() && stays(header));
        unsure
            .map(|header| Some(header.size(self.length_of_name(&header)?)))
            .try_fold(sure, |sum, size| size.map(|size| sum.saturating_add(size)))
    }

    /// The same at the least.
    pub(super) fn least_size_without(&self, goes: impl Fn(&[u8]) -> bool) -> usize {
        let staying = self.all().filter(|header| !goes(header.name.to_bytes()));
        staying.fold(0_usize, |sum, header| {
            let value = header.value.map_or(0, <[u8]>::len);
            sum.saturating_add(header.name.count_bytes()).saturating_add(value)
        })
    }

    /// Removes every header of this name, in this very spelling.
    pub(super) fn remove(&self, name: &CStr) {
        self.changed();
        // SAFETY: the list is the message's own and not read-only in a callback. `__NOENT` says there was none.
        unsafe { (self.api.header_remove)(self.raw, name.as_ptr()) };
    }

    /// Appends a header; librdkafka copies name and value.
    pub(super) fn add(&self, name: &CStr, value: &[u8]) {
        self.changed();
        // SAFETY: as above; the lengths are those of the slices.
        unsafe {
            (self.api.header_add)(
                self.raw,
                name.as_ptr(),
                name.count_bytes() as isize,
                value.as_ptr().cast(),
                value.len() as isize,
            )
        };
    }

    /// What was seen is so no longer.
    fn changed(&self) {
        self.seen.is_known.set(false);
    }

    /// Asked only while the list does not change.
    #[inline]
    fn ours(&self) -> impl Iterator<Item = Header<'a>> + '_ {
        let seen = self.seen();
        let count = if seen.is_whole.get() { seen.ours_count.get() } else { 0 };
        (0..usize::from(count)).filter_map(|number| match seen.first.get(number) {
            Some(kept) => kept.get(),
            None => self.get(seen.ours.get(number)?.get()),
        })
    }

    fn all(&self) -> impl Iterator<Item = Header<'a>> + '_ {
        (0..MAX_HEADERS).map_while(|index| self.get(index))
    }

    #[inline]
    fn seen(&self) -> &Seen<'a> {
        if !self.seen.is_known.get() {
            self.look();
        }
        &self.seen
    }

    /// The one pass.
    #[inline(never)]
    fn look(&self) {
        let (mut count, mut ours_count, mut unsure, mut others, mut has_baggage) = (0_u16, 0_u8, 0_u16, 0_usize, false);
        let passed = self.all().try_for_each(|header| {
            let place = count;
            count += 1;
            let is_ours = concerns(header.name.to_bytes());
            if !header.is_sure() {
                unsure += 1;
            } else if !is_ours {
                others = others.saturating_add(header.size(header.name.count_bytes()));
            }
            if is_ours {
                has_baggage |= is_baggage(header.name.to_bytes());
                let number = usize::from(ours_count);
                let Some(next) = self.seen.ours.get(number) else { return ControlFlow::Break(()) };
                next.set(place);
                if let Some(kept) = self.seen.first.get(number) {
                    kept.set(Some(header));
                }
                ours_count += 1;
            }
            ControlFlow::Continue(())
        });
        let is_whole = passed.is_continue() && (count < MAX_HEADERS || self.get(MAX_HEADERS).is_none());
        let seen = &self.seen;
        seen.ours_count.set(ours_count);
        seen.count.set(count);
        seen.unsure.set(unsure);
        seen.others.set(others);
        seen.is_whole.set(is_whole);
        seen.has_baggage.set(has_baggage && is_whole);
        seen.is_known.set(true);
    }

    /// Header number `index`, in the order of the record.
    #[inline]
    fn get(&self, index: u16) -> Option<Header<'a>> {
        let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the list is valid for `'a`; the three outputs are written when 0 is returned.
        let found = unsafe {
            (self.api.header_get_all)(self.raw, usize::from(index), &raw mut name, &raw mut value, &raw mut size)
        };
        if found != 0 || name.is_null() {
            return None;
        }
        let room = value.addr().checked_sub(name.addr()).and_then(|bytes| bytes.checked_sub(1));
        // SAFETY: librdkafka keeps name and value, NUL-terminated and of `size` bytes, until the list changes; callers
        // do not hold on to them over a change.
        unsafe {
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size));
            Some(Header { name: CStr::from_ptr(name), value, room })
        }
    }

    /// How long librdkafka takes the header's name to be, at the most.
    #[cold]
    fn length_of_name(&self, header: &Header<'_>) -> Option<usize> {
        let Some(header_get) = self.api.header_get else { return header.room };
        let alike = self.all().filter(|other| other.name == header.name).count();
        let (mut value, mut size) = (std::ptr::null(), 0);
        // SAFETY: the list is valid, and so is the name, which is one of its own.
        let found = unsafe {
            let name = header.name.as_ptr();
            header_get(self.raw, alike.saturating_sub(1), name, &raw mut value, &raw mut size)
        };
        // This search compares lengths too: it finds all that look alike only if none is longer than it looks.
        if found == 0 { Some(header.name.count_bytes()) } else { header.room }
    }
}

impl Seen<'_> {
    const fn nothing() -> Self {
        Self {
            is_known: Cell::new(false),
            first: [const { Cell::new(None) }; KEPT],
            ours: [const { Cell::new(0) }; MAX_OURS],
            ours_count: Cell::new(0),
            count: Cell::new(0),
            unsure: Cell::new(0),
            others: Cell::new(0),
            is_whole: Cell::new(false),
            has_baggage: Cell::new(false),
        }
    }
}

pub(super) fn is_baggage(name: &[u8]) -> bool {
    is_named(name, b"baggage")
}

impl Header<'_> {
    /// A value lies behind its name: where there is no room for more than is seen of the name, that is all of it.
    fn is_sure(&self) -> bool {
        self.room == Some(self.name.count_bytes())
    }

    fn size(&self, name: usize) -> usize {
        name.saturating_add(self.value.map_or(0, <[u8]>::len)).saturating_add(HEADER_OVERHEAD)
    }
}
