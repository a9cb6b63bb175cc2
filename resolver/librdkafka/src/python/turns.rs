//! A loop over what one call for several messages gave, as `_clients.py` has it for all: each message is current in its turn.

use std::ptr;

use tracer_resolver::interceptor::declared;

use super::cpython::{Object, Python};
use super::layer::{Interrupted, Layer};
use super::objects::{Habits, Processing, Turns, set};
use super::plain::Begun;
use crate::contained::contained;

/// The next message: the turn of the one before ends, and its own begins.
///
/// # Safety
///
/// Called by Python as the `tp_iternext` of [`Turns`].
pub(super) unsafe extern "C-unwind" fn next(turns: *mut Object) -> *mut Object {
    let Some(python) = Python::get() else { return ptr::null_mut() };
    // Without what `connect` says nothing is followed, and the program has its messages all the same.
    let layer = Layer::get();
    let at: *mut Turns = turns.cast();
    // SAFETY: as promised by the caller; what is a member lives.
    unsafe {
        if layer.is_some_and(|of| !of.leaves_turn_plainly(at) && of.called(of.slow.turn_left, [turns]).is_none()) {
            return ptr::null_mut();
        }
        if python.is_none((*at).messages) {
            return ptr::null_mut();
        }
        let messages = python.refer((*at).messages);
        let Some(message) = python.owned((python.iter_next)(messages.raw())) else { return ptr::null_mut() };
        let is_entered = layer.is_none_or(|layer| match layer.enters_turn_plainly(at, message.raw()) {
            Ok(true) => true,
            Ok(false) => layer.called(layer.slow.turn_entered, [turns, message.raw()]).is_some(),
            Err(Interrupted) => false,
        });
        if is_entered { message.into_raw() } else { ptr::null_mut() }
    }
}

impl Layer {
    /// # Safety
    ///
    /// The loop lives, and the GIL is held, as in all below.
    unsafe fn leaves_turn_plainly(&self, turns: *mut Turns) -> bool {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            let last = (*turns).last;
            if self.python.is_none(last) {
                return true;
            }
            if !self.is_processing(last) || self.is_loaded(self.names.spans) {
                return false;
            }
            let (at, habits): (*mut Processing, _) = (last.cast(), (*last.cast::<Processing>()).habits);
            // What was not sent of may be still: it is kept.
            if (*at).sends == 0 && (*at).started == 0 || habits.is_null() || (*habits).kind() != self.habits {
                return false;
            }
            let Some(it) = self.current() else { return false };
            if it.raw() == last && !self.set_current(self.python.none) {
                return false;
            }
            if (*at).started == 0 {
                let habits: *mut Habits = habits.cast();
                (*habits).ungiven = (*habits).ungiven.saturating_add(1);
            }
            if (*at).noted != 0 {
                let number = (*at).number;
                contained((), || declared::pause(number, true));
            }
            set(&raw mut (*turns).last, ptr::null_mut());
            true
        }
    }

    /// # Safety
    ///
    /// See [`Layer::leaves_turn_plainly`]; the message lives.
    unsafe fn enters_turn_plainly(&self, turns: *mut Turns, message: *mut Object) -> Result<bool, Interrupted> {
        // SAFETY: as promised by the caller; the kinds say what the objects are.
        unsafe {
            let (habits, begun) = ((*turns).habits, (*turns).begun);
            if habits.is_null() || (*habits).kind() != self.habits || self.python.is_none(begun) {
                return Ok(false);
            }
            if self.keeps_messages() {
                return Ok(false);
            }
            let Some(address) = self.python.owned((self.python.new_unsigned)(message as u64)) else {
                self.python.clear_error();
                return Ok(false);
            };
            // One that had its turn before has its span already.
            if (self.python.set_has)(begun, address.raw()) != 0 {
                self.python.clear_error();
                return Ok(false);
            }
            let it = match self.begun(habits, message)? {
                Begun::It(it) => it,
                Begun::Nothing => return Ok(true),
                Begun::NotPlain => return Ok(false),
            };
            if (self.python.set_add)(begun, address.raw()) != 0 {
                self.python.clear_error();
            }
            (*it.raw().cast::<Processing>()).said = 1;
            self.set_current(it.raw());
            set(&raw mut (*turns).last, it.into_raw());
            Ok(true)
        }
    }
}
