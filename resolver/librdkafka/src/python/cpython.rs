//! What is used of CPython, and its objects as Rust holds them.
//!
//! All of it may unwind: before 3.14, CPython ends a daemon thread that comes back from a wait when the interpreter is at its end by
//! `pthread_exit`, which goes through every frame on the thread's stack.

use std::ffi::{CStr, c_char, c_int, c_longlong, c_uint, c_ulonglong, c_void};
use std::mem::transmute;
use std::ops::Deref;
use std::ptr;
use std::sync::OnceLock;

/// The head of every `PyObject`, as the stable ABI has it in every build with a GIL.
#[repr(C)]
#[derive(Debug)]
pub struct Object {
    /// Of late versions the lower half only, which is where a count is in all of them.
    references: u32,
    more: u32,
    kind: *mut Object,
}

/// A reference that is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Owned(*mut Object);

/// `PyMethodDef`.
#[repr(C)]
pub(super) struct Method {
    pub name: *const c_char,
    pub function: *const c_void,
    pub flags: c_int,
    pub doc: *const c_char,
}

/// `PyMemberDef`.
#[repr(C)]
pub(super) struct Member {
    pub name: *const c_char,
    pub kind: c_int,
    pub offset: isize,
    pub flags: c_int,
    pub doc: *const c_char,
}

/// `PyType_Slot`.
#[repr(C)]
pub(super) struct Slot {
    pub slot: c_int,
    pub function: *const c_void,
}

/// `PyType_Spec`.
#[repr(C)]
pub(super) struct Spec {
    pub name: *const c_char,
    pub basic_size: c_int,
    pub item_size: c_int,
    pub flags: c_uint,
    pub slots: *mut Slot,
}

/// `METH_VARARGS | METH_KEYWORDS`, `METH_FASTCALL`, `METH_FASTCALL | METH_KEYWORDS`, `METH_NOARGS`.
pub(super) const WITH_KEYWORDS: c_int = 0x3;
pub(super) const FAST: c_int = 0x80;
pub(super) const FAST_WITH_NAMES: c_int = 0x82;
pub(super) const NO_ARGUMENTS: c_int = 0x4;

/// A function of the kind [`WITH_KEYWORDS`].
pub(super) type WithKeywords = unsafe extern "C-unwind" fn(*mut Object, *mut Object, *mut Object) -> *mut Object;
/// One of the kind [`NO_ARGUMENTS`].
pub(super) type NoArguments = unsafe extern "C-unwind" fn(*mut Object, *mut Object) -> *mut Object;

/// Of so many arguments; behind them are those that have names.
pub(super) type Vectorcall =
    unsafe extern "C-unwind" fn(*mut Object, *const *mut Object, usize, *mut Object) -> *mut Object;

type One = unsafe extern "C-unwind" fn(*mut Object) -> *mut Object;
type Two = unsafe extern "C-unwind" fn(*mut Object, *mut Object) -> *mut Object;

