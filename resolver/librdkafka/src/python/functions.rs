//! The functions that the layer's Python calls, and the `dict` in which it gets them.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use tracer_resolver::MessagePlace;
use tracer_resolver::interceptor::declared;

use super::clients::Kind;
use super::cpython::{FAST, Method, Object, Owned, Python, WITH_KEYWORDS};
use super::layer::Layer;
use super::objects::{Habits, Processing, Turns};
use super::{loops, recall, started, trains, turns};
use crate::contained::contained;

/// `_PyCFunctionFast`: borrows its arguments, and gives a new reference.
type Fast = unsafe extern "C-unwind" fn(*mut Object, *const *mut Object, isize) -> *mut Object;

/// For the first interpreter that asks, if its objects are of the known layout.
pub(super) fn all(python: &'static Python) -> Option<Owned> {
    static GIVEN: AtomicBool = AtomicBool::new(false);
    if !python.has_known_layout() || GIVEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    let all = given(python);
    if all.is_none() {
        python.clear_error();
    }
    all
}

fn given(python: &'static Python) -> Option<Owned> {
    // SAFETY: the GIL is held.
    let all = python.owned(unsafe { (python.dict_new)() })?;
    let put = |name: &CStr, object: Option<Owned>| {
        let object = object?;
        // SAFETY: both live.
        (unsafe { (python.dict_set)(all.raw(), name.as_ptr(), object.raw()) } == 0).then_some(())
    };
    put(c"Processing", Processing::kind(python))?;
    put(c"Habits", Habits::kind(python))?;
    put(c"Turns", Turns::kind(python, turns::next))?;
    let functions: [(_, Fast); 12] = [
        (c"begin", begin),
        (c"next_send", next_send),
        (c"new_train", new_train),
        (c"train_of_thread", train_of_thread),
        (c"lend", lend),
        (c"all_habits", all_habits),
        (c"method", method),
        (c"doubt", doubt),
        (c"given", given_plainly),
        (c"recall", recalled),
        (c"member", member),
        (c"loop_method", loop_method),
    ];
    for (name, function) in functions {
        put(name, new_function(python, name, function as *const c_void, FAST))?;
    }
    put(c"connect", new_function(python, c"connect", connect as *const c_void, WITH_KEYWORDS))?;
    put(c"connect_loops", new_function(python, c"connect_loops", connect_loops as *const c_void, WITH_KEYWORDS))?;
    Some(all)
}

fn new_function(python: &Python, name: &'static CStr, function: *const c_void, flags: c_int) -> Option<Owned> {
    let method = Box::leak(Box::new(Method { name: name.as_ptr(), function, flags, doc: ptr::null() }));
    // SAFETY: the method is never freed, and its function is of the kind that its flags say.
    python.owned(unsafe { (python.new_function)(method, ptr::null_mut(), ptr::null_mut()) })
}

/// `begin(topic: bytes, partition: int, offset: int, train: int) -> int`, of a message that was handed over just now: where that is
/// too long ago, [`declared::DELIVERY_IS_GONE`].
///
/// # Safety
///
/// Called by Python, as [`Fast`], as are all below.
unsafe extern "C-unwind" fn begin(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    let Some((python, [topic, partition, offset, train])) = (unsafe { called(arguments, count) }) else {
        return none();
    };
    // SAFETY: the topic lives during the call; what is no `bytes` gives null, and an error.
    let topic = unsafe { (python.bytes)(topic) };
    if topic.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: behind the bytes Python has a NUL, and they live during the call.
    let topic = unsafe { CStr::from_ptr(topic) }.to_str();
    let (partition, offset) = (i32::try_from(python.signed(partition)), python.signed(offset));
    let (Ok(topic), Ok(partition)) = (topic, partition) else { return number(python, 0) };
    let place = MessagePlace { topic, partition, offset };
    let train = python.signed(train).cast_unsigned();
    number(python, contained(0, || declared::begin_delivered(place, train)))
}

/// `next_send(processing: int, train: int)`
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn next_send(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    if let Some((python, numbers)) = unsafe { called(arguments, count) } {
        let [processing, train] = numbers.map(|number| python.signed(number).cast_unsigned());
        contained((), || declared::next_send(processing, train));
    }
    none()
}

/// `new_train() -> int`
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn new_train(_: *mut Object, _: *const *mut Object, _: isize) -> *mut Object {
    Python::get().map_or(ptr::null_mut(), |python| number(python, trains::new()))
}

/// `train_of_thread() -> int`
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn train_of_thread(_: *mut Object, _: *const *mut Object, _: isize) -> *mut Object {
    Python::get().map_or(ptr::null_mut(), |python| number(python, trains::of_this_thread()))
}

/// `lend(train: int)`
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn lend(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    if let Some((python, [train])) = unsafe { called(arguments, count) } {
        trains::lend(python.signed(train) != 0);
    }
    none()
}

