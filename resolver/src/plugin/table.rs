//! `PluginTable`: what a plugin's entry point returned, checked once and then believed.

use std::ffi::c_void;

use tracer_plugin_api::abi::{
    CreateCall, TRACER_ABI_MAJOR, TRACER_CAP_ASYNC_EXPORT, TRACER_CAP_MUST_UNDERSTAND, TRACER_CAP_OWNS_RETRY,
    TRACER_ENCODING_OTLP_PROTOBUF, TRACER_SIGNAL_METRICS, TRACER_SIGNAL_TRACES, TimedCall, tracer_batch, tracer_code,
    tracer_error, tracer_instance, tracer_plugin, tracer_stats, tracer_str, tracer_validate_args,
};

use super::c_text;
use super::settings_schema::SettingsSchema;

/// A plugin's table with every field checked. Its functions stay callable for as long as the process lives.
#[derive(Debug)]
pub(super) struct PluginTable {
    pub(super) functions: Functions,
    pub(super) type_name: String,
    pub(super) version: String,
    /// Compiler, target, commit: whatever the author put there; may be empty.
    pub(super) build_info: String,
    pub(super) abi_minor: u16,
    pub(super) capabilities: u64,
    /// Bit n: signal n. Has at least one that the host makes.
    pub(super) accepted_signals: u32,
    pub(super) schema: SettingsSchema,
}

/// The functions, none of them null. The header says what each may do, and on which thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Functions {
    pub(super) validate: unsafe extern "C" fn(*const tracer_validate_args, *mut tracer_error) -> tracer_code,
    pub(super) create: CreateCall,
    pub(super) export_batch:
        unsafe extern "C" fn(*mut tracer_instance, *const tracer_batch, u32, *mut tracer_error) -> tracer_code,
    pub(super) flush: TimedCall,
    pub(super) shutdown: TimedCall,
    pub(super) destroy: unsafe extern "C" fn(*mut tracer_instance),
    pub(super) stats: unsafe extern "C" fn(*const tracer_instance, *mut tracer_stats) -> tracer_code,
    pub(super) get_extension: unsafe extern "C" fn(tracer_str) -> *const c_void,
}

impl PluginTable {
    /// Checks a table and copies what it says. The error lists everything that is wrong with it.
    ///
    /// # Safety
    ///
    /// `table` is null, or points to at least four readable bytes that say how many more there are, as the header
    /// demands; all stays as it is for ever.
    pub(super) unsafe fn read(table: *const tracer_plugin, configured_type: &str) -> Result<Self, Vec<String>> {
        // SAFETY: the caller vouches for it.
        let raw = unsafe { raw_copy(table) }.map_err(|defect| vec![defect])?;
        let mut defects = Vec::new();
        let functions = functions(&raw, &mut defects);
        check_pairs_and_capabilities(&raw, &mut defects);
        let mut text = |what: &str, text: tracer_str, longest: usize| {
            // SAFETY: a table's texts are static; the caller vouches for the table.
            unsafe { c_text::copied(text, longest) }.unwrap_or_else(|defect| {
                defects.push(format!("{what} {defect}"));
                String::new()
            })
        };
        let type_name = text("type_name", raw.type_name, 64);
        let version = text("version", raw.version, 64);
        let build_info = text("build_info", raw.build_info, 1024);
        let schema_text = text("config_schema", raw.config_schema, 1 << 20);
        if !is_called(&type_name, configured_type) && !defects.iter().any(|defect| defect.starts_with("type_name")) {
            defects.push(format!(
                "type_name is \"{}\", but the configuration calls it `{configured_type}`",
                c_text::printable(type_name.as_bytes(), 64)
            ));
        }
        let schema = match SettingsSchema::parse(&schema_text) {
            Ok(schema) => Some(schema),
            Err(defect) => {
                if !defects.iter().any(|defect| defect.starts_with("config_schema")) {
                    defects.push(defect);
                }
                None
            }
        };
        match (functions, schema) {
            (Some(functions), Some(schema)) if defects.is_empty() => Ok(Self {
                functions,
                type_name,
                version: c_text::printable(version.as_bytes(), 64),
                build_info: c_text::printable(build_info.as_bytes(), 1024),
                abi_minor: raw.abi_minor,
                capabilities: raw.capabilities,
                accepted_signals: raw.accepted_signals,
                schema,
            }),
            _ => Err(defects),
        }
    }
}

/// Whether a configuration that says `configured` may mean a plugin of this type: it may add to the name, so that two versions
/// of a plugin have two names, `otlp` and `otlp-old`.
pub(super) fn is_called(type_name: &str, configured: &str) -> bool {
    let added = configured.strip_prefix(type_name);
    added.is_some_and(|added| added.is_empty() || added.len() > 1 && added.starts_with(['-', '_']))
}

