//! The methods of asyncio's event loops that are called for every step of every task of the program, whether it has to do with
//! Kafka or not: `create_task()` and `call_soon()`. What is not plain is left to those in `_started.py`.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::OnceLock;

use super::cpython::{FAST_WITH_NAMES, Method, Object, Owned, Python};
use super::layer::Layer;
use super::objects::Habits;

/// `METH_FASTCALL | METH_KEYWORDS`: borrows its arguments, of which the last ones are those of the names in the tuple, if there is one.
type WithNames = unsafe extern "C-unwind" fn(*mut Object, *const *mut Object, isize, *mut Object) -> *mut Object;

/// What is called in the place of a loop's method.
struct Replaced {
    original: *mut Object,
    /// The one in Python that does the same, and follows what is begun.
    slow: *mut Object,
}

// SAFETY: objects that are never let go of; used with the GIL held.
unsafe impl Send for Replaced {}
// SAFETY: as above.
unsafe impl Sync for Replaced {}

/// Of asyncio's own loop, and of uvloop's: each has a function of its own, which knows its place.
static CREATE_TASK: [OnceLock<Replaced>; 2] = [const { OnceLock::new() }; 2];
static CALL_SOON: [OnceLock<Replaced>; 2] = [const { OnceLock::new() }; 2];

/// The method of this name for a class of event loops; `None`: there is none, or this Python is too old.
///
/// # Safety
///
/// `kind` is a type, and all live. The GIL is held.
pub(super) unsafe fn new_method(
    python: &Python,
    kind: *mut Object,
    name: &str,
    [original, slow]: [*mut Object; 2],
) -> Option<Owned> {
    Layer::get()?;
    python.vectorcall()?;
    let (name, places, functions): (&CStr, _, [WithNames; 2]) = match name {
        "create_task" => (c"create_task", &CREATE_TASK, [create_task::<0>, create_task::<1>]),
        "call_soon" => (c"call_soon", &CALL_SOON, [call_soon::<0>, call_soon::<1>]),
        _ => return None,
    };
    let (place, function) = places.iter().zip(functions).find(|(place, _)| place.get().is_none())?;
    let [original, slow] = [original, slow].map(|method| python.refer(method).into_raw());
    place.set(Replaced { original, slow }).ok()?;
    let flags = FAST_WITH_NAMES;
    let method = Method { name: name.as_ptr(), function: function as *const c_void, flags, doc: ptr::null() };
    // SAFETY: as promised by the caller; the method is never freed, and its function is what its flags say.
    python.owned(unsafe { (python.new_method)(kind, Box::leak(Box::new(method))) })
}

/// A call of a loop's method, as Python makes it.
struct Call {
    event_loop: *mut Object,
    arguments: *const *mut Object,
    count: isize,
    names: *mut Object,
}

impl Call {
    /// The same call of another method.
    ///
    /// # Safety
    ///
    /// All live, and the GIL is held.
    unsafe fn of(&self, python: &Python, method: *mut Object) -> *mut Object {
        const MOST: usize = 8;
        let Some(vectorcall) = python.vectorcall() else { return ptr::null_mut() };
        // SAFETY: as promised by the caller: behind the arguments are those that have names.
        unsafe {
            let named = if self.names.is_null() { 0 } else { (python.tuple_size)(self.names) };
            let all = (self.count + named).cast_unsigned();
            let count = (self.count + 1).cast_unsigned();
            let mut few = [self.event_loop; MOST];
            if let Some(places) = few.get_mut(1..=all) {
                places.copy_from_slice(std::slice::from_raw_parts(self.arguments, all));
                return vectorcall(method, few.as_ptr(), count, self.names);
            }
            let mut many = vec![self.event_loop];
            many.extend_from_slice(std::slice::from_raw_parts(self.arguments, all));
            vectorcall(method, many.as_ptr(), count, self.names)
        }
    }
}

