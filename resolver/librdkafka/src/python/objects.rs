//! The types whose objects are there for every message: what `_processing.py` makes its `Processing` and its `Habits` of, and
//! `_clients.py` its `Turns`.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::mem::{offset_of, replace};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracer_resolver::interceptor::declared;

use super::cpython::{Member, Object, Owned, Python, Slot, Spec};
use crate::contained::contained;

/// The processing of a message.
#[repr(C)]
pub(super) struct Processing {
    head: Object,
    /// Of the library; 0: none, or it has ended.
    pub number: u64,
    pub train: u64,
    pub since: f64,
    /// Its age in seconds when the last message was sent of it.
    pub age: f64,
    pub message: *mut Object,
    pub habits: *mut Object,
    /// Of what was started: what it was started under, where its code begins, and what it took from a queue last.
    pub of: *mut Object,
    pub root: *mut Object,
    pub taken: *mut Object,
    /// What `habits` had idle when this was started.
    pub idle: i64,
    pub skipped: i64,
    pub sends: i64,
    /// Of those, what was taken to follow from it.
    pub caused: i64,
    pub noted: i64,
    pub said: u8,
    pub firm: u8,
    /// It has been current for too long to be the cause of more.
    pub late: u8,
    pub started: u8,
    /// It ends when nothing refers to this any more.
    pub owns: u8,
    /// What was started may well be the message's, by what it was given.
    pub is_sure: u8,
}

/// What a consumer's messages have shown.
#[repr(C)]
pub(super) struct Habits {
    head: Object,
    pub longest: f64,
    pub skipped: i64,
    /// Messages so far that were left with no send of their own.
    pub left: i64,
    /// Of those, what nothing at all followed from.
    pub idle: i64,
    /// All that nothing was started under, whether their own context sent of them or not.
    pub ungiven: i64,
    /// A `Processing`, or nothing; so is `before`.
    pub last: *mut Object,
    pub before: *mut Object,
    pub is_filter: u8,
    pub is_list: u8,
    /// Those of another consumer come in between: the order says nothing.
    pub is_crossed: u8,
    /// One of another consumer's was left with nothing by the call for the next of these.
    pub is_crossing: u8,
}

/// A loop over what one call for several messages gave.
#[repr(C)]
pub(super) struct Turns {
    head: Object,
    /// An iterator over them.
    pub messages: *mut Object,
    /// A `set` of the addresses of those that had their turn, be it in another loop.
    pub begun: *mut Object,
    pub habits: *mut Object,
    /// The processing of the one that it is at, or nothing.
    pub last: *mut Object,
}

/// A type of ours, whose objects refer to others: what Python's garbage collector has to know of it.
///
/// Its functions are called by Python, of an object of that type.
trait Collected: Sized {
    /// The members that refer to others.
    ///
    /// # Safety
    ///
    /// The object lives, as in all below.
    unsafe fn others(it: *mut Self) -> impl IntoIterator<Item = *mut *mut Object>;

    /// Nobody refers to it any more.
    ///
    /// # Safety
    ///
    /// See [`Collected::others`].
    unsafe fn ends(it: *mut Self);

    /// The type, new; `more` is one slot that it has beside those of all.
    fn new_kind<const COUNT: usize>(
        python: &Python,
        name: &'static CStr,
        members: [Member; COUNT],
        more: Slot,
    ) -> Option<Owned> {
        let slots = leaked([
            Slot { slot: MEMBERS, function: leaked(members).cast() },
            Slot { slot: DEALLOC, function: deallocate::<Self> as *const c_void },
            Slot { slot: TRAVERSE, function: traverse::<Self> as *const c_void },
            Slot { slot: CLEAR, function: clear::<Self> as *const c_void },
            more,
            LAST,
        ]);
        let basic_size = c_int::try_from(size_of::<Self>()).ok()?;
        let mut spec = Spec { name: name.as_ptr(), basic_size, item_size: 0, flags: FLAGS, slots };
        // SAFETY: the specification is whole, what it points to is never freed, and the GIL is held.
        python.owned(unsafe { (python.type_from)(&raw mut spec) })
    }
}