/// The table, if it is as large as that of ABI 1.0.
///
/// # Safety
///
/// As [`PluginTable::read`].
unsafe fn raw_copy(table: *const tracer_plugin) -> Result<tracer_plugin, String> {
    if !table.is_aligned() {
        return Err(format!("its table is not aligned to {} bytes", align_of::<tracer_plugin>()));
    }
    // SAFETY: the first four bytes are there (the caller) and aligned (just checked).
    let struct_size = unsafe { table.cast::<u32>().read() } as usize;
    if struct_size < size_of::<tracer_plugin>() {
        return Err(format!(
            "its table has {struct_size} bytes, ABI 1.0 needs at least {}: it is built from a header before 1.0, or \
             damaged",
            size_of::<tracer_plugin>()
        ));
    }
    // SAFETY: all of it is there: it says so itself. All bit patterns are valid: functions are `Option`s.
    Ok(unsafe { table.read() })
}

/// All functions, or the names of all that are missing.
fn functions(raw: &tracer_plugin, defects: &mut Vec<String>) -> Option<Functions> {
    let all = [
        ("validate", raw.validate.is_some()),
        ("create", raw.create.is_some()),
        ("export_batch", raw.export_batch.is_some()),
        ("flush", raw.flush.is_some()),
        ("shutdown", raw.shutdown.is_some()),
        ("destroy", raw.destroy.is_some()),
        ("stats", raw.stats.is_some()),
        ("get_extension", raw.get_extension.is_some()),
    ];
    let missing: Vec<_> = all.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        defects.push(format!("these functions are null: {}", missing.join(", ")));
    }
    Some(Functions {
        validate: raw.validate?,
        create: raw.create?,
        export_batch: raw.export_batch?,
        flush: raw.flush?,
        shutdown: raw.shutdown?,
        destroy: raw.destroy?,
        stats: raw.stats?,
        get_extension: raw.get_extension?,
    })
}

fn check_pairs_and_capabilities(raw: &tracer_plugin, defects: &mut Vec<String>) {
    if raw.abi_major != TRACER_ABI_MAJOR {
        defects.push(format!(
            "its table says ABI {}, but came from the entry point of ABI {TRACER_ABI_MAJOR}",
            raw.abi_major
        ));
    }
    // Every signal that is made is made in every encoding: a pair is missing only where one of the two sets is.
    for (field, set, made, names) in [
        (
            "accepted_signals",
            raw.accepted_signals,
            MADE_SIGNALS,
            format!(
                "neither the bit of traces (bit {TRACER_SIGNAL_TRACES}) nor of metrics (bit {TRACER_SIGNAL_METRICS})"
            ),
        ),
        (
            "accepted_encodings",
            raw.accepted_encodings,
            1 << TRACER_ENCODING_OTLP_PROTOBUF,
            format!("no bit of OTLP protobuf (bit {TRACER_ENCODING_OTLP_PROTOBUF})"),
        ),
    ] {
        if set == 0 {
            defects.push(format!("it accepts nothing: {field} is 0"));
        } else if set & made == 0 {
            defects.push(format!("{ACCEPTS_OTHERS}: {field} ({set:#x}) has {names}"));
        }
    }
    // ABI 1.0 defines none of these.
    let unknown = raw.capabilities & TRACER_CAP_MUST_UNDERSTAND;
    if unknown != 0 {
        let bits: Vec<_> = (32..64).filter(|bit| unknown >> bit & 1 == 1).map(named_bit).collect();
        defects.push(format!("{DEMANDS} that this host does not know: bit {}", bits.join(", ")));
    }
}

/// A capability's bit, with what the header calls it.
fn named_bit(bit: u32) -> String {
    match 1_u64 << bit {
        TRACER_CAP_OWNS_RETRY => format!("{bit} (owns retry)"),
        TRACER_CAP_ASYNC_EXPORT => format!("{bit} (asynchronous export)"),
        _ => bit.to_string(),
    }
}

/// Whether a later host may not see this defect as one.
pub(super) fn may_be_newer(defect: &str) -> bool {
    defect.starts_with(DEMANDS) || defect.starts_with(ACCEPTS_OTHERS)
}

/// How defects begin that are none where more is known.
const DEMANDS: &str = "it demands capabilities";
const ACCEPTS_OTHERS: &str = "it accepts nothing that this host makes";

/// What the host makes batches of; all of them as OTLP protobuf.
const MADE_SIGNALS: u32 = 1 << TRACER_SIGNAL_TRACES | 1 << TRACER_SIGNAL_METRICS;
