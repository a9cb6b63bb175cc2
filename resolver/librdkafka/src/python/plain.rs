//! The plain loop over messages, as `_processing.py` and `_sends.py` have it for all: what is not plain is left to them.
//!
//! Plain is a train that works for itself, without spans of OpenTelemetry's, where nothing is kept for later.

use std::ptr;
use std::time::Duration;

use tracer_resolver::MessagePlace;
use tracer_resolver::interceptor::declared;

use super::cpython::{NoArguments, Object, Owned};
use super::layer::{Interrupted, Layer};
use super::objects::{Habits, Processing, set};
use crate::contained::contained;

/// What has begun with a message.
pub(super) enum Begun {
    It(Owned),
    /// It is not traced.
    Nothing,
    NotPlain,
}

/// What an object is of.
pub(super) enum AtHand {
    /// This processing's message.
    Of(Owned),
    Nothing,
    NotPlain,
}

impl Layer {
    /// The calling context goes on to the next message. Whether Python was not interrupted.
    ///
    /// # Safety
    ///
    /// See [`Layer::habits_of`].
    pub(super) unsafe fn leave(&self, habits: &Owned) -> bool {
        // SAFETY: as promised by the caller.
        unsafe { self.leaves_plainly(habits) || self.called(self.slow.left, [habits.raw()]).is_some() }
    }

