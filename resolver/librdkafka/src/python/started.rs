//! What was started under a message, as `_processing.py` has it for all: which message it is at.

use std::sync::atomic::{AtomicBool, Ordering};

use super::cpython::{Object, Owned};
use super::layer::Layer;
use super::objects::{Habits, Processing};
use super::plain::{AtHand, seconds};

/// From now on there may be messages that are for whatever was started.
pub(super) fn doubt() {
    IS_DOUBTED.store(true, Ordering::Relaxed);
}

/// Used with the GIL held.
static IS_DOUBTED: AtomicBool = AtomicBool::new(false);

impl Layer {
    /// What something is at that starts now in the calling context with these objects, a `list`: `None` of Python's, or a new
    /// `Started`. `None`: it is not plain, and nothing is changed.
    ///
    /// # Safety
    ///
    /// All live, and the GIL is held.
    pub(super) unsafe fn given(&self, objects: *mut Object, is_sure: bool, root: *mut Object) -> Option<Owned> {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            let it = self.current()?;
            if self.keeps_messages() {
                return None;
            }
            if self.python.is_none(it.raw()) {
                let is_of_one = Habits::all(self.python).any(|habits| {
                    let habits: *mut Habits = habits.raw().cast();
                    [(*habits).last, (*habits).before]
                        .into_iter()
                        .any(|near| !self.python.is_none(near) && self.is_of(near, objects) != Some(false))
                });
                return (!is_of_one).then_some(it);
            }
            let is_of = self.is_of(it.raw(), objects)?;
            let at: *mut Processing = it.raw().cast();
            let of = (*at).habits;
            if (*at).firm != 0 || of.is_null() || (*of).kind() != self.habits {
                return None;
            }
            let habits: *mut Habits = of.cast();
            if !is_of && ((*at).skipped != 0 || (*at).said == 0 && ((*habits).is_crossed != 0 || self.is_any_before()))
            {
                return None;
            }
            if !is_of && !self.python.is_none((*habits).before) {
                return None;
            }
            let Some(started) = self.python.owned((self.python.type_alloc)(self.started, 0)) else {
                self.python.clear_error();
                return None;
            };
            if is_of {
                (*at).skipped = 0;
            }
            (*at).started = 1;
            let new: *mut Processing = started.raw().cast();
            (*new).number = (*at).number;
            (*new).message = self.python.refer((*at).message).into_raw();
            (*new).habits = self.python.refer(of).into_raw();
            (*new).of = it.into_raw();
            (*new).root = self.python.refer(root).into_raw();
            (*new).said = (*at).said;
            (*new).is_sure = u8::from(is_sure || is_of);
            (*new).idle = (*habits).idle;
            Some(started)
        }
    }

    /// Whether one of these is the message that is processed, or its own value or key; `None`: it is no processing of a message that
    /// is known.
    ///
    /// # Safety
    ///
    /// See [`Layer::given`].
    unsafe fn is_of(&self, it: *mut Object, objects: *mut Object) -> Option<bool> {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            if !self.is_processing(it) {
                return None;
            }
            let message = (*it.cast::<Processing>()).message;
            let [value, key] = self.parts_of(message)?;
            let count = (self.python.list_size)(objects);
            if count < 0 {
                self.python.clear_error();
                return None;
            }
            Some((0..count).any(|place| {
                let one = (self.python.list_get)(objects, place);
                one == message || (one == value.raw() || one == key.raw()) && self.is_its_own(one)
            }))
        }
    }

    /// Whether a consumer's message was left that it may have yet.
    pub(super) fn is_any_before(&self) -> bool {
        // SAFETY: habits are of that kind; the GIL is held.
        Habits::all(self.python).any(|habits| unsafe { !self.python.is_none((*habits.raw().cast::<Habits>()).before) })
    }

    /// What is sent now follows from, where the code was read before; `None`, and nothing is changed: it has to be, or it is not plain.
    ///
    /// # Safety
    ///
    /// `it` is what was started, and lives, as do the objects; the GIL is held.
    pub(super) unsafe fn cause_of_started(&self, it: *mut Processing, objects: [*mut Object; 2]) -> Option<Owned> {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            let of = (*it).of;
            if (*it).firm != 0 || (*it).is_sure == 0 || !self.python.is_none((*it).taken) || of.is_null() {
                return None;
            }
            let at: *mut Processing = of.cast();
            if !self.is_processing(of) {
                return None;
            }
            let is_begun = (*at).said != 0 || (*at).skipped == 0 && seconds() - (*at).since <= self.longest;
            let is_another = match self.at_hand(objects) {
                AtHand::Of(other) => other.raw() != of,
                AtHand::Nothing => false,
                AtHand::NotPlain => true,
            };
            if !is_begun || is_another {
                return None;
            }
            let found = self.made_since((*it).root)?;
            let is_own = self.python.is_none(found.raw()) || found.raw() == self.python.yes;
            if !is_own && ((self.python.is_true)(found.raw()) != 0 || self.is_doubted(at)) {
                return None;
            }
            (*at).sends = (*at).sends.saturating_add(1);
            (*at).caused = (*at).caused.saturating_add(1);
            Some(self.python.refer(of))
        }
    }

    /// Whether there may be messages that are for what was started under this one.
    ///
    /// # Safety
    ///
    /// See [`Layer::cause_of_started`].
    unsafe fn is_doubted(&self, of: *mut Processing) -> bool {
        if IS_DOUBTED.load(Ordering::Relaxed) {
            return true;
        }
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            Habits::all(self.python).any(|habits| {
                let habits: *mut Habits = habits.raw().cast();
                let last = (*habits).last;
                if (*habits).ungiven != 0 {
                    return true;
                }
                if self.python.is_none(last) || last == of.cast() {
                    return false;
                }
                let at: *mut Processing = last.cast();
                !self.is_processing(last) || (*at).number != (*of).number && (*at).started == 0 && (*at).said == 0
            })
        }
    }
}
