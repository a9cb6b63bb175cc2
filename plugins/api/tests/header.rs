//! The header compiles where it says so, and means the same as `abi.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

#[path = "support/compile.rs"]
mod compile;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::process::Command;

use compile::{Language, TODAY, compile, compile_with, scratch};
use tracer_plugin_api::abi::*;

const HEADER: &str = include_str!("../include/tracer_plugin.h");

#[test]
fn the_header_compiles_as_c99_and_as_cpp11_without_a_warning() {
    for (language, file) in [(Language::C99, "only_header.c"), (Language::Cpp11, "only_header.cc")] {
        let source = scratch(file);
        std::fs::write(&source, "#include \"tracer_plugin.h\"\n#include \"tracer_plugin.h\"\n").unwrap();
        if let Some(result) = compile(language, &source, &scratch("only_header.o"), &["-c"]) {
            assert_eq!(result, Ok(()), "{language:?}");
        }
    }
}

#[test]
fn a_header_whose_layout_has_changed_does_not_compile() {
    for (old, new, alarm) in [
        ("char message[384]", "char message[392]", "tracer_assert_error"),
        ("    tracer_str build_info;", "", "tracer_assert_functions"),
        ("    tracer_str backend_name;", "", "tracer_assert_create_args"),
        ("void (*after_fork)(void);", "", "tracer_assert_after_fork"),
        ("sizeof(void *) == 8", "sizeof(void *) == 4", "tracer_assert_64_bit_only"),
    ] {
        assert_eq!(HEADER.matches(old).count(), 1, "{old}");
        let source = scratch("changed.c");
        std::fs::write(&source, HEADER.replace(old, new)).unwrap();
        let result = compile(Language::C99, &source, &scratch("changed.o"), &["-c"]).unwrap();
        assert!(result.clone().is_err_and(|why| why.contains(alarm)), "{old}: {result:?}");
    }
}

#[test]
fn every_field_lies_at_the_same_place_in_c_and_in_rust() {
    let rust = rust_layout();
    assert_eq!(run_c(TODAY, "layout", &layout_program(rust.keys())), rust);
}

/// What was frozen with 1.0: structs, fields and constants, a line each, with offset and size, or with the value.
fn frozen() -> BTreeMap<String, (u64, u64)> {
    numbers(include_str!("abi_1_0/layout.txt"))
}

const OF_1_0: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/abi_1_0");

fn is_constant(name: &str) -> bool {
    name.starts_with("TRACER_")
}

#[test]
fn the_header_of_1_0_has_the_layout_that_was_noted_of_it() {
    let frozen = frozen();
    let constants: Vec<_> = frozen.keys().filter(|name| is_constant(name)).cloned().collect();
    let mut of_header =
        run_c(OF_1_0, "frozen_layout", &layout_program(frozen.keys().filter(|name| !is_constant(name))));
    of_header.extend(run_c(OF_1_0, "frozen_constants", &constants_program(&constants)));
    assert_eq!(of_header, frozen);
}

/// Structs of a later minor version may be longer, and lists have more; whatever 1.0 had is where and what it was.
#[test]
fn whatever_1_0_had_is_in_today_s_header_where_it_was() {
    let today = rust_layout();
    let constants: BTreeMap<_, _> =
        rust_constants().into_iter().map(|(name, value)| (format!("TRACER_{name}"), value)).collect();
    for (name, frozen) in frozen() {
        let found = if is_constant(&name) { constants.get(&name) } else { today.get(&name) };
        let found = *found.unwrap_or_else(|| panic!("{name} is gone"));
        match name.as_str() {
            "TRACER_ABI_MINOR" => assert!(found >= frozen),
            // The caller's, or the library's, and begins with its size.
            _ if !is_constant(&name) && !name.contains('.') && today.contains_key(&format!("{name}.struct_size")) => {
                assert!(found >= frozen, "{name} is shorter than it was");
            }
            _ => assert_eq!(found, frozen, "{name}"),
        }
    }
    let has_minor_0 = TRACER_ABI_MINOR == 0;
    assert!(!has_minor_0 || today.len() + constants.len() == frozen().len(), "1.0 has more than was frozen");
}

/// Its words may become clearer; what a compiler reads may not change without a new minor version.
#[test]
fn the_code_of_the_header_is_that_of_1_0_as_long_as_it_says_so() {
    let of_1_0 = include_str!("abi_1_0/tracer_plugin.h");
    assert!(HEADER.contains(&format!("#define TRACER_ABI_MINOR {TRACER_ABI_MINOR}\n")));
    if TRACER_ABI_MINOR == 0 {
        assert_eq!(without_comments(HEADER), without_comments(of_1_0));
    }
    assert!(HEADER.contains("ABI 1 is frozen") && HEADER.contains(" * CHANGES SINCE 1.0\n"));
}

