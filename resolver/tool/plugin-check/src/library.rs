//! `Plugin` and `Instance`: the file that is checked, and one backend of it, by words that need no `unsafe`.
//!
//! Every call tells the desk what it enters, so that a crash has a place. Unlike the host, nothing here is believed that
//! need not be: `rules::table` asks what the table says before anything else is called.

use std::ffi::{CStr, CString, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;
use std::time::{Duration, Instant};

use tracer_plugin_api::abi::{
    TRACER_BATCH_LAST_TRY, TRACER_BATCH_SHUTTING_DOWN, TRACER_CAP_CONCURRENT_EXPORT, TRACER_CAP_NOT_IN_FORKED_CHILDREN,
    TRACER_EXT_AFTER_FORK, TRACER_OK, TRACER_PLUGIN_SYMBOL, TRACER_SIGNAL_METRICS, TRACER_SIGNAL_TRACES,
    tracer_after_fork, tracer_batch, tracer_bytes, tracer_call, tracer_code, tracer_create_args, tracer_instance,
    tracer_plugin, tracer_plugin_entry, tracer_stats, tracer_str, tracer_validate_args,
};

use crate::desk::Desk;
use crate::host::{HostSide, NEWER};
use crate::lent::Lent;
use crate::told::{ErrorRoom, Told};

/// The loaded file. Never unloaded.
#[derive(Clone)]
pub(crate) struct Plugin {
    entry: tracer_plugin_entry,
    desk: Desk,
}

/// The table, once it is known to be one.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) raw: tracer_plugin,
    at: *const tracer_plugin,
    desk: Desk,
}

// SAFETY: the header makes the table constant for as long as the process lives, and all that it points to.
unsafe impl Send for Table {}
// SAFETY: as above: nobody ever writes to it.
unsafe impl Sync for Table {}

/// One backend at work.
pub(crate) struct Instance<'a> {
    pub(crate) table: &'a Table,
    raw: *mut tracer_instance,
    pub(crate) host: HostSide,
}

// SAFETY: successive calls may come from different threads, says the header.
unsafe impl Send for Instance<'_> {}
// SAFETY: the rules call it from several threads only where the plugin claims to bear that, or the header demands it.
unsafe impl Sync for Instance<'_> {}

/// What a call came to.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) code: tracer_code,
    pub(crate) told: Told,
    pub(crate) took: Duration,
}

/// How arguments are lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lending {
    /// As the host does it.
    #[default]
    Plain,
    /// On pages that are taken away when the call returns.
    TakenAway,
    /// As a host of a later minor version: longer structs.
    Newer,
    /// Without a `tracer_error`.
    WithoutError,
    /// As an older host: a `tracer_error` of this many bytes.
    ErrorOf(usize),
}

/// A batch to be exported.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// One of `TRACER_SIGNAL_*`.
    pub(crate) signal: u32,
    pub(crate) body: Vec<u8>,
    pub(crate) items: u32,
    pub(crate) attempt: u32,
    pub(crate) id: u64,
    /// What the try before left.
    pub(crate) cookie: u64,
    /// The host means to make no further try, and is about to end.
    pub(crate) is_last: bool,
}

/// Counters of a plugin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) code: tracer_code,
    pub(crate) in_flight: u32,
    pub(crate) items_sent: u64,
    pub(crate) batches_sent: u64,
    pub(crate) is_overrun: bool,
    pub(crate) took: Duration,
}