/// # Safety
///
/// Called by Python, as [`WithNames`].
unsafe extern "C-unwind" fn call_soon<const PLACE: usize>(
    event_loop: *mut Object,
    arguments: *const *mut Object,
    count: isize,
    names: *mut Object,
) -> *mut Object {
    let call = Call { event_loop, arguments, count, names };
    let (Some(layer), Some(method)) = (Layer::get(), CALL_SOON.get(PLACE).and_then(OnceLock::get)) else {
        return ptr::null_mut();
    };
    // With a name it is in a context that is given, as all steps of tasks are.
    let is_plain = !names.is_null() || layer.current().is_some_and(|it| layer.python.is_none(it.raw()));
    // SAFETY: as promised by the caller.
    unsafe { call.of(layer.python, if is_plain { method.original } else { method.slow }) }
}

/// # Safety
///
/// Called by Python, as [`WithNames`].
unsafe extern "C-unwind" fn create_task<const PLACE: usize>(
    event_loop: *mut Object,
    arguments: *const *mut Object,
    count: isize,
    names: *mut Object,
) -> *mut Object {
    let call = Call { event_loop, arguments, count, names };
    let (Some(layer), Some(method)) = (Layer::get(), CREATE_TASK.get(PLACE).and_then(OnceLock::get)) else {
        return ptr::null_mut();
    };
    let python = layer.python;
    // SAFETY: as promised by the caller; an argument lives during the call.
    unsafe {
        let (Some(before), true) = (layer.current(), count == 1) else { return call.of(python, method.slow) };
        if python.is_none(before.raw()) && layer.has_no_message() {
            return call.of(python, method.original);
        }
        let Some(it) = layer.given_to_coroutine(*arguments) else { return call.of(python, method.slow) };
        if it.raw() == before.raw() {
            return call.of(python, method.original);
        }
        if !layer.set_current(it.raw()) {
            return call.of(python, method.original);
        }
        let task = call.of(python, method.original);
        let [mut kind, mut value, mut traceback] = [ptr::null_mut(); 3];
        if task.is_null() {
            (python.err_fetch)(&raw mut kind, &raw mut value, &raw mut traceback);
        }
        layer.set_current(before.raw());
        if task.is_null() {
            (python.err_restore)(kind, value, traceback);
        }
        task
    }
}

impl Layer {
    /// Whether no consumer's program has a message that may be meant.
    fn has_no_message(&self) -> bool {
        // SAFETY: habits are of that kind; the GIL is held.
        let has_none = |habits: Owned| unsafe {
            let habits: *mut Habits = habits.raw().cast();
            self.python.is_none((*habits).last) && self.python.is_none((*habits).before)
        };
        !self.keeps_messages() && Habits::all(self.python).all(has_none)
    }

    /// What a coroutine is at that becomes a task now, as `_of_coroutine` says what it is given; `None`: that is not plain.
    ///
    /// # Safety
    ///
    /// `coroutine` lives, and the GIL is held.
    unsafe fn given_to_coroutine(&self, coroutine: *mut Object) -> Option<Owned> {
        let (python, names) = (self.python, &self.names);
        // SAFETY: as promised by the caller; each place of the new tuple is filled once, by a reference that it takes over.
        unsafe {
            if (*coroutine).kind() != self.coroutine {
                // It may be anything, and is not asked what it is.
                return None;
            }
            let code = python.attribute(coroutine, names.coroutine_code)?;
            let frame = python.attribute(coroutine, names.coroutine_frame)?;
            let own = python.attribute(frame.raw(), names.locals)?;
            let objects = python.owned((python.values)(own.raw()));
            python.empty_names(own);
            let Some(objects) = objects else {
                python.clear_error();
                return None;
            };
            let count = (python.list_size)(objects.raw());
            let key = python.owned((python.tuple_new)(count + 1))?;
            let address = python.owned((python.new_unsigned)(code.raw() as u64))?;
            (python.tuple_set)(key.raw(), 0, address.into_raw());
            for at in 0..count {
                let kind = (*(python.list_get)(objects.raw(), at)).kind();
                (python.tuple_set)(key.raw(), at + 1, python.refer(kind).into_raw());
            }
            let known = (python.dict_get)(self.coroutines, key.raw());
            if known.is_null() {
                python.clear_error();
                return None;
            }
            // Kept for as long as it is looked at.
            let known = python.refer(known);
            let [within, is_sure, root] = [0, 1, 2].map(|part| (python.tuple_get)(known.raw(), part));
            if !python.is_none(within) {
                return None;
            }
            self.given(objects.raw(), (python.is_true)(is_sure) == 1, root)
        }
    }
}
