//! Whether what `_loops.py` has read of some code still holds: the same places, at which names mean the same. Reading is Python's.
//!
//! A read is a `tuple` of what was found and of its frames, the innermost first, each `(code, place, is_optimized, names)`, or `None`
//! where there was none. A name is `(chain, is_local, meaning, is_call)`: the names that are loaded one from the other, whether the
//! first may be the frame's own, what that meant, and whether the last is that of a call for messages. What is looked at is asked for
//! nothing: no code of the program's runs.

use std::ptr;
use std::sync::OnceLock;

use super::cpython::{Object, Owned, Python};
use super::layer::Layer;

/// What is known of `_loops.py`, for good.
struct Loops {
    /// For each innermost place that was read for "once in a round", a `list` of reads.
    once: *mut Object,
    /// The same of "made since", for the names that were given and the places up to where the code began.
    since: *mut Object,
    /// For each type, what its objects can be, as a number: see `Kind`.
    kinds: *mut Object,
    /// The same of a type that is not there yet.
    kind: *mut Object,
    /// What a chain means in a frame.
    meaning: *mut Object,
    names: Names,
}

struct Names {
    back: *mut Object,
    code: *mut Object,
    place: *mut Object,
    locals: *mut Object,
    globals: *mut Object,
    code_of: *mut Object,
    function: *mut Object,
    own: *mut Object,
    name: *mut Object,
    parents: *mut Object,
    members: *mut Object,
    /// Of a `Root`.
    root_code: *mut Object,
    root_names: *mut Object,
}

// SAFETY: objects that are never let go of; used with the GIL held.
unsafe impl Send for Loops {}
// SAFETY: as above.
unsafe impl Sync for Loops {}

static LOOPS: OnceLock<Loops> = OnceLock::new();

/// What the objects of a type can be: bits.
#[derive(Clone, Copy)]
struct Kind(i64);

impl Kind {
    /// It has calls for messages.
    const CONSUMER: i64 = 1;
    /// It has names of its own.
    const HAS_NAMES: i64 = 2;
    const FUNCTION: i64 = 4;
    const METHOD: i64 = 8;
    const OF_C: i64 = 16;
    const TYPE: i64 = 32;

    fn is(self, bits: i64) -> bool {
        self.0 & bits != 0
    }
}

/// What a name means.
enum Meaning {
    CallForMessages,
    Code(Owned),
    Nothing,
}

/// The frames of a call, from the innermost on.
enum Frames {
    /// As far as they have been asked for.
    Of(Vec<Owned>),
    /// A `list`.
    Given(*mut Object),
}

/// Something cannot be had of Python.
struct Unknown;

/// Learns what `_loops.py` is made of, from keyword arguments.
///
/// # Safety
///
/// `more` is a `dict` that lives, of what its names say; the GIL is held.
pub(super) unsafe fn connect(python: &'static Python, more: *mut Object) {
    // SAFETY: as promised by the caller.
    if let Some(loops) = unsafe { Loops::of(python, more) } {
        let _ = LOOPS.set(loops);
    }
}

impl Loops {
    /// # Safety
    ///
    /// See [`connect`].
    unsafe fn of(python: &'static Python, more: *mut Object) -> Option<Self> {
        Some(Self {
            // SAFETY: as promised by the caller.
            once: unsafe { python.given(more, c"once")? },
            // SAFETY: as above.
            since: unsafe { python.given(more, c"since")? },
            // SAFETY: as above.
            kinds: unsafe { python.given(more, c"kinds")? },
            // SAFETY: as above.
            kind: unsafe { python.given(more, c"kind")? },
            // SAFETY: as above.
            meaning: unsafe { python.given(more, c"meaning")? },
            names: Names {
                back: python.name(c"f_back")?,
                code: python.name(c"f_code")?,
                place: python.name(c"f_lasti")?,
                locals: python.name(c"f_locals")?,
                globals: python.name(c"f_globals")?,
                code_of: python.name(c"__code__")?,
                function: python.name(c"__func__")?,
                own: python.name(c"__self__")?,
                name: python.name(c"__name__")?,
                parents: python.name(c"__mro__")?,
                members: python.name(c"__dict__")?,
                root_code: python.name(c"code")?,
                root_names: python.name(c"names")?,
            },
        })
    }