impl Plugin {
    /// By the system's loader, as the host does it, on a thread with all signals blocked. Constructors run in here.
    pub(crate) fn load(file: &Path, desk: &Desk) -> Result<Self, String> {
        let path = CString::new(file.as_os_str().as_bytes()).map_err(|_| "its name has a NUL".to_owned())?;
        let symbol = CString::new(TRACER_PLUGIN_SYMBOL).map_err(|_| "no symbol".to_owned())?;
        desk.enters("its constructors");
        // SAFETY: the path is a text that lives on; whatever the constructors do is what is checked.
        let library =
            crate::signals::blocked(|| unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) });
        desk.leaves();
        if library.is_null() {
            return Err(format!("the system's loader refuses it: {}", loader_error()));
        }
        // SAFETY: the library is loaded, and the name a text that lives on.
        let entry = unsafe { libc::dlsym(library, symbol.as_ptr()) };
        if entry.is_null() {
            return Err(format!("it has no symbol {TRACER_PLUGIN_SYMBOL}"));
        }
        // SAFETY: the symbol has this type, by the header.
        let entry = unsafe { std::mem::transmute::<*mut c_void, tracer_plugin_entry>(entry) };
        Ok(Self { entry, desk: desk.clone() })
    }

    /// What the entry point returns to a host of this minor version.
    pub(crate) fn table_for(&self, host_minor: u32) -> *const tracer_plugin {
        self.desk.enters("tracer_plugin_v1");
        // SAFETY: any thread may call it.
        let table = crate::signals::blocked(|| unsafe { (self.entry)(host_minor) });
        self.desk.leaves();
        table
    }

    /// The table at an address that the entry returned, if it is as large as the header's.
    pub(crate) fn table(&self, at: *const tracer_plugin) -> Result<Table, String> {
        if at.is_null() {
            return Err("tracer_plugin_v1 returned NULL".to_owned());
        }
        if !at.is_aligned() {
            return Err(format!("the table is not aligned to {} bytes", align_of::<tracer_plugin>()));
        }
        // SAFETY: not null and aligned; that four bytes are there, the header demands.
        let size = unsafe { at.cast::<u32>().read() } as usize;
        if size < size_of::<tracer_plugin>() {
            return Err(format!("struct_size of the table is {size}, the header's has {}", size_of::<tracer_plugin>()));
        }
        // SAFETY: all of it is there: it says so itself. All bit patterns are valid: functions are `Option`s.
        Ok(Table { raw: unsafe { at.read() }, at, desk: self.desk.clone() })
    }
}

impl Table {
    /// The same in a forked child.
    pub(crate) fn quiet(&self) -> Self {
        Self { desk: self.desk.mute(), ..self.clone() }
    }

