//! Plugins in C and C++, written from the header alone, work through `abi.rs`; the README's is one of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

#[path = "support/compile.rs"]
mod compile;

use std::ffi::{c_char, c_void};
use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;
use std::sync::{LazyLock, Mutex};

use compile::{Language, compile, scratch};
use tracer_plugin_api::abi::*;

const SHARED: &[&str] = &["-shared", "-fPIC", "-fvisibility=hidden"];
const ONE_SYMBOL: &str = concat!("-Wl,--version-script=", env!("CARGO_MANIFEST_DIR"), "/include/tracer_plugin.map");

/// The C example of the README, compiled by the command line it gives.
static README_PLUGIN: LazyLock<PathBuf> = LazyLock::new(|| {
    let readme = include_str!("../README.md");
    let (_, from_code) = readme.split_once("```c\n").unwrap();
    let (code, _) = from_code.split_once("```").unwrap();
    let (source, library) = (scratch("tally.c"), scratch("libtracer_plugin_tally.so"));
    std::fs::write(&source, code).unwrap();
    assert!(readme.contains(&format!("cc -std=c99 -O2 {} -I include tally.c", SHARED.join(" "))));
    assert_eq!(compile(Language::C99, &source, &library, &[SHARED, &["-O2"]].concat()), Some(Ok(())));
    library
});

#[test]
fn the_c_plugin_of_the_readme_lives_its_whole_life() {
    let plugin = load(&README_PLUGIN);
    // SAFETY: a static table of the library's, which stays loaded.
    let name = unsafe { plugin.type_name.as_bytes() };
    assert_eq!(name, b"tally");

    let lines = Mutex::new(Vec::new());
    let host = host_that_logs_to(&lines);
    let mut instance = ptr::null_mut();
    let mut error = tracer_error::new();
    let args = tracer_create_args {
        struct_size: size_of::<tracer_create_args>() as u32,
        max_concurrency: 1,
        host: &host,
        backend_name: tracer_str::new("counted"),
        config_json: tracer_str::new("{}"),
        timeout_ms: 1000,
        reserved: 0,
    };
    let mut stats = tracer_stats::new();
    // SAFETY: the header's order of calls, with structs of ours that outlive each.
    unsafe {
        assert_eq!(plugin.validate.unwrap()(&validate_args("{}"), &mut error), TRACER_OK);
        assert_eq!(plugin.create.unwrap()(&args, &mut instance, &mut error), TRACER_OK);
        assert_eq!(plugin.export_batch.unwrap()(instance, &batch(7, 1), 1000, &mut error), TRACER_OK);
        assert_eq!(plugin.export_batch.unwrap()(instance, &batch(7, 9), 1000, &mut error), TRACER_ERR_UNSUPPORTED);
        assert_eq!(plugin.flush.unwrap()(instance, &tracer_call::within(0), &mut error), TRACER_OK);
        assert_eq!(plugin.stats.unwrap()(instance, &mut stats), TRACER_OK);
        assert_eq!(plugin.shutdown.unwrap()(instance, &tracer_call::within(1000), &mut error), TRACER_OK);
        plugin.destroy.unwrap()(instance);
        assert!(plugin.get_extension.unwrap()(tracer_str::new("tracer_plugin.sampler/1")).is_null());
    }
    assert_eq!(stats.items_sent, 7);
    assert_eq!((error.code, text(&error.message)), (TRACER_ERR_UNSUPPORTED, "only OTLP protobuf is supported"));
    assert_eq!(*lines.lock().unwrap(), ["3 tally: 7 spans in 4 bytes"]);
}

#[test]
fn the_c_plugin_of_the_readme_exports_one_symbol() {
    assert_eq!(exported_symbols(&README_PLUGIN), [TRACER_PLUGIN_SYMBOL]);
}