/// What authors take is what the tag holds. An archive of the source has no tags, and a clone may have been made without them.
#[test]
fn the_frozen_header_is_that_of_the_tag() {
    const TAGGED: &str = "plugin-contract-1.0:plugins/api/include/tracer_plugin.h";
    let asked = Command::new("git").args(["show", TAGGED]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    match asked {
        Ok(tagged) if tagged.status.success() => {
            assert!(tagged.stdout == include_bytes!("abi_1_0/tracer_plugin.h"), "it is not the header of 1.0 any more");
        }
        _ => {
            let line = "SKIPPED: plugins/api/tests/header.rs: the tag plugin-contract-1.0 is not here\n";
            // Not captured, unlike what is printed.
            std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        }
    }
}

/// As the compiler sees it: words with one blank between.
fn without_comments(header: &str) -> String {
    let mut code = String::new();
    for part in header.split("/*") {
        code.push_str(part.split_once("*/").map_or(if code.is_empty() { part } else { "" }, |(_, code)| code));
    }
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prints each struct with its size, each `struct.field` with its offset and size.
fn layout_program<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let mut program = String::from(PROLOGUE);
    for name in names {
        match name.split_once('.') {
            Some((of, field)) => writeln!(
                program,
                "printf(\"{name} %zu %zu\\n\", offsetof({of}, {field}), sizeof((({of} *)0)->{field}));"
            ),
            None => writeln!(program, "printf(\"{name} 0 %zu\\n\", sizeof({name}));"),
        }
        .unwrap();
    }
    program + "return 0; }\n"
}

/// Prints each constant with its value.
fn constants_program(names: &[String]) -> String {
    let mut program = String::from(PROLOGUE);
    for name in names {
        writeln!(program, "printf(\"{name} %llu 0\\n\", (unsigned long long){name});").unwrap();
    }
    program + "return 0; }\n"
}

const PROLOGUE: &str = "#include \"tracer_plugin.h\"\n#include <stdio.h>\nint main(void) {\n";

#[test]
fn every_constant_of_the_header_has_the_same_value_in_rust() {
    let rust = rust_constants();
    let names: Vec<&str> = HEADER
        .lines()
        .filter_map(|line| line.strip_prefix("#define TRACER_"))
        .filter_map(|rest| rest.split_once(' '))
        .map(|(name, _)| name)
        .filter(|name| !["HAS(", "PLUGIN_EXPORT", "PLUGIN_SYMBOL", "EXT_"].iter().any(|word| name.starts_with(word)))
        .collect();
    assert!(HEADER.contains(&format!("#define TRACER_EXT_AFTER_FORK \"{TRACER_EXT_AFTER_FORK}\"\n")));
    assert_eq!(names.len(), rust.len(), "a constant is missing on one side: {names:?}");
    let names: Vec<_> = names.into_iter().map(|name| format!("TRACER_{name}")).collect();
    let rust: BTreeMap<_, _> = rust.into_iter().map(|(name, value)| (format!("TRACER_{name}"), value)).collect();
    assert_eq!(run_c(TODAY, "constants", &constants_program(&names)), rust);
}

#[test]
fn the_symbol_has_the_same_name_on_both_sides() {
    assert!(HEADER.contains(&format!("#define TRACER_PLUGIN_SYMBOL \"{TRACER_PLUGIN_SYMBOL}\"")));
    assert!(HEADER.contains(&format!("const tracer_plugin *{TRACER_PLUGIN_SYMBOL}(uint32_t host_minor);")));
    assert!(TRACER_PLUGIN_SYMBOL.ends_with(&format!("_v{TRACER_ABI_MAJOR}")));
}

#[test]
fn tracer_has_sees_a_field_only_if_all_of_it_is_there() {
    let program = r#"
        #include "tracer_plugin.h"
        #include <stdio.h>
        int main(void) {
            tracer_batch b;
            uint32_t size;
            for (size = 0; size <= sizeof b; size++) {
                b.struct_size = size;
                if (TRACER_HAS(&b, tracer_batch, batch_id)) break;
            }
            printf("first %zu 0\n", (size_t)size);
            return 0;
        }
    "#;
    assert_eq!(run_c(TODAY, "has", program), BTreeMap::from([("first".to_owned(), (40, 0))]));
    assert_eq!(tracer_plugin_api::end_of_field!(tracer_batch, batch_id), 40);
}

/// Each struct with its size, each `struct.field` with its offset and size. Does not compile if a field is left out.
fn rust_layout() -> BTreeMap<String, (u64, u64)> {
    let mut layout = BTreeMap::new();
    macro_rules! record {
        ($($struct:ident { $($field:ident),+ })+) => {$(
            let _exhaustive = |it: &$struct| {
                let $struct { $($field: _),+ } = it;
            };
            layout.insert(stringify!($struct).to_owned(), (0, size_of::<$struct>() as u64));
            $(
                let offset = offset_of!($struct, $field);
                let size = tracer_plugin_api::end_of_field!($struct, $field) - offset;
                let name = concat!(stringify!($struct), ".", stringify!($field)).to_owned();
                layout.insert(name, (offset as u64, size as u64));
            )+
        )+};
    }
    record! {
        tracer_str { ptr, len }
        tracer_bytes { ptr, len }
        tracer_error { struct_size, code, retry_after_ms, rejected_items, retry_cookie, field, message }
        tracer_batch {
            struct_size, signal, encoding, item_count, body, batch_id, attempt, flags, retry_cookie,
            oldest_start_unix_ns, first_attempt_unix_ns, service_names, service_count, resource_count
        }
        tracer_validate_args { struct_size, timeout_ms, config_json }
        tracer_call { struct_size, timeout_ms }
        tracer_stats {
            struct_size, in_flight, items_sent, items_rejected, batches_sent, batches_failed, bytes_sent, reconnects
        }
        tracer_host { struct_size, abi_major, abi_minor, name, version, ctx, log, get_extension, is_logged, is_export_thread }
        tracer_create_args { struct_size, max_concurrency, host, backend_name, config_json, timeout_ms, reserved }
        tracer_after_fork { struct_size, reserved, after_fork }
        tracer_plugin {
            struct_size, abi_major, abi_minor, capabilities, accepted_signals, accepted_encodings, type_name, version,
            build_info, config_schema, validate, create, export_batch, flush, shutdown, destroy, stats, get_extension,
            reconfigure
        }
    }
    layout
}

fn rust_constants() -> BTreeMap<String, (u64, u64)> {
    [
        ("ABI_MAJOR", u64::from(TRACER_ABI_MAJOR)),
        ("ABI_MINOR", u64::from(TRACER_ABI_MINOR)),
        ("OK", TRACER_OK as u64),
        ("ERR_CONFIG", TRACER_ERR_CONFIG as u64),
        ("ERR_RETRYABLE", TRACER_ERR_RETRYABLE as u64),
        ("ERR_PERMANENT", TRACER_ERR_PERMANENT as u64),
        ("ERR_PARTIAL", TRACER_ERR_PARTIAL as u64),
        ("ERR_TIMEOUT", TRACER_ERR_TIMEOUT as u64),
        ("ERR_SHUTDOWN", TRACER_ERR_SHUTDOWN as u64),
        ("ERR_PANIC", TRACER_ERR_PANIC as u64),
        ("ERR_UNSUPPORTED", TRACER_ERR_UNSUPPORTED as u64),
        ("ERR_INTERNAL", TRACER_ERR_INTERNAL as u64),
        ("ERR_CREDENTIALS", TRACER_ERR_CREDENTIALS as u64),
        ("BATCH_LAST_TRY", u64::from(TRACER_BATCH_LAST_TRY)),
        ("BATCH_SHUTTING_DOWN", u64::from(TRACER_BATCH_SHUTTING_DOWN)),
        ("SIGNAL_TRACES", u64::from(TRACER_SIGNAL_TRACES)),
        ("SIGNAL_METRICS", u64::from(TRACER_SIGNAL_METRICS)),
        ("SIGNAL_LOGS", u64::from(TRACER_SIGNAL_LOGS)),
        ("ENCODING_OTLP_PROTOBUF", u64::from(TRACER_ENCODING_OTLP_PROTOBUF)),
        ("CAP_CONCURRENT_EXPORT", TRACER_CAP_CONCURRENT_EXPORT),
        ("CAP_NOT_IN_FORKED_CHILDREN", TRACER_CAP_NOT_IN_FORKED_CHILDREN),
        ("CAP_NETWORK", TRACER_CAP_NETWORK),
        ("CAP_MUST_UNDERSTAND", TRACER_CAP_MUST_UNDERSTAND),
        ("CAP_OWNS_RETRY", TRACER_CAP_OWNS_RETRY),
        ("CAP_ASYNC_EXPORT", TRACER_CAP_ASYNC_EXPORT),
        ("LOG_ERROR", u64::from(TRACER_LOG_ERROR)),
        ("LOG_WARN", u64::from(TRACER_LOG_WARN)),
        ("LOG_INFO", u64::from(TRACER_LOG_INFO)),
        ("LOG_DEBUG", u64::from(TRACER_LOG_DEBUG)),
        ("LOG_TRACE", u64::from(TRACER_LOG_TRACE)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), (value, 0)))
    .collect()
}

/// Compiles and runs a C program that prints lines of a name and two numbers, with the header in this folder.
fn run_c(include: &str, name: &str, program: &str) -> BTreeMap<String, (u64, u64)> {
    let (source, binary) = (scratch(&format!("{name}.c")), scratch(name));
    std::fs::write(&source, program).unwrap();
    assert_eq!(compile_with(include, Language::C99, &source, &binary, &[]), Some(Ok(())));
    let output = Command::new(&binary).output().unwrap();
    assert!(output.status.success());
    numbers(&String::from_utf8(output.stdout).unwrap())
}

fn numbers(lines: &str) -> BTreeMap<String, (u64, u64)> {
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [name, first, second] => (name.to_owned(), (first.parse().unwrap(), second.parse().unwrap())),
            _ => panic!("unexpected line {line:?}"),
        })
        .collect()
}