    /// Names of functions that are null.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let all = [
            ("validate", self.raw.validate.is_some()),
            ("create", self.raw.create.is_some()),
            ("export_batch", self.raw.export_batch.is_some()),
            ("flush", self.raw.flush.is_some()),
            ("shutdown", self.raw.shutdown.is_some()),
            ("destroy", self.raw.destroy.is_some()),
            ("stats", self.raw.stats.is_some()),
            ("get_extension", self.raw.get_extension.is_some()),
        ];
        all.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect()
    }

    pub(crate) fn type_name(&self) -> Vec<u8> {
        text(self.raw.type_name)
    }

    pub(crate) fn version(&self) -> Vec<u8> {
        text(self.raw.version)
    }

    pub(crate) fn build_info(&self) -> Vec<u8> {
        text(self.raw.build_info)
    }

    pub(crate) fn schema(&self) -> Vec<u8> {
        text(self.raw.config_schema)
    }

    /// Whether batches of this signal may come.
    pub(crate) fn accepts(&self, signal: u32) -> bool {
        self.raw.accepted_signals >> signal & 1 == 1
    }

    /// The signal that it is tried with: traces, unless it takes metrics only.
    pub(crate) fn signal(&self) -> u32 {
        let only_metrics = !self.accepts(TRACER_SIGNAL_TRACES) && self.accepts(TRACER_SIGNAL_METRICS);
        if only_metrics { TRACER_SIGNAL_METRICS } else { TRACER_SIGNAL_TRACES }
    }

    pub(crate) fn exports_concurrently(&self) -> bool {
        self.raw.capabilities & TRACER_CAP_CONCURRENT_EXPORT != 0
    }

    /// The table as it is now, and its texts: to be compared.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        // SAFETY: the table was read from there, has no padding (frozen in `abi`), and is static.
        let table = unsafe { std::slice::from_raw_parts(self.at.cast::<u8>(), size_of::<tracer_plugin>()) };
        [table.to_vec(), self.type_name(), self.version(), self.build_info(), self.schema()].concat()
    }

    /// Any thread.
    pub(crate) fn validate(&self, config: &[u8], lending: Lending) -> Result<Reply, io::Error> {
        let Some(validate) = self.raw.validate else { return Err(io::ErrorKind::NotFound.into()) };
        let mut room = lending.error_room();
        let (config_json, lent) = lent_text(config, lending)?;
        let struct_size = lending.size_of::<tracer_validate_args>();
        let args = tracer_validate_args { struct_size, ..tracer_validate_args::new(config_json, HOSTS_PATIENCE_MS) };
        // SAFETY: the struct has no padding (frozen in `abi`), so all its bytes are initialized.
        let args = unsafe { lent_struct(&args, lending) }?;
        let error = lending.pointer(&mut room);
        self.desk.enters("validate");
        let begun = Instant::now();
        // SAFETY: `args` and `error` outlive the call.
        let code = unsafe { validate(args.address().cast_const().cast(), error) };
        let took = begun.elapsed();
        self.desk.leaves();
        taken_away(&lent, lending)?;
        taken_away(&args, lending)?;
        Ok(Reply { code, told: room.told(), took })
    }

    /// The instance, if there is one; what was said; and whether `*out` was set although there is none.
    pub(crate) fn create(
        &self,
        config: &[u8],
        concurrency: u32,
        host: HostSide,
        lending: Lending,
    ) -> Result<(Option<Instance<'_>>, Reply, bool), io::Error> {
        let Some(create) = self.raw.create else { return Err(io::ErrorKind::NotFound.into()) };
        let mut room = lending.error_room();
        let (config_json, config_lent) = lent_text(config, lending)?;
        let (backend_name, name_lent) = lent_text(b"checked", lending)?;
        let args = tracer_create_args {
            struct_size: lending.size_of::<tracer_create_args>(),
            max_concurrency: concurrency,
            host: host.pointer(),
            backend_name,
            config_json,
            timeout_ms: HOSTS_PATIENCE_MS,
            reserved: 0,
        };
        // SAFETY: the struct has no padding (frozen in `abi`), so all its bytes are initialized.
        let args = unsafe { lent_struct(&args, lending) }?;
        let mut out = UNSET as *mut tracer_instance;
        let error = lending.pointer(&mut room);
        self.desk.enters("create");
        let begun = Instant::now();
        // SAFETY: all arguments outlive the call, `host` the instance.
        let code = unsafe { create(args.address().cast_const().cast(), &mut out, error) };
        let took = begun.elapsed();
        self.desk.leaves();
        taken_away(&config_lent, lending)?;
        taken_away(&name_lent, lending)?;
        taken_away(&args, lending)?;
        let is_set = out as usize != UNSET;
        let reply = Reply { code, told: room.told(), took };
        let instance = (code == TRACER_OK && is_set).then_some(Instance { table: self, raw: out, host });
        let is_wrong = is_set != (code == TRACER_OK);
        Ok((instance, reply, is_wrong))
    }

    /// Where the plugin's extension of this name lies, null if there is none. `None`: a null text.
    pub(crate) fn extension(&self, id: Option<&str>) -> *const c_void {
        let Some(get_extension) = self.raw.get_extension else { return ptr::null() };
        let id = id.map_or(tracer_str { ptr: ptr::null(), len: 0 }, tracer_str::new);
        self.desk.enters("get_extension");
        // SAFETY: `id` outlives the call.
        let found = unsafe { get_extension(id) };
        self.desk.leaves();
        found
    }

    /// What it says of the size of its extension for forks; `None` if it has none.
    pub(crate) fn size_of_after_fork(&self) -> Option<usize> {
        let found = self.extension(Some(TRACER_EXT_AFTER_FORK)).cast::<u32>();
        // SAFETY: under this id such a struct, static, whose first field is this one.
        (!found.is_null()).then(|| unsafe { found.read_unaligned() } as usize)
    }

    /// Whether it is to be left alone in a forked child of the process that loaded it.
    pub(crate) fn stays_behind(&self) -> bool {
        self.raw.capabilities & TRACER_CAP_NOT_IN_FORKED_CHILDREN != 0
    }

    /// In a forked child, before anything else: tells it so, if it wants to know.
    pub(crate) fn wake(&self) {
        let found = self.extension(Some(TRACER_EXT_AFTER_FORK)).cast::<tracer_after_fork>();
        if self.size_of_after_fork().is_none_or(|size| size < size_of::<tracer_after_fork>()) || !found.is_aligned() {
            return;
        }
        // SAFETY: not null, aligned, and as long as it must be: static.
        if let Some(after_fork) = unsafe { found.read() }.after_fork {
            self.desk.enters("after_fork");
            // SAFETY: once in this child, on its only thread.
            unsafe { after_fork() };
            self.desk.leaves();
        }
    }
}