#[test]
fn an_exception_in_a_cpp_plugin_stops_at_its_boundary() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/throwing.cc");
    let library = scratch("throwing.so");
    let hidden = ["-static-libstdc++", "-static-libgcc", ONE_SYMBOL];
    let Some(result) = compile(Language::Cpp11, &source, &library, &[SHARED, &hidden].concat()) else { return };
    assert_eq!(result, Ok(()));
    assert_eq!(exported_symbols(&library), [TRACER_PLUGIN_SYMBOL]);
    let unlucky = |name: &'static str, settings: &'static str| {
        let plugin = load(&library);
        let mut instance = ptr::dangling_mut();
        let mut error = tracer_error::new();
        let lines = Mutex::new(Vec::new());
        let host = host_that_logs_to(&lines);
        let args = tracer_create_args {
            struct_size: size_of::<tracer_create_args>() as u32,
            max_concurrency: 1,
            host: &host,
            backend_name: tracer_str::new(name),
            config_json: tracer_str::new(settings),
            timeout_ms: 1000,
            reserved: 0,
        };
        // SAFETY: everything outlives the call.
        let code = unsafe { plugin.create.unwrap()(&args, &mut instance, &mut error) };
        assert_eq!(instance, ptr::dangling_mut(), "out is left alone");
        (code, text(&error.field).to_owned(), text(&error.message).to_owned())
    };
    let refused = unlucky("lucky", "{\"luck\": 1}");
    assert_eq!(refused, (TRACER_ERR_CONFIG, "/luck".to_owned(), "there is none".to_owned()));
    let threw = unlucky("unlucky", "{}");
    assert_eq!(threw, (TRACER_ERR_PANIC, String::new(), "std::runtime_error: a black cat".to_owned()));

    let plugin = load(&library);
    let lines = Mutex::new(Vec::new());
    let host = host_that_logs_to(&lines);
    let mut instance = ptr::null_mut();
    let mut error = tracer_error::new();
    let args = tracer_create_args {
        struct_size: size_of::<tracer_create_args>() as u32,
        max_concurrency: 1,
        host: &host,
        backend_name: tracer_str::new("thirteen"),
        config_json: tracer_str::EMPTY,
        timeout_ms: 1000,
        reserved: 0,
    };
    let mut stats = tracer_stats::new();
    // SAFETY: the header's order of calls, with structs of ours that outlive each.
    unsafe {
        assert_eq!(plugin.create.unwrap()(&args, &mut instance, &mut error), TRACER_OK);
        assert_eq!(plugin.export_batch.unwrap()(instance, &batch(12, 1), 1000, &mut error), TRACER_OK);
        assert_eq!(plugin.export_batch.unwrap()(instance, &batch(12, 9), 1000, &mut error), TRACER_ERR_UNSUPPORTED);
        let again = tracer_batch { retry_cookie: 41, ..batch(15, 1) };
        assert_eq!(plugin.export_batch.unwrap()(instance, &again, 1000, &mut error), TRACER_ERR_RETRYABLE);
        assert_eq!((error.retry_after_ms, error.retry_cookie, text(&error.message)), (1500, 42, "busy"));
        let forks = plugin.get_extension.unwrap()(tracer_str::new(TRACER_EXT_AFTER_FORK)).cast::<tracer_after_fork>();
        assert_eq!((*forks).struct_size as usize, size_of::<tracer_after_fork>());
        // It throws: that is contained as everywhere.
        (*forks).after_fork.unwrap()();
        assert_eq!(plugin.stats.unwrap()(instance, &mut stats), TRACER_OK);
        assert_eq!(stats.reconnects, 1);
        assert!(plugin.get_extension.unwrap()(tracer_str::new("tracer_plugin.after-fork/2")).is_null());
        stats.struct_size = 16;
        stats.items_rejected = 99;
        assert_eq!(plugin.stats.unwrap()(instance, &mut stats), TRACER_OK);
        assert_eq!((stats.struct_size, stats.items_sent, stats.items_rejected), (16, 12, 99), "up to its size");
        assert_eq!(plugin.export_batch.unwrap()(instance, &batch(13, 1), 1000, &mut error), TRACER_ERR_PANIC);
        assert_eq!(text(&error.message), "std::runtime_error: thirteen is superstitious");
        assert_eq!(plugin.export_batch.unwrap()(instance, &batch(1, 1), 1000, &mut error), TRACER_ERR_PANIC);
        assert_eq!(text(&error.message), "an earlier call threw");
        plugin.destroy.unwrap()(instance);
        assert_eq!(plugin.create.unwrap()(&args, &mut instance, &mut error), TRACER_OK);
        assert_eq!(plugin.export_batch.unwrap()(instance, &batch(14, 1), 1000, &mut error), TRACER_ERR_PANIC);
        assert_eq!(text(&error.message), "(anonymous namespace)::Superstition");
        plugin.destroy.unwrap()(instance);
    }
    assert!(lines.lock().unwrap().contains(&"4 throwing: 12 spans".to_owned()));
}

fn load(path: &Path) -> &'static tracer_plugin {
    // SAFETY: a library of ours without constructors.
    let library = unsafe { libloading::Library::new(path) }.unwrap();
    // SAFETY: the symbol has this type, by the header.
    let entry = *unsafe { library.get::<tracer_plugin_entry>(TRACER_PLUGIN_SYMBOL.as_bytes()) }.unwrap();
    std::mem::forget(library); // Never unloaded, as the header promises.
    // SAFETY: pure, and the table is static.
    unsafe {
        let table = entry(u32::from(TRACER_ABI_MINOR));
        assert!(ptr::eq(table, entry(u32::from(TRACER_ABI_MINOR))));
        table.as_ref().unwrap()
    }
}

fn batch(item_count: u32, encoding: u32) -> tracer_batch {
    tracer_batch { encoding, ..tracer_batch::first_try(TRACER_SIGNAL_TRACES, b"otlp", item_count, 1) }
}

fn validate_args(config_json: &str) -> tracer_validate_args {
    tracer_validate_args::new(tracer_str::new(config_json), 1000)
}

fn host_that_logs_to(lines: &Mutex<Vec<String>>) -> tracer_host {
    unsafe extern "C" fn log(ctx: *mut c_void, level: u32, target: tracer_str, message: tracer_str) {
        // SAFETY: `ctx` is the list below; the texts are lent until we return.
        let (lines, target, message) =
            unsafe { (&*ctx.cast::<Mutex<Vec<String>>>(), target.as_bytes(), message.as_bytes()) };
        let line = format!("{level} {}: {}", String::from_utf8_lossy(target), String::from_utf8_lossy(message));
        lines.lock().unwrap().push(line);
    }
    tracer_host {
        struct_size: size_of::<tracer_host>() as u32,
        abi_major: TRACER_ABI_MAJOR,
        abi_minor: TRACER_ABI_MINOR,
        name: tracer_str::new("test"),
        version: tracer_str::new("0"),
        ctx: ptr::from_ref(lines).cast_mut().cast(),
        log: Some(log),
        get_extension: None,
        is_logged: None,
        is_export_thread: None,
    }
}

fn exported_symbols(library: &Path) -> Vec<String> {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next_back()).map(str::to_owned).collect()
}

fn text(fixed: &[u8]) -> &str {
    let end = fixed.iter().position(|byte| *byte == 0).unwrap_or_else(|| panic!("not terminated"));
    // `c_char` is i8 or u8, by the platform: the table has bytes either way.
    assert_eq!(size_of::<c_char>(), 1);
    std::str::from_utf8(fixed.split_at(end).0).unwrap()
}