    /// # Safety
    ///
    /// See [`Layer::habits_of`].
    unsafe fn leaves_plainly(&self, habits: &Owned) -> bool {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            if habits.kind() != self.habits || self.keeps_messages() || self.is_loaded(self.names.spans) {
                return false;
            }
            let habits: *mut Habits = habits.raw().cast();
            if !self.is_let_go((*habits).before) {
                return false;
            }
            let Some(it) = self.current() else { return false };
            if self.python.is_none(it.raw()) && self.python.is_none((*habits).last) {
                (*habits).is_crossing = 0;
                set(&raw mut (*habits).before, ptr::null_mut());
                return true;
            }
            let at: *mut Processing = it.raw().cast();
            if it.raw() != (*habits).last || !self.is_processing(it.raw()) {
                return false;
            }
            if (*at).said != 0 || (*at).firm != 0 || (*at).noted != 0 || !self.set_current(self.python.none) {
                return false;
            }
            set(&raw mut (*habits).before, ptr::null_mut());
            set(&raw mut (*habits).last, ptr::null_mut());
            // Whoever else is at it has a reference.
            let is_passed_on = (*at).started != 0 || it.references() > 1;
            if (*at).sends == 0 {
                (*habits).left = (*habits).left.saturating_add(1);
            }
            if !is_passed_on {
                (*habits).ungiven = (*habits).ungiven.saturating_add(1);
            }
            if (*at).sends != 0 || is_passed_on {
                (*habits).longest = (*habits).longest.max((*at).age);
                if (*habits).left != 0 && (*at).sends == 1 {
                    (*habits).is_filter = 1;
                }
                (*habits).skipped = 0;
            } else {
                (*habits).skipped = (*at).skipped.saturating_add(1);
            }
            if (*at).caused == 0 && !is_passed_on {
                (*habits).idle = (*habits).idle.saturating_add(1);
                let number = (*at).number;
                contained((), || declared::pause(number, true));
                set(&raw mut (*habits).before, it.into_raw());
            }
            true
        }
    }

    /// The calling context was handed a message. Whether Python was not interrupted.
    ///
    /// # Safety
    ///
    /// See [`Layer::habits_of`].
    pub(super) unsafe fn handed(&self, habits: &Owned, message: *mut Object) -> bool {
        // SAFETY: as promised by the caller.
        unsafe {
            match self.is_handed_plainly(habits, message) {
                Ok(true) => true,
                Ok(false) => self.called(self.slow.given, [message, habits.raw()]).is_some(),
                Err(Interrupted) => false,
            }
        }
    }

    /// # Safety
    ///
    /// See [`Layer::habits_of`].
    unsafe fn is_handed_plainly(&self, habits: &Owned, message: *mut Object) -> Result<bool, Interrupted> {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            if habits.kind() != self.habits || (*habits.raw().cast::<Habits>()).is_crossing != 0 {
                return Ok(false);
            }
            let it = match self.begun(habits.raw(), message)? {
                Begun::It(it) => it,
                Begun::Nothing => return Ok(true),
                Begun::NotPlain => return Ok(false),
            };
            let habits: *mut Habits = habits.raw().cast();
            (*it.raw().cast::<Processing>()).skipped = (*habits).skipped;
            set(&raw mut (*habits).last, self.python.refer(it.raw()).into_raw());
            self.set_current(it.raw());
            Ok(true)
        }
    }

    /// Begins the processing of a message that was handed over just now, for the train that calls, which is at none.
    ///
    /// # Safety
    ///
    /// See [`Layer::habits_of`]; `habits` are such.
    pub(super) unsafe fn begun(&self, habits: *mut Object, message: *mut Object) -> Result<Begun, Interrupted> {
        let Some(of_message) = &self.of_message else { return Ok(Begun::NotPlain) };
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            if (*message).kind() != self.message || self.current().is_none_or(|it| !self.python.is_none(it.raw())) {
                return Ok(Begun::NotPlain);
            }
            let Some(train) = self.train()? else { return Ok(Begun::NotPlain) };
            let of = |get: NoArguments| self.python.owned(get(message, ptr::null_mut()));
            let parts = (of(of_message.error), of(of_message.topic), of(of_message.partition), of(of_message.offset));
            let (Some(error), Some(topic), Some(partition), Some(offset)) = parts else {
                self.python.clear_error();
                return Ok(Begun::NotPlain);
            };
            if !self.python.is_none(error.raw()) {
                return Ok(Begun::Nothing);
            }
            let (Some(topic), Ok(partition)) =
                (self.python.text(&topic), i32::try_from(self.python.signed(partition.raw())))
            else {
                return Ok(Begun::NotPlain);
            };
            let place = MessagePlace { topic, partition, offset: self.python.signed(offset.raw()) };
            let number = match contained(0, || declared::begin_delivered(place, train)) {
                0 => return Ok(Begun::Nothing),
                // Its headers have to be read.
                declared::DELIVERY_IS_GONE => return Ok(Begun::NotPlain),
                number => number,
            };
            let Some(it) = self.python.owned((self.python.type_alloc)(self.processing, 0)) else {
                contained((), || declared::end(number));
                self.python.clear_error();
                return Ok(Begun::Nothing);
            };
            let at: *mut Processing = it.raw().cast();
            (*at).number = number;
            (*at).owns = 1;
            (*at).train = train;
            (*at).since = seconds();
            (*at).message = self.python.refer(message).into_raw();
            (*at).habits = self.python.refer(habits).into_raw();
            Ok(Begun::It(it))
        }
    }

    /// Says what the next send of this thread follows from, a record of this value and key; gives what is current, for its delivery
    /// report. `None`, and an error, where Python was interrupted.
    ///
    /// # Safety
    ///
    /// See [`Layer::habits_of`]; `value` and `key` live.
    pub(super) unsafe fn say(&self, value: *mut Object, key: *mut Object) -> Option<Owned> {
        // SAFETY: as promised by the caller.
        unsafe {
            match self.says_plainly([value, key]) {
                Ok(None) => self.called(self.slow.said, [value, key]),
                Ok(it) => it,
                Err(Interrupted) => None,
            }
        }
    }

    /// # Safety
    ///
    /// See [`Layer::say`].
    unsafe fn says_plainly(&self, objects: [*mut Object; 2]) -> Result<Option<Owned>, Interrupted> {
        if self.keeps_messages() {
            return Ok(None);
        }
        let (Some(here), Some(it)) = (self.train()?, self.current()) else { return Ok(None) };
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            let at: *mut Processing = it.raw().cast();
            let cause = if self.python.is_none(it.raw()) {
                if !matches!(self.at_hand(objects), AtHand::Nothing) {
                    return Ok(None);
                }
                Some(it)
            } else if it.kind() == self.started {
                self.cause_of_started(at, objects)
            } else if !self.is_processing(it.raw()) {
                None
            } else if self.is_said_here(at, here) {
                if !matches!(self.at_hand(objects), AtHand::Nothing) {
                    return Ok(None);
                }
                (*at).sends = (*at).sends.saturating_add(1);
                (*at).caused = (*at).caused.saturating_add(1);
                Some(it)
            } else {
                let is_cause = self.is_cause_here(at, here, objects);
                is_cause.map(|is_cause| if is_cause { it } else { self.python.refer(self.python.none) })
            };
            let Some(cause) = cause else { return Ok(None) };
            let (number, train) = if self.python.is_none(cause.raw()) {
                (0, here)
            } else {
                let cause: *mut Processing = cause.raw().cast();
                ((*cause).number, if (*cause).said != 0 { 0 } else { here })
            };
            contained((), || declared::next_send(number, train));
            Ok(Some(cause))
        }
    }

    /// Whether a loop over what one call gave is at it, in this train.
    ///
    /// # Safety
    ///
    /// See [`Layer::at_hand`].
    unsafe fn is_said_here(&self, it: *mut Processing, here: u64) -> bool {
        // SAFETY: as promised by the caller.
        unsafe { (*it).said != 0 && (*it).firm == 0 && (*it).train == here }
    }

    /// Whether what its own context sends now follows from it, as `cause` decides; `None`: that has to, and nothing is changed but
    /// that what the program has let go of is kept no longer.
    ///
    /// # Safety
    ///
    /// See [`Layer::at_hand`].
    unsafe fn is_cause_here(&self, it: *mut Processing, here: u64, objects: [*mut Object; 2]) -> Option<bool> {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            let of = (*it).habits;
            if (*it).said != 0 || (*it).firm != 0 || (*it).train != here || of.is_null() || (*of).kind() != self.habits
            {
                return None;
            }
            let habits: *mut Habits = of.cast();
            let age = seconds() - (*it).since;
            let is_old = age > self.shortest && age > ((*habits).longest * 2.0).min(self.longest);
            if is_old && (*it).late == 0 || !self.is_let_go((*habits).before) {
                return None;
            }
            set(&raw mut (*habits).before, ptr::null_mut());
            let is_plain = (*habits).left == 0 && (*habits).is_crossed == 0;
            // Where others were left, or it takes long, the code that sends may tell; what is its own tells by itself. Of several sends
            // the first ones say whether it is the last of a list.
            let is_its_own = !is_plain && (*it).sends == 0 && !is_old && self.has(it, objects);
            // What the code said before, it says again.
            let is_told = !is_plain && !is_its_own && !is_old && (*habits).is_crossed == 0 && !self.is_any_before();
            let is_once = if is_told { self.is_once_in_a_round() } else { None };
            if !is_plain && !is_its_own && is_once.is_none() {
                return None;
            }
            (*it).sends = (*it).sends.saturating_add(1);
            (*it).age = age;
            let is_cause = !is_old && is_once != Some(false) || self.has(it, objects);
            if is_cause {
                (*it).caused = (*it).caused.saturating_add(1);
            }
            Some(is_cause)
        }
    }

    /// Nothing is said of the next send any more.
    pub(super) fn unsay(&self) {
        contained((), || declared::next_send(0, 0));
    }

    /// The arguments of `produce()` with a delivery report that knows what its record followed from.
    ///
    /// # Safety
    ///
    /// See [`Layer::habits_of`]; all three live.
    pub(super) unsafe fn with_report(&self, args: *mut Object, kwargs: *mut Object, it: &Owned) -> Option<Owned> {
        let kwargs = if kwargs.is_null() { self.python.none } else { kwargs };
        // SAFETY: as promised by the caller.
        unsafe { self.called(self.slow.with_report, [args, kwargs, it.raw()]) }
    }

    /// Whose value or key one of these is, of the messages that their consumers' programs may have yet, as `at_hand` looks.
    ///
    /// # Safety
    ///
    /// See [`Layer::habits_of`]; the objects live.
    pub(super) unsafe fn at_hand(&self, objects: [*mut Object; 2]) -> AtHand {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            if !objects.iter().any(|object| self.is_its_own(*object)) {
                return AtHand::Nothing;
            }
            for habits in Habits::all(self.python) {
                let habits: *mut Habits = habits.raw().cast();
                for near in [(*habits).last, (*habits).before] {
                    if self.python.is_none(near) {
                        continue;
                    }
                    // Kept for as long as it is looked at.
                    let near = self.python.refer(near);
                    if !self.is_processing(near.raw()) {
                        return AtHand::NotPlain;
                    }
                    let at: *mut Processing = near.raw().cast();
                    if (*at).number != 0 && self.has(at, objects) {
                        return AtHand::Of(near);
                    }
                }
            }
            AtHand::Nothing
        }
    }

    /// Whether the processing's message has one of these as its value or key.
    ///
    /// # Safety
    ///
    /// See [`Layer::at_hand`].
    pub(super) unsafe fn has(&self, it: *mut Processing, objects: [*mut Object; 2]) -> bool {
        // SAFETY: as promised by the caller.
        unsafe {
            let Some([value, key]) = self.parts_of((*it).message) else { return true };
            objects.into_iter().any(|one| (one == value.raw() || one == key.raw()) && self.is_its_own(one))
        }
    }

    /// Whether the program has let go of what was left without a send, and of its parts, as `is_held` looks.
    ///
    /// # Safety
    ///
    /// See [`Layer::habits_of`]; `it` is a member of an object that lives.
    unsafe fn is_let_go(&self, it: *mut Object) -> bool {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            if self.python.is_none(it) {
                return true;
            }
            if !self.is_processing(it) {
                return false;
            }
            let message = (*it.cast::<Processing>()).message;
            let Some(parts) = self.parts_of(message) else { return false };
            // The processing has one of the message, the message and `parts` one each of a part.
            (*message).references() == 1
                && parts.iter().all(|part| !self.is_its_own(part.raw()) || part.references() <= 2)
        }
    }

    /// The value and the key of a message; `None` if it is no message that is known.
    ///
    /// # Safety
    ///
    /// See [`Layer::habits_of`]; `message` is a member of an object that lives.
    pub(super) unsafe fn parts_of(&self, message: *mut Object) -> Option<[Owned; 2]> {
        let of_message = self.of_message.as_ref()?;
        // SAFETY: as promised by the caller; the kind says that the functions are for it.
        unsafe {
            if message.is_null() || (*message).kind() != self.message {
                return None;
            }
            let [value, key] =
                [of_message.value, of_message.key].map(|get| self.python.owned(get(message, ptr::null_mut())));
            if value.is_none() || key.is_none() {
                self.python.clear_error();
            }
            Some([value?, key?])
        }
    }
}

/// As `time.monotonic()`.
pub(super) fn seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32).as_secs_f64()
}
