//! Node-API: those of Node's functions that are used, and what they give in terms of Rust.
//!
//! They are looked up in the process, and never linked: in every other program they are not there.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute;
use std::ptr;
use std::sync::OnceLock;

/// `napi_env`: an instance of Node, that of the main thread or of a worker.
pub(super) type Env = *mut c_void;
/// `napi_value`: good until the callback returns that it was made in. Null is undefined.
pub(super) type Value = *mut c_void;
/// `napi_callback_info`.
pub(super) type Call = *mut c_void;
/// `napi_callback`.
pub(super) type Callback = unsafe extern "C" fn(Env, Call) -> Value;

/// `napi_status`; 0 is `napi_ok`.
type Status = c_int;

/// An instance of Node, for the time of a call.
#[derive(Clone, Copy)]
pub(super) struct Node {
    env: Env,
    functions: &'static Functions,
}

impl Node {
    /// `None`: this Node has no such functions.
    ///
    /// # Safety
    ///
    /// Node gave `env` to the call that this is in, and what is returned is not used after it.
    pub(super) unsafe fn of(env: Env) -> Option<Self> {
        static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
        let functions = FUNCTIONS.get_or_init(Functions::look_up).as_ref()?;
        Some(Self { env, functions })
    }

    /// The arguments of a call; undefined where there are fewer.
    ///
    /// # Safety
    ///
    /// `call` came with the `env` of [`Self::of`].
    pub(super) unsafe fn arguments<const COUNT: usize>(self, call: Call) -> [Value; COUNT] {
        let mut values = [ptr::null_mut(); COUNT];
        let mut count = COUNT;
        let (this, data) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: `call` is good; there is room for `count` values. What is not wanted may be null.
        unsafe { (self.functions.get_cb_info)(self.env, call, &raw mut count, values.as_mut_ptr(), this, data) };
        values
    }

    /// A number; `None` if it is something else.
    pub(super) fn number(self, value: Value) -> Option<f64> {
        let mut number = 0.0;
        // SAFETY: `value` is of this call, or null, which is refused.
        let status = unsafe { (self.functions.get_value_double)(self.env, value, &raw mut number) };
        (status == 0).then_some(number)
    }

    /// A text as UTF-8, in `room`; `None` if it is something else, or too long.
    pub(super) fn text(self, value: Value, room: &mut [u8]) -> Option<&[u8]> {
        let mut length = 0;
        // SAFETY: as above; at most as many bytes are written as there is room for, with a NUL.
        let status = unsafe {
            let (to, size) = (room.as_mut_ptr().cast(), room.len());
            (self.functions.get_value_string_utf8)(self.env, value, to, size, &raw mut length)
        };
        // Of a text that is longer, only what fits is written: up to three bytes less, where a character ends.
        if status != 0 || length + 4 >= room.len() {
            return None;
        }
        room.get(..length)
    }

    /// How many elements an array has; 0 if it is something else.
    pub(super) fn length(self, array: Value) -> u32 {
        let mut length = 0;
        // SAFETY: as above.
        let status = unsafe { (self.functions.get_array_length)(self.env, array, &raw mut length) };
        if status == 0 { length } else { 0 }
    }

    /// One of them; undefined where there is none.
    pub(super) fn element(self, array: Value, index: u32) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: as above.
        let status = unsafe { (self.functions.get_element)(self.env, array, index, &raw mut value) };
        if status == 0 { value } else { ptr::null_mut() }
    }

    /// A text of ours.
    pub(super) fn new_text(self, text: &str) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: `text` has that many bytes, which are copied.
        let status =
            unsafe { (self.functions.create_string_utf8)(self.env, text.as_ptr().cast(), text.len(), &raw mut value) };
        if status == 0 { value } else { ptr::null_mut() }
    }

    /// A number of ours.
    pub(super) fn new_number(self, number: f64) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: there is room for one value.
        let status = unsafe { (self.functions.create_double)(self.env, number, &raw mut value) };
        if status == 0 { value } else { ptr::null_mut() }
    }

    /// Gives `object` a function.
    pub(super) fn define(self, object: Value, name: &CStr, callback: Callback) {
        let mut function = ptr::null_mut();
        // SAFETY: `name` is NUL-terminated, of which the length tells; `callback` lives as long as the process.
        unsafe {
            let length = name.count_bytes();
            let data = ptr::null_mut();
            let made =
                (self.functions.create_function)(self.env, name.as_ptr(), length, callback, data, &raw mut function);
            if made == 0 {
                // Refused in an instance that is being ended, where nobody calls any more.
                (self.functions.set_named_property)(self.env, object, name.as_ptr(), function);
            }
        }
    }
}

/// Node's own, under the declarations of its `js_native_api.h`.
struct Functions {
    create_double: unsafe extern "C" fn(Env, f64, *mut Value) -> Status,
    create_function: unsafe extern "C" fn(Env, *const c_char, usize, Callback, *mut c_void, *mut Value) -> Status,
    create_string_utf8: unsafe extern "C" fn(Env, *const c_char, usize, *mut Value) -> Status,
    get_array_length: unsafe extern "C" fn(Env, Value, *mut u32) -> Status,
    get_cb_info: unsafe extern "C" fn(Env, Call, *mut usize, *mut Value, *mut Value, *mut *mut c_void) -> Status,
    get_element: unsafe extern "C" fn(Env, Value, u32, *mut Value) -> Status,
    get_value_double: unsafe extern "C" fn(Env, Value, *mut f64) -> Status,
    get_value_string_utf8: unsafe extern "C" fn(Env, Value, *mut c_char, usize, *mut usize) -> Status,
    set_named_property: unsafe extern "C" fn(Env, Value, *const c_char, Value) -> Status,
}

impl Functions {
    #[expect(clippy::missing_transmute_annotations, reason = "the types are those of the fields")]
    fn look_up() -> Option<Self> {
        let find = |name: &CStr| {
            // SAFETY: a NUL-terminated name, in what the whole process sees.
            let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            (!address.is_null()).then_some(address)
        };
        // SAFETY: these names are Node's, and their types are its stable ABI's.
        unsafe {
            Some(Self {
                create_double: transmute::<*mut c_void, _>(find(c"napi_create_double")?),
                create_function: transmute::<*mut c_void, _>(find(c"napi_create_function")?),
                create_string_utf8: transmute::<*mut c_void, _>(find(c"napi_create_string_utf8")?),
                get_array_length: transmute::<*mut c_void, _>(find(c"napi_get_array_length")?),
                get_cb_info: transmute::<*mut c_void, _>(find(c"napi_get_cb_info")?),
                get_element: transmute::<*mut c_void, _>(find(c"napi_get_element")?),
                get_value_double: transmute::<*mut c_void, _>(find(c"napi_get_value_double")?),
                get_value_string_utf8: transmute::<*mut c_void, _>(find(c"napi_get_value_string_utf8")?),
                set_named_property: transmute::<*mut c_void, _>(find(c"napi_set_named_property")?),
            })
        }
    }
}