macro_rules! python {
    ($($(#[$about:meta])* $field:ident: $symbol:literal as $kind:ty,)*) => {
        /// The functions and objects of this process's Python.
        pub(super) struct Python {
            is_ending: unsafe extern "C-unwind" fn() -> c_int,
            vectorcall: Option<Vectorcall>,
            $($(#[$about])* pub $field: $kind,)*
        }

        impl Python {
            fn find() -> Option<Self> {
                let is_ending = symbol(c"Py_IsFinalizing").or_else(|| symbol(c"_Py_IsFinalizing"))?;
                // SAFETY: these symbols have these types in every CPython since 3.8; none is null.
                Some(unsafe {
                    Self {
                        // Since 3.9.
                        vectorcall: symbol(c"PyObject_Vectorcall").map(|call| transmute::<*mut c_void, Vectorcall>(call)),
                        is_ending: transmute::<*mut c_void, unsafe extern "C-unwind" fn() -> c_int>(is_ending),
                        $($field: transmute::<*mut c_void, $kind>(symbol($symbol)?),)*
                    }
                })
            }
        }
    };
}

python! {
    inc_ref: c"Py_IncRef" as unsafe extern "C-unwind" fn(*mut Object),
    dec_ref: c"Py_DecRef" as unsafe extern "C-unwind" fn(*mut Object),
    err_clear: c"PyErr_Clear" as unsafe extern "C-unwind" fn(),
    /// Gives what is raised, and nothing is any more; the kind is null where nothing was.
    err_fetch: c"PyErr_Fetch" as unsafe extern "C-unwind" fn(*mut *mut Object, *mut *mut Object, *mut *mut Object),
    /// Takes the references.
    err_restore: c"PyErr_Restore" as unsafe extern "C-unwind" fn(*mut Object, *mut Object, *mut Object),
    type_of: c"PyObject_Type" as One,
    call: c"PyObject_Call" as WithKeywords,
    call_with: c"PyObject_CallFunctionObjArgs" as unsafe extern "C-unwind" fn(*mut Object, ...) -> *mut Object,
    get_attr: c"PyObject_GetAttr" as Two,
    /// Whatever its type says itself of how attributes are had.
    generic_attr: c"PyObject_GenericGetAttr" as Two,
    /// An object's own names, whatever its type says of them; the second is not used.
    generic_dict: c"PyObject_GenericGetDict" as unsafe extern "C-unwind" fn(*mut Object, *mut c_void) -> *mut Object,
    get_item: c"PyObject_GetItem" as Two,
    has: c"PySequence_Contains" as unsafe extern "C-unwind" fn(*mut Object, *mut Object) -> c_int,
    compare: c"PyObject_RichCompareBool" as unsafe extern "C-unwind" fn(*mut Object, *mut Object, c_int) -> c_int,
    /// That of the thread that calls; borrowed, and null where it runs no code of Python's.
    frame: c"PyEval_GetFrame" as unsafe extern "C-unwind" fn() -> *mut Object,
    /// A new `list`.
    values: c"PyMapping_Values" as One,
    size: c"PyObject_Size" as unsafe extern "C-unwind" fn(*mut Object) -> isize,
    dict_new: c"PyDict_New" as unsafe extern "C-unwind" fn() -> *mut Object,
    dict_set: c"PyDict_SetItemString" as unsafe extern "C-unwind" fn(*mut Object, *const c_char, *mut Object) -> c_int,
    /// Borrowed, and no error if it is not there.
    dict_get: c"PyDict_GetItemWithError" as Two,
    dict_clear: c"PyDict_Clear" as unsafe extern "C-unwind" fn(*mut Object),
    set_has: c"PySet_Contains" as unsafe extern "C-unwind" fn(*mut Object, *mut Object) -> c_int,
    set_add: c"PySet_Add" as unsafe extern "C-unwind" fn(*mut Object, *mut Object) -> c_int,
    /// Null without an error at the end.
    iter_next: c"PyIter_Next" as One,
    list_size: c"PyList_Size" as unsafe extern "C-unwind" fn(*mut Object) -> isize,
    /// Borrowed.
    list_get: c"PyList_GetItem" as unsafe extern "C-unwind" fn(*mut Object, isize) -> *mut Object,
    is_true: c"PyObject_IsTrue" as unsafe extern "C-unwind" fn(*mut Object) -> c_int,
    tuple_new: c"PyTuple_New" as unsafe extern "C-unwind" fn(isize) -> *mut Object,
    tuple_size: c"PyTuple_Size" as unsafe extern "C-unwind" fn(*mut Object) -> isize,
    /// Borrowed.
    tuple_get: c"PyTuple_GetItem" as unsafe extern "C-unwind" fn(*mut Object, isize) -> *mut Object,
    /// Takes the reference.
    tuple_set: c"PyTuple_SetItem" as unsafe extern "C-unwind" fn(*mut Object, isize, *mut Object) -> c_int,
    var_get: c"PyContextVar_Get" as unsafe extern "C-unwind" fn(*mut Object, *mut Object, *mut *mut Object) -> c_int,
    var_set: c"PyContextVar_Set" as Two,
    new_weak: c"PyWeakref_NewRef" as Two,
    type_from: c"PyType_FromSpec" as unsafe extern "C-unwind" fn(*mut Spec) -> *mut Object,
    type_slot: c"PyType_GetSlot" as unsafe extern "C-unwind" fn(*mut Object, c_int) -> *mut c_void,
    type_alloc: c"PyType_GenericAlloc" as unsafe extern "C-unwind" fn(*mut Object, isize) -> *mut Object,
    is_subtype: c"PyType_IsSubtype" as unsafe extern "C-unwind" fn(*mut Object, *mut Object) -> c_int,
    untrack: c"PyObject_GC_UnTrack" as unsafe extern "C-unwind" fn(*mut Object),
    new_method: c"PyDescr_NewMethod" as unsafe extern "C-unwind" fn(*mut Object, *mut Method) -> *mut Object,
    new_function: c"PyCFunction_NewEx" as unsafe extern "C-unwind" fn(*mut Method, *mut Object, *mut Object) -> *mut Object,
    as_long: c"PyLong_AsLongLong" as unsafe extern "C-unwind" fn(*mut Object) -> c_longlong,
    new_unsigned: c"PyLong_FromUnsignedLongLong" as unsafe extern "C-unwind" fn(c_ulonglong) -> *mut Object,
    intern: c"PyUnicode_InternFromString" as unsafe extern "C-unwind" fn(*const c_char) -> *mut Object,
    text: c"PyUnicode_AsUTF8AndSize" as unsafe extern "C-unwind" fn(*mut Object, *mut isize) -> *const c_char,
    bytes: c"PyBytes_AsString" as unsafe extern "C-unwind" fn(*mut Object) -> *const c_char,
    bytes_size: c"PyBytes_Size" as unsafe extern "C-unwind" fn(*mut Object) -> isize,
    none: c"_Py_NoneStruct" as *mut Object,
    not_implemented: c"_Py_NotImplementedStruct" as *mut Object,
    yes: c"_Py_TrueStruct" as *mut Object,
    bytes_type: c"PyBytes_Type" as *mut Object,
    dict_type: c"PyDict_Type" as *mut Object,
    type_type: c"PyType_Type" as *mut Object,
    method_type: c"PyMethodDescr_Type" as *mut Object,
}

// SAFETY: addresses in the image of Python, which are the same on every thread; they are used with the GIL held.
unsafe impl Send for Python {}
// SAFETY: as above.
unsafe impl Sync for Python {}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a place that `dlsym` knows by itself, and a NUL-terminated name.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

impl Python {
    /// That of this process, if it is one that is known.
    pub(super) fn get() -> Option<&'static Self> {
        static PYTHON: OnceLock<Option<Python>> = OnceLock::new();
        PYTHON.get_or_init(Self::find).as_ref()
    }

    pub(super) fn vectorcall(&self) -> Option<Vectorcall> {
        self.vectorcall
    }

    /// Whether an object's head is where it is looked for: it is elsewhere without a GIL, and in builds that trace references.
    pub(super) fn has_known_layout(&self) -> bool {
        // SAFETY: the GIL is held by whoever calls. Whatever the layout is, an object is longer than what is read of it here.
        unsafe {
            let Some(object) = self.owned((self.tuple_new)(1)) else { return false };
            let Some(kind) = self.owned((self.type_of)(object.raw())) else { return false };
            let (alone, of_kind) = (object.references(), object.kind() == kind.raw());
            let second = self.refer(object.raw());
            let (both, is_same) = (object.references(), second.raw() == object.raw());
            alone == 1 && both == 2 && of_kind && is_same
        }
    }

    /// Takes over a reference that a call gave; `None` if it failed, whose error is the caller's to clear.
    pub(super) fn owned(&self, object: *mut Object) -> Option<Owned> {
        (!object.is_null()).then_some(Owned(object))
    }

    /// A new reference to an object that lives.
    pub(super) fn refer(&self, object: *mut Object) -> Owned {
        // SAFETY: it lives, and the GIL is held.
        unsafe { (self.inc_ref)(object) };
        Owned(object)
    }

    pub(super) fn new_none(&self) -> *mut Object {
        self.refer(self.none).into_raw()
    }

    /// Whether it is `None`, or not there: a member of an object of ours that was never set.
    pub(super) fn is_none(&self, object: *mut Object) -> bool {
        object.is_null() || object == self.none
    }

    pub(super) fn clear_error(&self) {
        // SAFETY: the GIL is held.
        unsafe { (self.err_clear)() };
    }

    /// The number that an `int` is; what is none counts as 0.
    pub(super) fn signed(&self, object: *mut Object) -> i64 {
        // SAFETY: an object that lives, and the GIL is held.
        let number = unsafe { (self.as_long)(object) };
        if number == -1 {
            // There may be no error: -1 is a number too.
            self.clear_error();
        }
        number
    }

    /// A text, for as long as its object lives.
    pub(super) fn text<'a>(&self, object: &'a Object) -> Option<&'a str> {
        let mut length = 0;
        // SAFETY: as above.
        let text = unsafe { (self.text)(ptr::from_ref(object).cast_mut(), &raw mut length) };
        let Some(length) = usize::try_from(length).ok().filter(|_| !text.is_null()) else {
            self.clear_error();
            return None;
        };
        // SAFETY: so many bytes of UTF-8, which the object keeps.
        Some(unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(text.cast(), length)) })
    }

    /// A name that is kept for good.
    pub(super) fn name(&self, name: &'static CStr) -> Option<*mut Object> {
        // SAFETY: a NUL-terminated text, and the GIL is held.
        self.owned(unsafe { (self.intern)(name.as_ptr()) }).map(Owned::into_raw)
    }

    /// One of the keyword arguments of a call, of which a reference is kept for good.
    ///
    /// # Safety
    ///
    /// `more` is a `dict` that lives, and the GIL is held.
    pub(super) unsafe fn given(&self, more: *mut Object, name: &'static CStr) -> Option<*mut Object> {
        let name = self.name(name)?;
        // SAFETY: as promised by the caller.
        let object = unsafe { (self.dict_get)(more, name) };
        (!object.is_null()).then(|| self.refer(object).into_raw())
    }

    /// Done with the `f_locals` of a function's frame, as `names_of` of `_root.py` is. Before Python 3.13 the frame holds on to what it
    /// has put together for that, which is emptied unless the program has it too: the program's objects live no longer than without
    /// us.
    pub(super) fn empty_names(&self, own: Owned) {
        if own.kind() == self.dict_type && own.references() <= 2 {
            // SAFETY: a `dict` that lives, and the GIL is held.
            unsafe { (self.dict_clear)(own.raw()) };
        }
    }

    /// An attribute; `None`, and no error, if there is none.
    pub(super) fn attribute(&self, object: *mut Object, name: *mut Object) -> Option<Owned> {
        // SAFETY: both live, and the GIL is held.
        let attribute = self.owned(unsafe { (self.get_attr)(object, name) });
        if attribute.is_none() {
            self.clear_error();
        }
        attribute
    }
}

impl Object {
    pub(super) fn references(&self) -> u32 {
        self.references
    }

    /// Its type.
    pub(super) fn kind(&self) -> *mut Self {
        self.kind
    }
}

impl Owned {
    pub(super) fn raw(&self) -> *mut Object {
        self.0
    }

    pub(super) fn into_raw(self) -> *mut Object {
        let object = self.0;
        std::mem::forget(self);
        object
    }
}

impl Deref for Owned {
    type Target = Object;

    fn deref(&self) -> &Object {
        // SAFETY: it lives as long as this reference to it, and its head is plain data.
        unsafe { &*self.0 }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(python) = Python::get() {
            // SAFETY: it reads a flag. The reference is ours, and the GIL is held by whoever calls anything here, but for a thread that
            // is ended at the end of the interpreter: then everything stays as it is.
            unsafe {
                if (python.is_ending)() == 0 {
                    (python.dec_ref)(self.0);
                }
            }
        }
    }
}
