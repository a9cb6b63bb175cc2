//! What the library knows of the layer's Python, and what it asks of it.

use std::ptr;
use std::sync::OnceLock;

use super::c_methods::OfMessage;
use super::cpython::{Object, Owned, Python};
use super::trains;

/// What is known of the layer's Python, for good.
pub(super) struct Layer {
    pub python: &'static Python,
    /// The context variable.
    pub current: *mut Object,
    /// `sys.modules`.
    pub modules: *mut Object,
    /// The messages that are kept.
    pub row: *mut Object,
    /// The classes that Python makes of ours.
    pub processing: *mut Object,
    pub habits: *mut Object,
    pub started: *mut Object,
    /// Python's type of what an `async` function gives.
    pub coroutine: *mut Object,
    /// confluent-kafka's `Message`.
    pub message: *mut Object,
    /// What is in the layer's `_trains.py`.
    pub trains: *mut Object,
    /// The context variable there of the number that a task has.
    pub train_of_task: *mut Object,
    /// What is known of coroutines, of `_started.py`.
    pub coroutines: *mut Object,
    /// Seconds that a message may be taken for a cause for without more ado.
    pub shortest: f64,
    /// Seconds that it may at most, however long others took.
    pub longest: f64,
    pub names: Names,
    pub slow: Slow,
    pub of_message: Option<OfMessage>,
}

/// Names that Python has made ready for look-ups.
pub(super) struct Names {
    pub greenlets: *mut Object,
    pub trio: *mut Object,
    pub spans: *mut Object,
    pub habits: *mut Object,
    /// Gives the event loop that runs on the calling thread, once asyncio is there.
    pub running: *mut Object,
    pub asyncio: *mut Object,
    pub current_task: *mut Object,
    pub coroutine_code: *mut Object,
    pub coroutine_frame: *mut Object,
    pub locals: *mut Object,
    pub topic: *mut Object,
    pub partition: *mut Object,
    pub value: *mut Object,
    pub key: *mut Object,
    pub on_delivery: *mut Object,
    pub callback: *mut Object,
}

/// The same in Python, for what is not plain. None of them raises what is an `Exception`.
pub(super) struct Slow {
    pub habits_of: *mut Object,
    pub left: *mut Object,
    pub given: *mut Object,
    pub said: *mut Object,
    pub with_report: *mut Object,
    /// The number of the train that calls, of whatever kind; 0: it is not known.
    pub train: *mut Object,
    pub turn_left: *mut Object,
    pub turn_entered: *mut Object,
    /// The number of the Kafka error that was raised; 0 for what is none.
    pub refusal: *mut Object,
}

// SAFETY: objects that are never let go of; used with the GIL held.
unsafe impl Send for Layer {}
// SAFETY: as above.
unsafe impl Sync for Layer {}

/// Python was interrupted, and has an error that says so.
pub(super) struct Interrupted;

static LAYER: OnceLock<Layer> = OnceLock::new();

