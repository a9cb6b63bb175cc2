//! The methods of confluent-kafka's clients that are called for every message: `poll()` of a consumer, `produce()` of a producer.

use std::ffi::{CStr, c_void};
use std::mem::transmute;
use std::ptr;
use std::sync::OnceLock;

use super::c_methods::c_method;
use super::cpython::{Method, Object, Owned, Python, WITH_KEYWORDS, WithKeywords};
use super::layer::Layer;

/// One of the methods.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Poll,
    Produce,
}

/// The client's own method.
enum Original {
    /// Its function in the C module.
    Function(WithKeywords),
    /// Whatever is called as a method.
    Object(*mut Object),
}

// SAFETY: an object that is never let go of; used with the GIL held.
unsafe impl Send for Original {}
// SAFETY: as above.
unsafe impl Sync for Original {}

static POLL: OnceLock<Original> = OnceLock::new();
static PRODUCE: OnceLock<Original> = OnceLock::new();

impl Kind {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "poll" => Some(Self::Poll),
            "produce" => Some(Self::Produce),
            _ => None,
        }
    }

    /// The method for `client`, a type made of the one that `original` is a method of; `None` if there is one already.
    ///
    /// # Safety
    ///
    /// `client` is a type, and both live. The GIL is held.
    pub(super) unsafe fn new_method(
        self,
        python: &Python,
        client: *mut Object,
        original: *mut Object,
    ) -> Option<Owned> {
        let (place, name, function): (_, _, WithKeywords) = match self {
            Self::Poll => (&POLL, c"poll", poll),
            Self::Produce => (&PRODUCE, c"produce", produce),
        };
        Layer::get()?;
        // SAFETY: as promised by the caller.
        let in_c = unsafe { in_c(python, original, name) };
        let called = in_c.map_or_else(
            || Original::Object(python.refer(original).into_raw()),
            // SAFETY: its flags say that it is such a function.
            |method| Original::Function(unsafe { transmute::<*const c_void, WithKeywords>(method.function) }),
        );
        place.set(called).ok()?;
        let (name, doc) = in_c.map_or((name.as_ptr(), ptr::null()), |method| (method.name, method.doc));
        let method = Method { name, function: function as *const c_void, flags: WITH_KEYWORDS, doc };
        // SAFETY: as promised by the caller; the method is never freed, and its function is what its flags say.
        python.owned(unsafe { (python.new_method)(client, Box::leak(Box::new(method))) })
    }
}

/// What `original` is in C, if it is a method of a C type with arguments and keywords.
///
/// # Safety
///
/// `original` lives, and the GIL is held.
unsafe fn in_c(python: &Python, original: *mut Object, name: &CStr) -> Option<&'static Method> {
    // SAFETY: as promised by the caller.
    if unsafe { (*original).kind() } != python.method_type {
        return None;
    }
    let kind = python.attribute(original, python.name(c"__objclass__")?)?;
    // SAFETY: a method's class is a type; types of C modules are never freed.
    unsafe { c_method(python, kind.raw(), name) }.filter(|method| method.flags == WITH_KEYWORDS)
}

impl Original {
    /// # Safety
    ///
    /// As Python calls a method of the kind [`WITH_KEYWORDS`].
    unsafe fn call(&self, client: *mut Object, args: *mut Object, kwargs: *mut Object) -> *mut Object {
        // SAFETY: as promised by the caller.
        unsafe {
            match self {
                Self::Function(function) => function(client, args, kwargs),
                Self::Object(method) => Self::call_object(*method, client, args, kwargs),
            }
        }
    }

    /// # Safety
    ///
    /// See [`Original::call`].
    unsafe fn call_object(
        method: *mut Object,
        client: *mut Object,
        args: *mut Object,
        kwargs: *mut Object,
    ) -> *mut Object {
        let Some(python) = Python::get() else { return ptr::null_mut() };
        // SAFETY: as promised by the caller; each place of the new tuple is filled once, by a reference that it takes over.
        unsafe {
            let count = (python.tuple_size)(args);
            let Some(all) = python.owned((python.tuple_new)(count + 1)) else { return ptr::null_mut() };
            (python.tuple_set)(all.raw(), 0, python.refer(client).into_raw());
            for place in 0..count {
                let argument = python.refer((python.tuple_get)(args, place));
                (python.tuple_set)(all.raw(), place + 1, argument.into_raw());
            }
            (python.call)(method, all.raw(), kwargs)
        }
    }
}

/// `poll()`: what the consumer was at before ends, and what it gives begins.
///
/// # Safety
///
/// Called by Python, as [`WithKeywords`].
unsafe extern "C-unwind" fn poll(consumer: *mut Object, args: *mut Object, kwargs: *mut Object) -> *mut Object {
    let (Some(layer), Some(original)) = (Layer::get(), POLL.get()) else { return ptr::null_mut() };
    // SAFETY: as promised by the caller.
    unsafe {
        let Some(habits) = layer.habits_of(consumer) else { return ptr::null_mut() };
        if !layer.leave(&habits) {
            return ptr::null_mut();
        }
        let Some(message) = layer.python.owned(original.call(consumer, args, kwargs)) else { return ptr::null_mut() };
        if !layer.python.is_none(message.raw()) && !layer.handed(&habits, message.raw()) {
            return ptr::null_mut();
        }
        message.into_raw()
    }
}

/// `produce()`: what it sends follows from what is current.
///
/// # Safety
///
/// Called by Python, as [`WithKeywords`].
unsafe extern "C-unwind" fn produce(producer: *mut Object, args: *mut Object, kwargs: *mut Object) -> *mut Object {
    let (Some(layer), Some(original)) = (Layer::get(), PRODUCE.get()) else { return ptr::null_mut() };
    // SAFETY: as promised by the caller.
    unsafe {
        let python = layer.python;
        let count = (python.tuple_size)(args);
        let named = |name| {
            let value = if kwargs.is_null() { ptr::null_mut() } else { (python.dict_get)(kwargs, name) };
            if value.is_null() { python.none } else { value }
        };
        let argument = |place, name| if count > place { (python.tuple_get)(args, place) } else { named(name) };
        let names = &layer.names;
        let Some(it) = layer.say(argument(1, names.value), argument(2, names.key)) else { return ptr::null_mut() };
        let reports =
            count > 4 || [names.on_delivery, names.callback].into_iter().any(|name| named(name) != python.none);
        let result = if reports && !python.is_none(it.raw()) {
            let Some(with_report) = layer.with_report(args, kwargs, &it) else { return ptr::null_mut() };
            let [args, kwargs] = [0, 1].map(|place| (python.tuple_get)(with_report.raw(), place));
            original.call(producer, args, if python.is_none(kwargs) { ptr::null_mut() } else { kwargs })
        } else {
            original.call(producer, args, kwargs)
        };
        if result.is_null() {
            // It may not have come so far that what was said of it was taken.
            layer.unsay();
        }
        result
    }
}