impl Instance<'_> {
    /// Ships one batch.
    pub(crate) fn export(&self, batch: &Batch, timeout: Duration, lending: Lending) -> Result<Reply, io::Error> {
        let Some(export_batch) = self.table.raw.export_batch else { return Err(io::ErrorKind::NotFound.into()) };
        let mut room = lending.error_room();
        let body = Lent::sealed(&batch.body)?;
        let (name, name_lent) = lent_text(b"checked", lending)?;
        // SAFETY: the struct has no padding (frozen in `abi`), so all its bytes are initialized.
        let names = unsafe { lent_struct(&name, Lending::Plain) }?;
        let raw = tracer_batch {
            struct_size: lending.size_of::<tracer_batch>(),
            body: tracer_bytes { ptr: body.address(), len: batch.body.len() },
            attempt: batch.attempt,
            flags: if batch.is_last { TRACER_BATCH_LAST_TRY | TRACER_BATCH_SHUTTING_DOWN } else { 0 },
            retry_cookie: batch.cookie,
            oldest_start_unix_ns: FIRST_START,
            first_attempt_unix_ns: FIRST_START + 1,
            service_names: names.address().cast_const().cast(),
            service_count: 1,
            resource_count: 1,
            ..tracer_batch::first_try(batch.signal, &[], batch.items, batch.id)
        };
        // SAFETY: the struct has no padding (frozen in `abi`), so all its bytes are initialized.
        let raw = unsafe { lent_struct(&raw, lending) }?;
        let error = lending.pointer(&mut room);
        self.table.desk.enters("export_batch");
        let begun = Instant::now();
        // SAFETY: all arguments outlive the call; the instance was created and not destroyed.
        let code = unsafe { export_batch(self.raw, raw.address().cast_const().cast(), millis(timeout), error) };
        let took = begun.elapsed();
        self.table.desk.leaves();
        for lent in [&body, &raw, &names, &name_lent] {
            taken_away(lent, lending)?;
        }
        Ok(Reply { code, told: room.told(), took })
    }

    pub(crate) fn flush(&self, timeout: Duration, lending: Lending) -> Result<Reply, io::Error> {
        let mut room = lending.error_room();
        // SAFETY: the struct has no padding (frozen in `abi`), so all its bytes are initialized.
        let call = unsafe { lent_struct(&lending.call(timeout), lending) }?;
        let args = call.address().cast_const().cast();
        let error = lending.pointer(&mut room);
        self.table.desk.enters("flush");
        let begun = Instant::now();
        // SAFETY: `args` and `error` outlive the call; the instance was created and not destroyed.
        let code = self.table.raw.flush.map_or(TRACER_OK, |flush| unsafe { flush(self.raw, args, error) });
        let took = begun.elapsed();
        self.table.desk.leaves();
        taken_away(&call, lending)?;
        Ok(Reply { code, told: room.told(), took })
    }

    pub(crate) fn shutdown(&self, timeout: Duration, lending: Lending) -> Result<Reply, io::Error> {
        let mut room = lending.error_room();
        // SAFETY: the struct has no padding (frozen in `abi`), so all its bytes are initialized.
        let call = unsafe { lent_struct(&lending.call(timeout), lending) }?;
        let args = call.address().cast_const().cast();
        let error = lending.pointer(&mut room);
        self.table.desk.enters("shutdown");
        let begun = Instant::now();
        let shutdown = self.table.raw.shutdown;
        // SAFETY: as `flush`; the rules call it once.
        let code = shutdown.map_or(TRACER_OK, |shutdown| unsafe { shutdown(self.raw, args, error) });
        let took = begun.elapsed();
        self.table.desk.leaves();
        taken_away(&call, lending)?;
        Ok(Reply { code, told: room.told(), took })
    }

    /// Frees it, and takes the host's struct away.
    pub(crate) fn destroy(self) -> Result<HostSide, io::Error> {
        self.table.desk.enters("destroy");
        if let Some(destroy) = self.table.raw.destroy {
            // SAFETY: the last call of this instance.
            unsafe { destroy(self.raw) };
        }
        self.table.desk.leaves();
        self.host.take_away()?;
        Ok(self.host)
    }

    /// The counters, into a struct that says it has `size` bytes.
    pub(crate) fn stats(&self, size: usize) -> Counted {
        let mut words = [CANARY; STATS_WORDS];
        for word in words.iter_mut().take(size / 8) {
            *word = 0;
        }
        if let Some(first) = words.first_mut() {
            // The first half in memory is `struct_size`, the other `in_flight`.
            let [a, b, c, d] = (size as u32).to_ne_bytes();
            *first = u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]);
        }
        self.table.desk.enters("stats");
        let begun = Instant::now();
        let out = words.as_mut_ptr().cast::<tracer_stats>();
        // SAFETY: there is more room than `struct_size` says; any thread may ask between create and destroy.
        let code = self.table.raw.stats.map_or(TRACER_OK, |stats| unsafe { stats(self.raw, out) });
        let took = begun.elapsed();
        self.table.desk.leaves();
        let word = |at: usize| words.get(at).copied().filter(|_| (at + 1) * 8 <= size).unwrap_or_default();
        let [_, _, _, _, a, b, c, d] = word(0).to_ne_bytes();
        Counted {
            code,
            in_flight: u32::from_ne_bytes([a, b, c, d]),
            items_sent: word(1),
            batches_sent: word(3),
            is_overrun: words.iter().skip(size / 8).any(|word| *word != CANARY),
            took,
        }
    }
}