    /// # Safety
    ///
    /// `value` lives, and the GIL is held.
    unsafe fn kind_of(&self, python: &Python, value: *mut Object) -> Result<Kind, Unknown> {
        // SAFETY: as promised by the caller; a type, which is a key, and a function of one argument.
        unsafe {
            let kind = (*value).kind();
            let known = (python.dict_get)(self.kinds, kind);
            if !known.is_null() {
                return Ok(Kind(python.signed(known)));
            }
            let found = python.had((python.call_with)(self.kind, kind, ptr::null_mut::<Object>()))?;
            Ok(Kind(python.signed(found.raw())))
        }
    }
}

impl Layer {
    /// Whether the send that is made now is made once in a round of a loop that asks for messages, if that was read before.
    pub(super) fn is_once_in_a_round(&self) -> Option<bool> {
        let (python, loops) = (self.python, LOOPS.get()?);
        // SAFETY: the GIL is held; the frame that calls lives, and what is made here is what it is made as.
        unsafe {
            let frame = (python.frame)();
            if frame.is_null() {
                return None;
            }
            let frame = python.refer(frame);
            let code = python.attribute(frame.raw(), loops.names.code)?;
            let place = python.attribute(frame.raw(), loops.names.place)?;
            let address = python.owned((python.new_unsigned)(code.raw() as u64))?;
            let key = python.owned((python.tuple_new)(2))?;
            (python.tuple_set)(key.raw(), 0, address.into_raw());
            (python.tuple_set)(key.raw(), 1, place.into_raw());
            let reads = (python.dict_get)(loops.once, key.raw());
            if reads.is_null() {
                return None;
            }
            // Kept for as long as it is looked at.
            let reads = python.refer(reads);
            let found = recalled(python, loops, reads.raw(), &mut Frames::Of(vec![frame])).ok()??;
            (!python.is_none(found.raw())).then(|| (python.is_true)(found.raw()) == 1)
        }
    }
}

/// As many frames as `_since.py` looks at.
const DEPTH_OF_STARTED: usize = 60;

impl Layer {
    /// What `made_since` has said of what is made now by code that began at this root, if that was read before.
    ///
    /// # Safety
    ///
    /// `root` lives, and the GIL is held.
    pub(super) unsafe fn made_since(&self, root: *mut Object) -> Option<Owned> {
        let (python, loops) = (self.python, LOOPS.get()?);
        if python.is_none(root) {
            return None;
        }
        // SAFETY: as promised by the caller; the frame that calls lives, and what is made here is what it is made as.
        unsafe {
            let (begun, names) =
                (python.attribute(root, loops.names.root_code)?, python.attribute(root, loops.names.root_names)?);
            let frame = (python.frame)();
            if frame.is_null() || python.is_none(begun.raw()) {
                return None;
            }
            let (mut frames, mut parts) = (vec![python.refer(frame)], vec![names]);
            loop {
                let frame = frames.last()?.raw();
                let code = python.attribute(frame, loops.names.code)?;
                parts.push(python.owned((python.new_unsigned)(code.raw() as u64))?);
                parts.push(python.attribute(frame, loops.names.place)?);
                if code.raw() == begun.raw() {
                    break;
                }
                let back = python.attribute(frame, loops.names.back)?;
                if python.is_none(back.raw()) || frames.len() >= DEPTH_OF_STARTED {
                    return None;
                }
                frames.push(back);
            }
            let key = python.owned((python.tuple_new)(isize::try_from(parts.len()).ok()?))?;
            for (at, part) in (0..).zip(parts) {
                (python.tuple_set)(key.raw(), at, part.into_raw());
            }
            let reads = (python.dict_get)(loops.since, key.raw());
            if reads.is_null() {
                python.clear_error();
                return None;
            }
            // Kept for as long as it is looked at.
            let reads = python.refer(reads);
            // From the root on: all of them were read.
            frames.reverse();
            recalled(python, loops, reads.raw(), &mut Frames::Of(frames)).ok()?
        }
    }
}