impl Processing {
    /// The type, new.
    pub(super) fn kind(python: &Python) -> Option<Owned> {
        let members = [
            member(c"number", UNSIGNED, offset_of!(Self, number)),
            member(c"train", UNSIGNED, offset_of!(Self, train)),
            member(c"since", FLOAT, offset_of!(Self, since)),
            member(c"age", FLOAT, offset_of!(Self, age)),
            member(c"message", OBJECT, offset_of!(Self, message)),
            member(c"habits", OBJECT, offset_of!(Self, habits)),
            member(c"of", OBJECT, offset_of!(Self, of)),
            member(c"root", OBJECT, offset_of!(Self, root)),
            member(c"taken", OBJECT, offset_of!(Self, taken)),
            member(c"idle", SIGNED, offset_of!(Self, idle)),
            member(c"late", BOOL, offset_of!(Self, late)),
            member(c"skipped", SIGNED, offset_of!(Self, skipped)),
            member(c"sends", SIGNED, offset_of!(Self, sends)),
            member(c"caused", SIGNED, offset_of!(Self, caused)),
            member(c"noted", SIGNED, offset_of!(Self, noted)),
            member(c"said", BOOL, offset_of!(Self, said)),
            member(c"firm", BOOL, offset_of!(Self, firm)),
            member(c"started", BOOL, offset_of!(Self, started)),
            member(c"owns", BOOL, offset_of!(Self, owns)),
            member(c"is_sure", BOOL, offset_of!(Self, is_sure)),
            END,
        ];
        Self::new_kind(python, c"tracer_interceptors._native.Processing", members, LAST)
    }
}

impl Collected for Processing {
    unsafe fn others(it: *mut Self) -> impl IntoIterator<Item = *mut *mut Object> {
        // SAFETY: as promised by the caller.
        unsafe {
            [
                &raw mut (*it).message,
                &raw mut (*it).habits,
                &raw mut (*it).of,
                &raw mut (*it).root,
                &raw mut (*it).taken,
            ]
        }
    }

    unsafe fn ends(it: *mut Self) {
        // SAFETY: as promised by the caller.
        let number = unsafe { if (*it).owns != 0 { replace(&mut (*it).number, 0) } else { 0 } };
        if number != 0 {
            contained((), || declared::end(number));
        }
    }
}

impl Habits {
    /// The type, new.
    pub(super) fn kind(python: &Python) -> Option<Owned> {
        let members = [
            member(c"longest", FLOAT, offset_of!(Self, longest)),
            member(c"skipped", SIGNED, offset_of!(Self, skipped)),
            member(c"left", SIGNED, offset_of!(Self, left)),
            member(c"idle", SIGNED, offset_of!(Self, idle)),
            member(c"ungiven", SIGNED, offset_of!(Self, ungiven)),
            member(c"last", OBJECT, offset_of!(Self, last)),
            member(c"before", OBJECT, offset_of!(Self, before)),
            member(c"is_filter", BOOL, offset_of!(Self, is_filter)),
            member(c"is_list", BOOL, offset_of!(Self, is_list)),
            member(c"is_crossed", BOOL, offset_of!(Self, is_crossed)),
            member(c"is_crossing", BOOL, offset_of!(Self, is_crossing)),
            END,
        ];
        let new = Slot { slot: NEW, function: new_habits as *const c_void };
        Self::new_kind(python, c"tracer_interceptors._native.Habits", members, new)
    }

    /// All that live, each looked for when it is asked for: nothing is locked in between.
    pub(super) fn all(python: &Python) -> impl Iterator<Item = Owned> {
        (0..).map_while(|place| all().get(place).map(|Address(habits)| python.refer(*habits)))
    }
}

impl Collected for Habits {
    unsafe fn others(it: *mut Self) -> impl IntoIterator<Item = *mut *mut Object> {
        // SAFETY: as promised by the caller.
        unsafe { [&raw mut (*it).last, &raw mut (*it).before] }
    }

    unsafe fn ends(it: *mut Self) {
        let habits: *mut Object = it.cast();
        all().retain(|Address(one)| *one != habits);
    }
}

impl Turns {
    /// The type, new; `next` is its `tp_iternext`.
    pub(super) fn kind(
        python: &Python,
        next: unsafe extern "C-unwind" fn(*mut Object) -> *mut Object,
    ) -> Option<Owned> {
        let members = [
            member(c"messages", OBJECT, offset_of!(Self, messages)),
            member(c"begun", OBJECT, offset_of!(Self, begun)),
            member(c"habits", OBJECT, offset_of!(Self, habits)),
            member(c"last", OBJECT, offset_of!(Self, last)),
            END,
        ];
        let next = Slot { slot: ITER_NEXT, function: next as *const c_void };
        Self::new_kind(python, c"tracer_interceptors._native.Turns", members, next)
    }
}

impl Collected for Turns {
    unsafe fn others(it: *mut Self) -> impl IntoIterator<Item = *mut *mut Object> {
        // SAFETY: as promised by the caller.
        unsafe { [&raw mut (*it).messages, &raw mut (*it).begun, &raw mut (*it).habits, &raw mut (*it).last] }
    }

    unsafe fn ends(_: *mut Self) {}
}