impl Layer {
    pub(super) fn get() -> Option<&'static Self> {
        LAYER.get()
    }

    /// Learns what the layer's Python is made of, from the keyword arguments of `connect()`.
    ///
    /// # Safety
    ///
    /// `more` is a `dict` that lives, of what its names say.
    pub(super) unsafe fn connect(python: &'static Python, more: *mut Object) {
        // SAFETY: as promised by the caller.
        if let Some(layer) = unsafe { Self::of(python, more) } {
            let _ = LAYER.set(layer);
        }
    }

    /// # Safety
    ///
    /// See [`Layer::connect`].
    unsafe fn of(python: &'static Python, more: *mut Object) -> Option<Self> {
        // SAFETY: as promised by the caller.
        let given = |name| unsafe { python.given(more, name) };
        let message = given(c"message")?;
        Some(Self {
            python,
            current: given(c"current")?,
            modules: given(c"modules")?,
            row: given(c"row")?,
            processing: given(c"processing")?,
            habits: given(c"habits")?,
            started: given(c"started")?,
            coroutine: given(c"coroutine")?,
            message,
            trains: given(c"trains")?,
            train_of_task: given(c"train_of_task")?,
            coroutines: given(c"coroutines")?,
            shortest: python.signed(given(c"shortest_ms")?) as f64 / 1000.0,
            longest: python.signed(given(c"longest_ms")?) as f64 / 1000.0,
            names: Names {
                greenlets: python.name(c"greenlet")?,
                trio: python.name(c"trio")?,
                spans: python.name(c"opentelemetry.trace")?,
                habits: python.name(c"_tracer_interceptors")?,
                running: python.name(c"running")?,
                asyncio: python.name(c"asyncio")?,
                current_task: python.name(c"current_task")?,
                coroutine_code: python.name(c"cr_code")?,
                coroutine_frame: python.name(c"cr_frame")?,
                locals: python.name(c"f_locals")?,
                topic: python.name(c"topic")?,
                partition: python.name(c"partition")?,
                value: python.name(c"value")?,
                key: python.name(c"key")?,
                on_delivery: python.name(c"on_delivery")?,
                callback: python.name(c"callback")?,
            },
            slow: Slow {
                habits_of: given(c"habits_of")?,
                left: given(c"left")?,
                given: given(c"given")?,
                said: given(c"said")?,
                with_report: given(c"with_report")?,
                train: given(c"train")?,
                turn_left: given(c"turn_left")?,
                turn_entered: given(c"turn_entered")?,
                refusal: given(c"refusal")?,
            },
            // SAFETY: a type of a C module, or what has no such methods.
            of_message: unsafe { OfMessage::of(python, message) },
        })
    }

    /// What `consumer`'s messages have shown; `None`, and an error, where Python was interrupted.
    ///
    /// # Safety
    ///
    /// `consumer` lives, and the GIL is held, as in all below.
    pub(super) unsafe fn habits_of(&self, consumer: *mut Object) -> Option<Owned> {
        self.python.attribute(consumer, self.names.habits).or_else(|| {
            // SAFETY: as promised by the caller.
            unsafe { self.called(self.slow.habits_of, [consumer]) }
        })
    }

    /// Whether the object can be one message's alone: Python has one of a kind of the empty and of single bytes.
    ///
    /// # Safety
    ///
    /// See [`Layer::habits_of`]; it lives.
    pub(super) unsafe fn is_its_own(&self, object: *mut Object) -> bool {
        // SAFETY: as promised by the caller.
        unsafe {
            let kind = (*object).kind();
            let is_bytes =
                kind == self.python.bytes_type || (self.python.is_subtype)(kind, self.python.bytes_type) != 0;
            is_bytes && (self.python.bytes_size)(object) > 1
        }
    }

    /// # Safety
    ///
    /// See [`Layer::habits_of`]; it lives.
    pub(super) unsafe fn is_processing(&self, object: *mut Object) -> bool {
        // SAFETY: as promised by the caller.
        unsafe { (*object).kind() == self.processing }
    }

    pub(super) fn keeps_messages(&self) -> bool {
        // SAFETY: a `deque`, and the GIL is held.
        unsafe { (self.python.size)(self.row) != 0 }
    }

    pub(super) fn is_loaded(&self, name: *mut Object) -> bool {
        // SAFETY: a `dict` and a name, and the GIL is held.
        unsafe { !(self.python.dict_get)(self.modules, name).is_null() }
    }

    /// The number of the train that calls; `None`: it makes a call for another, or a span of the program's own can be a cause.
    pub(super) fn train(&self) -> Result<Option<u64>, Interrupted> {
        let names = &self.names;
        if trains::is_lent() || self.is_loaded(names.spans) {
            return Ok(None);
        }
        if !self.is_loaded(names.greenlets)
            && !self.is_loaded(names.trio)
            && let Some(running) = self.running()
        {
            if self.python.is_none(running.raw()) {
                return Ok(Some(trains::of_this_thread()));
            }
            // SAFETY: the loop lives, and the GIL is held.
            if let Some(number) = unsafe { self.train_of_task(&running) } {
                return Ok(Some(number));
            }
        }
        // SAFETY: a function without arguments, and the GIL is held.
        let number = unsafe { self.called(self.slow.train, []) }.ok_or(Interrupted)?;
        let number = self.python.signed(number.raw()).cast_unsigned();
        Ok((number != 0).then_some(number))
    }

    /// The event loop that runs on this thread, or `None` of Python's; `None`: that cannot be had.
    fn running(&self) -> Option<Owned> {
        // SAFETY: a `dict`, a name, and a function without arguments; the GIL is held.
        let running = unsafe {
            let running = (self.python.dict_get)(self.trains, self.names.running);
            if running.is_null() { None } else { self.called(running, []) }
        };
        if running.is_none() {
            self.python.clear_error();
        }
        running
    }

    /// The number of the task that the loop runs, which is given one if it has none; `None`: it runs none, or that cannot be had.
    ///
    /// # Safety
    ///
    /// The loop lives, and the GIL is held.
    unsafe fn train_of_task(&self, running: &Owned) -> Option<u64> {
        let python = self.python;
        // SAFETY: as promised by the caller; what the variable has is a pair of a function that gives the task, and its number. Each
        // place of the new one is filled once, by a reference that it takes over.
        unsafe {
            let asyncio = (python.dict_get)(self.modules, self.names.asyncio);
            if asyncio.is_null() {
                return None;
            }
            let current_task = python.attribute(asyncio, self.names.current_task)?;
            let task = self.called(current_task.raw(), [running.raw()]);
            let Some(task) = task.filter(|task| !python.is_none(task.raw())) else {
                python.clear_error();
                return None;
            };
            let mut known = ptr::null_mut();
            (python.var_get)(self.train_of_task, python.none, &raw mut known);
            let known = python.owned(known).filter(|known| !python.is_none(known.raw()));
            if let Some(known) = known {
                let of = self.called((python.tuple_get)(known.raw(), 0), []);
                if of.is_some_and(|of| of.raw() == task.raw()) {
                    return Some(python.signed((python.tuple_get)(known.raw(), 1)).cast_unsigned());
                }
            }
            let number = trains::new();
            let (weak, told) = (
                python.owned((python.new_weak)(task.raw(), ptr::null_mut())),
                python.owned((python.new_unsigned)(number)),
            );
            let pair = python.owned((python.tuple_new)(2));
            let (Some(weak), Some(told), Some(pair)) = (weak, told, pair) else {
                python.clear_error();
                return None;
            };
            (python.tuple_set)(pair.raw(), 0, weak.into_raw());
            (python.tuple_set)(pair.raw(), 1, told.into_raw());
            let token = python.owned((python.var_set)(self.train_of_task, pair.raw()));
            if token.is_none() {
                python.clear_error();
            }
            token.map(|_| number)
        }
    }

    /// What is current in the calling context; `None`: that cannot be had.
    pub(super) fn current(&self) -> Option<Owned> {
        let mut it = ptr::null_mut();
        // SAFETY: a context variable, and the GIL is held.
        if unsafe { (self.python.var_get)(self.current, self.python.none, &raw mut it) } != 0 {
            self.python.clear_error();
        }
        self.python.owned(it)
    }

    /// Whether it is so now.
    ///
    /// # Safety
    ///
    /// The object lives.
    pub(super) unsafe fn set_current(&self, it: *mut Object) -> bool {
        // SAFETY: as promised by the caller; a context variable, and the GIL is held.
        let token = self.python.owned(unsafe { (self.python.var_set)(self.current, it) });
        if token.is_none() {
            self.python.clear_error();
        }
        token.is_some()
    }

    /// Calls a function of Python's.
    ///
    /// # Safety
    ///
    /// All live, and the GIL is held.
    pub(super) unsafe fn called<const COUNT: usize>(
        &self,
        function: *mut Object,
        arguments: [*mut Object; COUNT],
    ) -> Option<Owned> {
        let end = ptr::null_mut::<Object>();
        let [first, second, third] = [0, 1, 2].map(|place| arguments.get(place).copied().unwrap_or(end));
        // SAFETY: as promised by the caller; the first null ends the arguments, of which there are three at most.
        self.python.owned(unsafe { (self.python.call_with)(function, first, second, third, end) })
    }
}