/// What was found by one of these reads, a `list`, if one still holds of these frames: the innermost of a call, or a `list` of them.
///
/// # Safety
///
/// All live, and the GIL is held.
pub(super) unsafe fn recall(python: &Python, reads: *mut Object, frames: *mut Object) -> Option<Owned> {
    let loops = LOOPS.get()?;
    // SAFETY: as promised by the caller.
    unsafe {
        let is_list = (*frames).kind() == (*reads).kind();
        let mut frames = if is_list { Frames::Given(frames) } else { Frames::Of(vec![python.refer(frames)]) };
        recalled(python, loops, reads, &mut frames).ok()?
    }
}

/// # Safety
///
/// See [`recall`].
unsafe fn recalled(
    python: &Python,
    loops: &Loops,
    reads: *mut Object,
    frames: &mut Frames,
) -> Result<Option<Owned>, Unknown> {
    // SAFETY: as promised by the caller; what a read is of says the head of this file. It lives while it is looked at.
    unsafe {
        for at in 0.. {
            if at >= (python.list_size)(reads) {
                break;
            }
            let read = python.refer((python.list_get)(reads, at));
            if holds(python, loops, read.raw(), frames)? {
                return Ok(Some(python.refer((python.tuple_get)(read.raw(), 0))));
            }
        }
    }
    Ok(None)
}