/// # Safety
///
/// As Python calls a type's `tp_new`.
unsafe extern "C-unwind" fn new_habits(kind: *mut Object, _: *mut Object, _: *mut Object) -> *mut Object {
    let Some(python) = Python::get() else { return ptr::null_mut() };
    // SAFETY: `kind` is a type that has this one's as its base, and the GIL is held.
    let habits = unsafe { (python.type_alloc)(kind, 0) };
    if !habits.is_null() {
        all().push(Address(habits));
    }
    habits
}

/// # Safety
///
/// As Python calls a type's `tp_dealloc`, of an object of type `T`, as is so for all below.
unsafe extern "C-unwind" fn deallocate<T: Collected>(object: *mut Object) {
    // SAFETY: as promised by the caller.
    unsafe { T::ends(object.cast()) };
    let Some(python) = Python::get() else { return };
    // SAFETY: as promised by the caller. Its type is one of ours, or made of one: it is Python's garbage collector's, which has a
    // `tp_free`, and each object of it has a reference to it, which goes last.
    unsafe {
        (python.untrack)(object);
        clear::<T>(object);
        let kind = (*object).kind();
        let free = (python.type_slot)(kind, FREE);
        if !free.is_null() {
            std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn(*mut Object)>(free)(object);
        }
        (python.dec_ref)(kind);
    }
}

/// The type itself is not visited: it is never garbage.
///
/// # Safety
///
/// See [`deallocate`].
unsafe extern "C-unwind" fn traverse<T: Collected>(object: *mut Object, visit: Visit, more: *mut c_void) -> c_int {
    // SAFETY: as promised by the caller.
    for place in unsafe { T::others(object.cast()) } {
        // SAFETY: as above; what is a member lives.
        let stop = unsafe { if (*place).is_null() { 0 } else { visit(*place, more) } };
        if stop != 0 {
            return stop;
        }
    }
    0
}

/// # Safety
///
/// See [`deallocate`].
unsafe extern "C-unwind" fn clear<T: Collected>(object: *mut Object) -> c_int {
    // SAFETY: as promised by the caller.
    for place in unsafe { T::others(object.cast()) } {
        // SAFETY: as above.
        unsafe { set(place, ptr::null_mut()) };
    }
    0
}

/// Puts an object, whose reference it takes over, or none, into a member. What was there goes afterwards: its end may lead here.
///
/// # Safety
///
/// The place is a member of an object that lives.
pub(super) unsafe fn set(place: *mut *mut Object, object: *mut Object) {
    // SAFETY: as promised by the caller.
    let before = unsafe { replace(&mut *place, object) };
    drop(Python::get().and_then(|python| python.owned(before)));
}

const fn member(name: &'static CStr, kind: c_int, offset: usize) -> Member {
    Member { name: name.as_ptr(), kind, offset: offset as isize, flags: 0, doc: ptr::null() }
}

/// Python refers to it as long as the type lives, which is for good.
fn leaked<T, const COUNT: usize>(items: [T; COUNT]) -> *mut T {
    Box::leak(Box::new(items)).as_mut_ptr()
}

/// `visitproc`.
type Visit = unsafe extern "C-unwind" fn(*mut Object, *mut c_void) -> c_int;

/// Of an object that lives: who is being freed takes it out first.
struct Address(*mut Object);

// SAFETY: used with the GIL held, whichever thread has it.
unsafe impl Send for Address {}

/// All `Habits` that live. Used with the GIL held, so that nobody ever waits for it.
static ALL_HABITS: Mutex<Vec<Address>> = Mutex::new(Vec::new());

fn all() -> MutexGuard<'static, Vec<Address>> {
    ALL_HABITS.lock().unwrap_or_else(PoisonError::into_inner)
}

const END: Member = Member { name: ptr::null(), kind: 0, offset: 0, flags: 0, doc: ptr::null() };
const LAST: Slot = Slot { slot: 0, function: ptr::null() };

// `structmember.h` and `typeslots.h`.
const FLOAT: c_int = 4;
const OBJECT: c_int = 6;
const BOOL: c_int = 14;
const SIGNED: c_int = 17;
const UNSIGNED: c_int = 18;
const CLEAR: c_int = 51;
const DEALLOC: c_int = 52;
const ITER_NEXT: c_int = 63;
const NEW: c_int = 65;
const TRAVERSE: c_int = 71;
const MEMBERS: c_int = 72;
const FREE: c_int = 74;
/// `Py_TPFLAGS_BASETYPE`, `Py_TPFLAGS_HAVE_GC`, and `Py_TPFLAGS_DEFAULT`.
const FLAGS: c_uint = 1 << 10 | 1 << 14 | 1 << 18;