/// `all_habits() -> tuple`
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn all_habits(_: *mut Object, _: *const *mut Object, _: isize) -> *mut Object {
    let Some(python) = Python::get() else { return ptr::null_mut() };
    let all: Vec<_> = Habits::all(python).collect();
    // SAFETY: the GIL is held; each place of the new tuple is filled once, by a reference that it takes over.
    unsafe {
        let Some(tuple) = python.owned((python.tuple_new)(all.len() as isize)) else { return ptr::null_mut() };
        for (place, habits) in (0..).zip(all) {
            (python.tuple_set)(tuple.raw(), place, habits.into_raw());
        }
        tuple.into_raw()
    }
}

/// `doubt()`: from now on there may be messages that are for whatever was started: see `_processing.py`.
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn doubt(_: *mut Object, _: *const *mut Object, _: isize) -> *mut Object {
    started::doubt();
    none()
}

/// `given(objects: list, is_sure: bool, root)`: as `_started.py` has it; `NotImplemented` for what is not plain.
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn given_plainly(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    let Some((python, [objects, is_sure, root])) = (unsafe { called(arguments, count) }) else { return none() };
    // SAFETY: arguments live during the call.
    let given = Layer::get().and_then(|layer| unsafe { layer.given(objects, (python.is_true)(is_sure) == 1, root) });
    given.unwrap_or_else(|| python.refer(python.not_implemented)).into_raw()
}

/// `connect(**more)`: what the functions for clients have to know of the layer.
///
/// # Safety
///
/// As [`super::cpython::WithKeywords`].
unsafe extern "C-unwind" fn connect(_: *mut Object, _: *mut Object, more: *mut Object) -> *mut Object {
    if let Some(python) = Python::get().filter(|_| !more.is_null()) {
        // SAFETY: as promised by the caller.
        unsafe { Layer::connect(python, more) };
    }
    none()
}

/// `connect_loops(**more)`: the same of what reads code.
///
/// # Safety
///
/// As [`super::cpython::WithKeywords`].
unsafe extern "C-unwind" fn connect_loops(_: *mut Object, _: *mut Object, more: *mut Object) -> *mut Object {
    if let Some(python) = Python::get().filter(|_| !more.is_null()) {
        // SAFETY: as promised by the caller.
        unsafe { recall::connect(python, more) };
    }
    none()
}

/// `recall(reads: list, frames)`: what was found by one of them, if one holds; `NotImplemented`: none does.
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn recalled(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    let Some((python, [reads, frames])) = (unsafe { called(arguments, count) }) else { return none() };
    // SAFETY: arguments live during the call.
    let found = unsafe { recall::recall(python, reads, frames) };
    found.unwrap_or_else(|| python.refer(python.not_implemented)).into_raw()
}

/// `member(value, name: str)`: what it has of this name, or `None`.
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn member(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    let Some((python, [value, name])) = (unsafe { called(arguments, count) }) else { return none() };
    // SAFETY: arguments live during the call.
    unsafe { recall::member(python, value, name) }.map_or_else(none, Owned::into_raw)
}

/// `method(kind: type, name: str, original)`: the method of a client's type that does the same and follows its messages; `None` for
/// one that there is already, or before `connect`.
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn method(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    let Some((python, [kind, name, original])) = (unsafe { called(arguments, count) }) else { return none() };
    // SAFETY: an argument lives during the call.
    let name = python.text(unsafe { &*name });
    let Some(kind_of_method) = name.and_then(Kind::of) else { return none() };
    // SAFETY: `kind` is a type, for the layer gives nothing else.
    unsafe { kind_of_method.new_method(python, kind, original) }.map_or_else(none, Owned::into_raw)
}

/// `loop_method(kind: type, name: str, original, slow)`: the method of a class of event loops that does the same as `slow`, quicker;
/// `None` for one that there is not.
///
/// # Safety
///
/// See [`begin`].
unsafe extern "C-unwind" fn loop_method(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    // SAFETY: as promised by the caller.
    let Some((python, [kind, name, original, slow])) = (unsafe { called(arguments, count) }) else { return none() };
    // SAFETY: arguments live during the call; `kind` is a type, for the layer gives nothing else.
    let method = unsafe {
        let name = python.text(&*name);
        name.and_then(|name| loops::new_method(python, kind, name, [original, slow]))
    };
    method.map_or_else(none, Owned::into_raw)
}

/// The arguments of a call, if they are as many.
///
/// # Safety
///
/// `arguments` are `count` objects that live during the call.
unsafe fn called<const N: usize>(
    arguments: *const *mut Object,
    count: isize,
) -> Option<(&'static Python, [*mut Object; N])> {
    let python = Python::get().filter(|_| usize::try_from(count) == Ok(N))?;
    // SAFETY: as promised by the caller; `N` pointers are an array of them.
    Some((python, unsafe { *arguments.cast::<[*mut Object; N]>() }))
}

fn number(python: &Python, number: u64) -> *mut Object {
    // SAFETY: the GIL is held; null says that Python has no memory, and has said so itself.
    unsafe { (python.new_unsigned)(number) }
}

fn none() -> *mut Object {
    Python::get().map_or(ptr::null_mut(), Python::new_none)
}