impl Lending {
    fn error_room(self) -> ErrorRoom {
        match self {
            Self::ErrorOf(size) => ErrorRoom::of_size(size),
            Self::Newer => ErrorRoom::of_size(size_of::<tracer_plugin_api::abi::tracer_error>() + NEWER),
            _ => ErrorRoom::new(),
        }
    }

    fn pointer(self, room: &mut ErrorRoom) -> *mut tracer_plugin_api::abi::tracer_error {
        if self == Self::WithoutError { ptr::null_mut() } else { room.pointer() }
    }

    fn call(self, timeout: Duration) -> tracer_call {
        tracer_call { struct_size: self.size_of::<tracer_call>(), ..tracer_call::within(millis(timeout)) }
    }

    fn size_of<T>(self) -> u32 {
        (size_of::<T>() + if self == Self::Newer { NEWER } else { 0 }) as u32
    }
}

/// A text that ends where the page ends: it is not NUL-terminated, and who reads on faults.
fn lent_text(bytes: &[u8], _lending: Lending) -> Result<(tracer_str, Lent), io::Error> {
    let lent = Lent::sealed(bytes)?;
    let ptr = if bytes.is_empty() { ptr::null() } else { lent.address().cast_const() };
    Ok((tracer_str { ptr, len: bytes.len() }, lent))
}

/// # Safety
///
/// `T` has no padding.
unsafe fn lent_struct<T>(it: &T, lending: Lending) -> Result<Lent, io::Error> {
    // SAFETY: the caller's promise; the bytes are copied at once.
    let mut bytes = unsafe { std::slice::from_raw_parts(ptr::from_ref(it).cast::<u8>(), size_of::<T>()) }.to_vec();
    bytes.resize(lending.size_of::<T>() as usize, 0xa5);
    Lent::sealed(&bytes)
}

fn taken_away(lent: &Lent, lending: Lending) -> Result<(), io::Error> {
    if lending == Lending::TakenAway { lent.take_away() } else { Ok(()) }
}

fn millis(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)
}

fn text(text: tracer_str) -> Vec<u8> {
    // SAFETY: a table's texts are static, says the header.
    unsafe { text.as_bytes() }.to_vec()
}

fn loader_error() -> String {
    // SAFETY: the text belongs to this thread until its next call of the loader, and is copied.
    unsafe {
        let error = libc::dlerror();
        if error.is_null() { String::new() } else { CStr::from_ptr(error).to_string_lossy().into_owned() }
    }
}

/// As long as the host waits for validate and create.
const HOSTS_PATIENCE_MS: u32 = 10_000;
/// A moment in 2023, as the first span of a sample batch has it.
const FIRST_START: u64 = 1_700_000_000_000_000_000;
/// What `*out` is before `create`: no instance has such an address.
const UNSET: usize = 0x5a5a_5a58;
const CANARY: u64 = 0xa5a5_a5a5_a5a5_a5a5;
/// The header's struct and as much again.
const STATS_WORDS: usize = 2 * size_of::<tracer_stats>() / 8;
