//! The methods of confluent-kafka's clients that are called for every message: `poll()` of a consumer, `produce()` of a producer.

use std::ffi::{CStr, CString, c_void};
use std::mem::transmute;
use std::ptr;
use std::sync::OnceLock;

use tracer_resolver::interceptor::{RefusedSend, has_producers, refused, sends_seen};

use super::c_methods::c_method;
use super::cpython::{Method, Object, Owned, Python, WITH_KEYWORDS, WithKeywords};
use super::layer::Layer;
use crate::contained::contained;

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
        let seen = sends_seen();
        let result = if reports && !python.is_none(it.raw()) {
            let Some(with_report) = layer.with_report(args, kwargs, &it) else { return ptr::null_mut() };
            let [args, kwargs] = [0, 1].map(|place| (python.tuple_get)(with_report.raw(), place));
            original.call(producer, args, if python.is_none(kwargs) { ptr::null_mut() } else { kwargs })
        } else {
            original.call(producer, args, kwargs)
        };
        if result.is_null() {
            if seen == sends_seen() && has_producers() {
                let [value, key] = [argument(1, names.value), argument(2, names.key)];
                let is_tombstone = python.is_none(value) && !python.is_none(key);
                let place = (argument(0, names.topic), argument(3, names.partition));
                tell_of_refused(layer, producer, place, is_tombstone);
            }
            // It may not have come so far that what was said of it was taken.
            layer.unsay();
        }
        result
    }
}

/// Tells the engine of a send to this topic and partition that `produce()` has raised a Kafka error for, before librdkafka came
/// to its interceptors. What is raised stays so, unless Python is interrupted meanwhile.
///
/// # Safety
///
/// `producer` and the others live, and the GIL is held.
#[cold]
unsafe fn tell_of_refused(layer: &Layer, producer: *mut Object, place: (*mut Object, *mut Object), is_tombstone: bool) {
    let python = layer.python;
    // SAFETY: as promised by the caller; there is room for the three, whose references are given back below, or here.
    unsafe {
        let [mut kind, mut value, mut traceback] = [ptr::null_mut(); 3];
        (python.err_fetch)(&raw mut kind, &raw mut value, &raw mut traceback);
        let raised = [kind, value, traceback].map(|object| python.owned(object));
        let [Some(_), given, _] = &raised else { return };
        let given = given.as_ref().map_or(python.none, |value| value.raw());
        let Some(code) = layer.called(layer.slow.refusal, [kind, given]) else { return };
        let error = i32::try_from(python.signed(code.raw())).unwrap_or(0);
        if let Some(client) = client_of(python, producer).filter(|_| error != 0) {
            let (topic, partition) = place;
            let partition =
                if python.is_none(partition) { -1 } else { i32::try_from(python.signed(partition)).unwrap_or(-1) };
            let send = RefusedSend { error, partition, key: None, is_tombstone };
            // What is no text has been raised for already.
            let topic = python.text(&*topic).and_then(|topic| CString::new(topic).ok());
            if let Some(topic) = topic {
                contained((), || refused(client, &topic, [send].into_iter()));
            }
        }
        let [kind, value, traceback] = raised.map(|object| object.map_or(ptr::null_mut(), Owned::into_raw));
        (python.err_restore)(kind, value, traceback);
    }
}

/// The address of the `rd_kafka_t` that confluent-kafka's producer has as its first member; it is never followed, but known by the
/// engine, or is none.
///
/// # Safety
///
/// `producer` lives, and the GIL is held.
unsafe fn client_of(python: &Python, producer: *mut Object) -> Option<usize> {
    // SAFETY: as promised by the caller.
    let size = python.attribute(unsafe { (*producer).kind() }, python.name(c"__basicsize__")?)?;
    if python.signed(size.raw()) < (size_of::<Object>() + size_of::<usize>()) as i64 {
        return None;
    }
    // SAFETY: an object is as long as its type says.
    Some(unsafe { producer.add(1).cast::<usize>().read() })
}