/// # Safety
///
/// See [`recall`].
unsafe fn holds(python: &Python, loops: &Loops, read: *mut Object, frames: &mut Frames) -> Result<bool, Unknown> {
    // SAFETY: as promised by the caller; `read` keeps all that is in it.
    unsafe {
        let known = (python.tuple_get)(read, 1);
        let count = (python.tuple_size)(known);
        for depth in 0..count {
            let known = (python.tuple_get)(known, depth);
            let Some(frame) = frames.at(python, loops, depth) else { return Ok(false) };
            let Some(frame) = frame.filter(|_| known != python.none) else {
                if frame.is_some() || known != python.none {
                    return Ok(false);
                }
                break;
            };
            let code = python.had((python.get_attr)(frame, loops.names.code))?;
            let place = python.had((python.get_attr)(frame, loops.names.place))?;
            let [known_code, known_place] = [0, 1].map(|part| (python.tuple_get)(known, part));
            if code.raw() != known_code || python.signed(place.raw()) != python.signed(known_place) {
                return Ok(false);
            }
        }
        for depth in 0..count {
            let known = (python.tuple_get)(known, depth);
            let Some(Some(frame)) = frames.at(python, loops, depth) else { break };
            if !names_hold(python, loops, known, frame)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

impl Frames {
    /// The frame of this depth; nothing inside: there is none; nothing: that cannot be said.
    ///
    /// # Safety
    ///
    /// See [`recall`].
    unsafe fn at(&mut self, python: &Python, loops: &Loops, depth: isize) -> Option<Option<*mut Object>> {
        let Ok(at) = usize::try_from(depth) else { return None };
        // SAFETY: as promised by the caller; frames keep those that they were called by.
        unsafe {
            match self {
                Self::Given(list) => Some((depth < (python.list_size)(*list)).then(|| (python.list_get)(*list, depth))),
                Self::Of(frames) => {
                    while frames.len() <= at {
                        let back = python.attribute(frames.last()?.raw(), loops.names.back)?;
                        if python.is_none(back.raw()) {
                            return Some(None);
                        }
                        frames.push(back);
                    }
                    frames.get(at).map(|frame| Some(frame.raw()))
                }
            }
        }
    }
}

/// Whether names mean in this frame what they meant.
///
/// # Safety
///
/// See [`recall`].
unsafe fn names_hold(python: &Python, loops: &Loops, known: *mut Object, frame: *mut Object) -> Result<bool, Unknown> {
    // SAFETY: as promised by the caller.
    unsafe {
        let names = (python.tuple_get)(known, 3);
        let count = (python.tuple_size)(names);
        if count <= 0 {
            return Ok(true);
        }
        let module = python.had((python.get_attr)(frame, loops.names.globals))?;
        let mut own = None;
        let mut hold = Ok(true);
        for at in 0..count {
            let name = (python.tuple_get)(names, at);
            if own.is_none() && (python.is_true)((python.tuple_get)(name, 1)) == 1 {
                own = Some(python.had((python.get_attr)(frame, loops.names.locals))?);
            }
            let own = own.as_ref().map(Owned::raw);
            hold = name_holds(python, loops, name, (own, module.raw()));
            if !matches!(hold, Ok(true)) {
                break;
            }
        }
        let is_optimized = (python.is_true)((python.tuple_get)(known, 2)) == 1;
        if let Some(own) = own.filter(|_| is_optimized) {
            python.empty_names(own);
        }
        hold
    }
}

/// # Safety
///
/// See [`recall`]; the second is what the frame's own names mean, where one may be asked for, and those of its module.
unsafe fn name_holds(
    python: &Python,
    loops: &Loops,
    name: *mut Object,
    (own, module): (Option<*mut Object>, *mut Object),
) -> Result<bool, Unknown> {
    // SAFETY: as promised by the caller.
    unsafe {
        let [chain, is_local, meant, is_call] = [0, 1, 2, 3].map(|part| (python.tuple_get)(name, part));
        if (*meant).kind() == (*chain).kind() {
            let own = own.unwrap_or(python.none);
            let now = (python.call_with)(loops.meaning, chain, own, module, ptr::null_mut::<Object>());
            let now = python.had(now)?;
            let is_same = (python.compare)(now.raw(), meant, EQUAL);
            python.clear_error();
            return Ok(is_same == 1);
        }
        let own = own.filter(|_| (python.is_true)(is_local) == 1);
        let first = (python.tuple_get)(chain, 0);
        let value = own.and_then(|own| python.item(own, first)).or_else(|| python.item(module, first));
        let is_call = (python.is_true)(is_call) == 1;
        let value = value.unwrap_or_else(|| python.refer(python.none));
        Ok(match means(python, loops, value, chain, is_call)? {
            Meaning::Nothing => meant == python.none,
            Meaning::CallForMessages => meant == python.yes,
            // Another code's address is none that a code has whose name was noted: that one is kept.
            Meaning::Code(code) => {
                meant != python.none && meant != python.yes && python.signed(meant) == code.raw() as i64
            }
        })
    }
}

/// What a chain means that begins with this value.
///
/// # Safety
///
/// See [`recall`].
unsafe fn means(
    python: &Python,
    loops: &Loops,
    value: Owned,
    chain: *mut Object,
    is_call: bool,
) -> Result<Meaning, Unknown> {
    // SAFETY: as promised by the caller.
    unsafe {
        let count = (python.tuple_size)(chain);
        let mut value = value;
        let mut kind = loops.kind_of(python, value.raw())?;
        if count == 1 && kind.is(Kind::METHOD | Kind::OF_C) && is_bound_call(python, loops, &value, kind)? {
            return Ok(Meaning::CallForMessages);
        }
        for at in 1..count {
            if is_call && at == count - 1 && kind.is(Kind::CONSUMER) {
                return Ok(Meaning::CallForMessages);
            }
            let Some(member) = member_of(python, loops, value.raw(), (python.tuple_get)(chain, at))? else {
                return Ok(Meaning::Nothing);
            };
            value = member;
            kind = loops.kind_of(python, value.raw())?;
        }
        if kind.is(Kind::METHOD) {
            value = python.had((python.get_attr)(value.raw(), loops.names.function))?;
            kind = loops.kind_of(python, value.raw())?;
        }
        if !kind.is(Kind::FUNCTION) {
            return Ok(Meaning::Nothing);
        }
        Ok(Meaning::Code(python.had((python.get_attr)(value.raw(), loops.names.code_of))?))
    }
}

/// Whether a method that is bound is a consumer's call for messages.
///
/// # Safety
///
/// See [`recall`].
unsafe fn is_bound_call(python: &Python, loops: &Loops, value: &Owned, kind: Kind) -> Result<bool, Unknown> {
    // SAFETY: as promised by the caller; these are attributes of Python's own kinds.
    unsafe {
        let mut named = python.refer(value.raw());
        if kind.is(Kind::METHOD) {
            named = python.had((python.get_attr)(value.raw(), loops.names.function))?;
            if !loops.kind_of(python, named.raw())?.is(Kind::FUNCTION) {
                return Ok(false);
            }
        }
        let name = python.had((python.get_attr)(named.raw(), loops.names.name))?;
        if !matches!(python.text(&name), Some("poll" | "consume")) {
            return Ok(false);
        }
        let own = python.had((python.get_attr)(value.raw(), loops.names.own))?;
        Ok(loops.kind_of(python, own.raw())?.is(Kind::CONSUMER))
    }
}

/// What an object has of this name, itself or by its classes, without a call of anything of the program's.
///
/// # Safety
///
/// All live, and the GIL is held.
pub(super) unsafe fn member(python: &Python, value: *mut Object, name: *mut Object) -> Option<Owned> {
    // SAFETY: as promised by the caller.
    LOOPS.get().and_then(|loops| unsafe { member_of(python, loops, value, name) }.ok().flatten())
}

/// # Safety
///
/// See [`member`].
unsafe fn member_of(
    python: &Python,
    loops: &Loops,
    value: *mut Object,
    name: *mut Object,
) -> Result<Option<Owned>, Unknown> {
    // SAFETY: as promised by the caller; a type has its parents and its members.
    unsafe {
        let kind = loops.kind_of(python, value)?;
        let own = match kind {
            _ if kind.is(Kind::TYPE) => python.owned((python.generic_attr)(value, loops.names.members)),
            _ if kind.is(Kind::HAS_NAMES) => python.owned((python.generic_dict)(value, ptr::null_mut())),
            _ => None,
        };
        python.clear_error();
        if let Some(found) = own.and_then(|own| python.item(own.raw(), name)) {
            return Ok(Some(found));
        }
        let parents = python.had((python.generic_attr)((*value).kind(), loops.names.parents))?;
        for at in 0..(python.tuple_size)(parents.raw()) {
            let parent = (python.tuple_get)(parents.raw(), at);
            let members = python.had((python.generic_attr)(parent, loops.names.members))?;
            if let Some(found) = python.item(members.raw(), name) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Python {
    /// What a call gave that does not fail where Python has memory.
    fn had(&self, object: *mut Object) -> Result<Owned, Unknown> {
        self.owned(object).ok_or_else(|| {
            self.clear_error();
            Unknown
        })
    }

    /// What a mapping has of this name.
    ///
    /// # Safety
    ///
    /// Both live, and the GIL is held.
    unsafe fn item(&self, mapping: *mut Object, name: *mut Object) -> Option<Owned> {
        // SAFETY: as promised by the caller.
        unsafe {
            if (*mapping).kind() == self.dict_type {
                let found = (self.dict_get)(mapping, name);
                if found.is_null() {
                    self.clear_error();
                }
                return (!found.is_null()).then(|| self.refer(found));
            }
            let found = if (self.has)(mapping, name) == 1 { self.owned((self.get_item)(mapping, name)) } else { None };
            if found.is_none() {
                self.clear_error();
            }
            found
        }
    }
}

/// `Py_EQ`.
const EQUAL: i32 = 2;
