//! Every plugin that must be refused, and the very words with which it is.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;
use crate::config::Variables;

/// The text with which `sample` from this folder is refused.
fn refusal(folder: &Folder) -> String {
    folder.hide_in(&loader(Trust::Lenient).load("sample", &folder.plugins()).unwrap_err())
}

fn refusal_of(plugin: &CPlugin) -> String {
    let folder = Folder::new();
    plugin.install(&folder);
    refusal(&folder)
}

/// What is said of a table's defects.
fn defective(defects: &str) -> String {
    format!(
        "P106 plugin `sample`: DIR/libtracer_plugin_sample.so breaks the plugin contract:\n  {defects}\n\
         help: this is a defect of the plugin: tell its author"
    )
}

#[test]
fn the_plugin_that_all_others_here_are_variants_of_is_accepted() {
    let folder = Folder::new();
    CPlugin::default().install(&folder);
    let library = loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
    assert_eq!((library.type_name(), library.version()), ("sample", "1.2.3"));
    assert!(!library.exports_concurrently());
    assert_eq!(
        library.description().replace(folder.0.to_str().unwrap(), "DIR"),
        "plugin `sample` 1.2.3 (ABI 1.0) from DIR/libtracer_plugin_sample.so"
    );
}

#[test]
fn a_plugin_that_is_nowhere_is_reported_with_every_place_that_was_searched() {
    let (first, second) = (Folder::new(), Folder::new());
    fs::write(first.join("libtracer_plugin_other.so"), "").unwrap();
    fs::write(first.join("libother.so"), "").unwrap();
    let plugins = Plugins { dirs: vec![first.0.clone(), second.0.clone()], entries: Vec::new(), ..Plugins::default() };
    let loader = Loader::for_test(Trust::Strict, vec![PathBuf::from("/nonexistent")], PluginFile::sealed_copy);
    let error = loader.load("sample", &plugins).unwrap_err();
    assert_eq!(
        first.hide_in(&error).replace(second.0.to_str().unwrap(), "DIR2"),
        "P101 plugin `sample`: libtracer_plugin_sample.so is in none of the places searched:\n  \
         DIR/libtracer_plugin_sample.so: no such file\n  \
         DIR2/libtracer_plugin_sample.so: no such file\n  \
         /nonexistent/libtracer_plugin_sample.so: no such folder\n\
         help: install libtracer_plugin_sample.so in one of these, or set `file` in [plugins.sample]; \
         plugins found there: other"
    );
}

#[test]
fn a_name_that_is_wrong_in_a_known_way_gets_a_hint() {
    let folder = Folder::new();
    fs::write(folder.join("libtracer_plugin_datadog.so"), "").unwrap();
    let help = |name: &str| loader(Trust::Strict).load(name, &folder.plugins()).unwrap_err().help();
    assert_eq!(help("console"), "here it is called `file`: plugin = \"file\"");
    assert_eq!(help("OTLP_HTTP"), "here it is called `otlp`: plugin = \"otlp\"");
    assert_eq!(
        help("jaeger"),
        "install libtracer_plugin_jaeger.so in one of these, or set `file` in [plugins.jaeger]; it is built by the \
         package tracer-plugin-jaeger"
    );
    assert!(help("jeager").starts_with("did you mean `jaeger`? Otherwise install libtracer_plugin_jeager.so in"));
    assert!(help("datadgo").starts_with("did you mean `datadog`?"));
}

#[test]
fn a_relative_path_is_refused_whatever_the_working_directory_holds() {
    for file in ["./libtracer_plugin_sample.so", "../x.so", "sub/x.so", "", ".."] {
        let error = loader(Trust::Strict).load("sample", &pinned(Path::new(file), None)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "plugin `sample`: `{file}` is neither an absolute path nor a bare file name\n\
                 help: write an absolute path, or a file name, which is looked for in `plugins.dirs`"
            )
        );
    }
}

#[test]
fn the_working_directory_and_ld_library_path_are_never_searched() {
    // A test's working directory is its package: if this were searched, the loader would say that it is no ELF file.
    let error = loader(Trust::Strict).load("sample", &pinned(Path::new("Cargo.toml"), None)).unwrap_err();
    assert!(matches!(error.failure, LoadFailure::NotFound { ref tried, .. } if tried.is_empty()), "{error}");
    // Nor is a folder that was not made absolute.
    let plugins = Plugins {
        dirs: vec![PathBuf::from(".")],
        entries: vec![entry(Some(Path::new("Cargo.toml")), None)],
        ..Plugins::default()
    };
    let error = loader(Trust::Strict).load("sample", &plugins).unwrap_err();
    assert!(matches!(error.failure, LoadFailure::NotFound { ref tried, .. } if tried.is_empty()), "{error}");
}

#[test]
fn a_file_that_is_no_shared_object_is_refused_in_the_systems_words() {
    let folder = Folder::new();
    fs::write(folder.join("libtracer_plugin_sample.so"), "#!/bin/sh\n").unwrap();
    assert_eq!(
        refusal(&folder),
        "P105 plugin `sample`: DIR/libtracer_plugin_sample.so cannot be loaded: DIR/libtracer_plugin_sample.so: file too \
         short\nhelp: install a plugin built for this system: same processor, a C library no newer than this one"
    );
}

#[test]
fn a_directory_a_pipe_and_a_broken_link_are_refused_and_not_waited_for() {
    let folder = Folder::new();
    let path = folder.join("libtracer_plugin_sample.so");
    fs::create_dir(&path).unwrap();
    assert_eq!(
        refusal(&folder),
        "P105 plugin `sample`: DIR/libtracer_plugin_sample.so is a directory, not a file\n\
         help: let `file` in [plugins.sample] name the shared object itself"
    );
    fs::remove_dir(&path).unwrap();

    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: `name` is NUL-terminated and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(refusal(&folder).contains("libtracer_plugin_sample.so is a pipe, not a file"), "{}", refusal(&folder));
    fs::remove_file(&path).unwrap();

    symlink(folder.join("gone"), &path).unwrap();
    assert_eq!(
        refusal(&folder),
        "P105 plugin `sample`: DIR/libtracer_plugin_sample.so cannot be read: No such file or directory (os error 2)\n\
         help: give the user of this process the right to read it"
    );
    fs::remove_file(&path).unwrap();

    symlink(&path, &path).unwrap();
    assert!(refusal(&folder).contains("cannot be read: "), "{}", refusal(&folder));
}

#[test]
fn a_broken_plugin_is_an_error_even_if_a_good_one_lies_further_on() {
    let (first, second) = (Folder::new(), Folder::new());
    fs::write(first.join("libtracer_plugin_sample.so"), "not an ELF file, but long enough to look at, surely it is?")
        .unwrap();
    CPlugin::default().install(&second);
    let plugins = Plugins { dirs: vec![first.0.clone(), second.0.clone()], entries: Vec::new(), ..Plugins::default() };
    let error = loader(Trust::Strict).load("sample", &plugins).unwrap_err();
    assert!(matches!(error.failure, LoadFailure::NotLoadable(..)), "{error}");
}

#[test]
fn a_folder_that_may_not_be_searched_ends_no_search_and_is_named() {
    let (closed, open) = (Folder::new(), Folder::new());
    logged();
    CPlugin { version: "9", ..CPlugin::default() }.install(&open);
    fs::set_permissions(&closed.0, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    fs::set_permissions(&open.0, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // SAFETY: this thread alone, should it be root's, looks at files as nobody does.
    unsafe { libc::setfsuid(65534) };
    let with = |dirs: [&Folder; 2]| Plugins { dirs: dirs.map(|dir| dir.0.clone()).to_vec(), ..Plugins::default() };
    assert_eq!(loader(Trust::Lenient).load("sample", &with([&closed, &open])).unwrap().version(), "9");
    let warned = logged_about(closed.0.to_str().unwrap());
    assert!(warned.iter().any(|(_, _, text)| text.contains("its folder may not be searched")), "{warned:?}");
    let error = loader(Trust::Lenient).load("other", &with([&closed, &open])).unwrap_err();
    assert!(error.message().contains("other.so: its folder may not be searched: "), "{error}");
}

#[test]
fn a_symbol_that_is_missing_is_missing_at_load_and_not_at_the_first_export() {
    let source = "extern void nobody_has_this(void); void user(void);\n\
                  __attribute__((visibility(\"default\"))) void user(void) { nobody_has_this(); }";
    let folder = Folder::new();
    compile(source, &folder.join("libtracer_plugin_sample.so"));
    assert!(refusal(&folder).contains("undefined symbol: nobody_has_this"), "{}", refusal(&folder));
}

#[test]
fn a_library_without_the_entry_point_is_no_plugin() {
    assert_eq!(
        refusal_of(&CPlugin { entry: "something_else", ..CPlugin::default() }),
        "P106 plugin `sample`: DIR/libtracer_plugin_sample.so is a library, but no plugin: it has no symbol \
         tracer_plugin_v1\nhelp: let `file` in [plugins.sample] name a tracer-resolver plugin"
    );
}

#[test]
fn a_plugin_of_another_major_version_is_told_apart_from_no_plugin() {
    assert_eq!(
        refusal_of(&CPlugin { entry: "tracer_plugin_v2", ..CPlugin::default() }),
        "P102 plugin `sample`: DIR/libtracer_plugin_sample.so speaks ABI 2, this host speaks ABI 1\n\
         help: upgrade tracer-resolver, or install a version of the plugin for ABI 1"
    );
}

#[test]
fn a_plugin_that_wants_a_newer_host_is_believed() {
    assert_eq!(
        refusal_of(&CPlugin { returns: "0", ..CPlugin::default() }),
        "P102 plugin `sample`: DIR/libtracer_plugin_sample.so refuses this host, which speaks ABI 1.0: it needs a newer one\n\
         help: upgrade tracer-resolver, or install an older version of the plugin"
    );
}

#[test]
fn a_truncated_table_is_refused_before_anything_beyond_its_end_is_read() {
    assert_eq!(
        refusal_of(&CPlugin { struct_size: "88", ..CPlugin::default() }),
        defective(
            "its table has 88 bytes, ABI 1.0 needs at least 160: it is built from a header before 1.0, or damaged"
        )
    );
    // Four bytes, and then the end of what is readable.
    let guarded = CPlugin {
        more: "#define _DEFAULT_SOURCE\n#include <sys/mman.h>\n\
               static const tracer_plugin *at_the_edge(void) {\n\
                   char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | 0x20, -1, 0);\n\
                   mprotect(pages + 4096, 4096, PROT_NONE);\n\
                   *(uint32_t *)(pages + 4088) = 4;\n\
                   return (const tracer_plugin *)(pages + 4088);\n}"
            .to_owned(),
        returns: "at_the_edge()",
        ..CPlugin::default()
    };
    assert_eq!(
        refusal_of(&guarded),
        defective(
            "its table has 4 bytes, ABI 1.0 needs at least 160: it is built from a header before 1.0, or damaged"
        )
    );
}

#[test]
fn a_table_at_an_odd_address_is_refused() {
    let odd = CPlugin { returns: "(const tracer_plugin *)((const char *)&table + 4)", ..CPlugin::default() };
    assert_eq!(refusal_of(&odd), defective("its table is not aligned to 8 bytes"));
}

#[test]
fn a_larger_table_of_a_later_minor_version_is_accepted() {
    let folder = Folder::new();
    CPlugin { struct_size: "sizeof(tracer_plugin) + 64", capabilities: "0x80000000", ..CPlugin::default() }
        .install(&folder);
    loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
}

#[test]
fn all_functions_that_are_null_are_named_at_once() {
    let holes = CPlugin { functions: "validate, 0, export_batch, 0, timed, 0, stats, 0", ..CPlugin::default() };
    assert_eq!(refusal_of(&holes), defective("these functions are null: create, flush, destroy, get_extension"));
    let empty = CPlugin { functions: "0, 0, 0, 0, 0, 0, 0, 0", ..CPlugin::default() };
    assert_eq!(
        refusal_of(&empty),
        defective(
            "these functions are null: validate, create, export_batch, flush, shutdown, destroy, stats, get_extension"
        )
    );
}

#[test]
fn a_plugin_of_another_type_than_the_configuration_says_is_refused() {
    assert_eq!(
        refusal_of(&CPlugin { type_name: "zip\tkin", ..CPlugin::default() }),
        defective("type_name is \"zip\\tkin\", but the configuration calls it `sample`")
    );
}

#[test]
fn a_schema_that_is_no_json_or_no_schema_is_the_plugins_fault_and_not_the_users() {
    let with = |schema| refusal_of(&CPlugin { schema, ..CPlugin::default() });
    assert_eq!(with("{"), defective("config_schema is not JSON: EOF while parsing an object at line 1 column 1"));
    assert_eq!(with(""), defective("config_schema is not JSON: EOF while parsing a value at line 1 column 0"));
    assert_eq!(with("true"), defective("config_schema is JSON, but not an object"));
    assert_eq!(
        with(r#"{"type": "tabel"}"#),
        defective("config_schema is not a valid JSON Schema: there is no type \"tabel\" (at \"/type\")")
    );
    assert!(
        with(r#"{"$ref": "https://localhost:1/schema.json"}"#).contains("config_schema is not a valid JSON Schema")
    );
    // Deeper than any stack is. Leaked: a test's.
    let nested = |open: &str, close: &str| &*String::leak(open.repeat(20_000) + "{}" + &close.repeat(20_000));
    for schema in [nested("{\"anyOf\":[", "]}"), nested("{\"properties\":{\"a\":", "}}"), nested("[", "]")] {
        let said = with(schema);
        assert!(said.contains("config_schema is not JSON: recursion limit exceeded"), "{said}");
    }
}

/// More is not read at all.
#[test]
fn a_schema_that_says_it_is_larger_than_a_mebibyte_is_refused_unread() {
    let lies = CPlugin {
        functions: "validate, create, export_batch, timed, timed, destroy, stats, get_extension, 0 };\n\
                    static const struct { tracer_plugin table; } lying = { { sizeof lying, 1, 0, 0, 6, 2, { \"sample\", 6 },\n\
                    { \"9\", 1 }, { 0, 0 }, { \"{}\", (size_t)1 << 60 }, validate, create, export_batch, timed, timed,\n\
                    destroy, stats, get_extension, 0 }",
        returns: "&lying.table",
        ..CPlugin::default()
    };
    let said = refusal_of(&lies);
    assert!(said.contains("config_schema has 1152921504606846976 bytes, at most 1048576 are allowed"), "{said}");
}

#[test]
fn all_that_is_wrong_with_a_table_is_said_at_once() {
    let wrong = CPlugin {
        abi_major: "3",
        capabilities: "TRACER_CAP_OWNS_RETRY | TRACER_CAP_ASYNC_EXPORT | ((uint64_t)1 << 63) | 1",
        encodings: "1",
        functions: "0, create, export_batch, timed, timed, destroy, stats, get_extension",
        type_name: "other",
        schema: "[]",
        ..CPlugin::default()
    };
    assert_eq!(
        refusal_of(&wrong),
        defective(
            "these functions are null: validate\n  \
             its table says ABI 3, but came from the entry point of ABI 1\n  \
             it accepts nothing that this host makes: accepted_encodings (0x1) has no bit of OTLP protobuf (bit 1)\n  \
             it demands capabilities that this host does not know: bit 32 (owns retry), 33 (asynchronous export), 63\n  \
             type_name is \"other\", but the configuration calls it `sample`\n  \
             config_schema is JSON, but not an object"
        )
    );
}

#[test]
fn a_plugin_must_accept_a_pair_of_signal_and_encoding_that_the_host_makes() {
    let with = |signals, encodings| {
        let folder = Folder::new();
        CPlugin { signals, encodings, ..CPlugin::default() }.install(&folder);
        loader(Trust::Strict).load("sample", &folder.plugins()).map(drop).map_err(|error| folder.hide_in(&error))
    };
    let newer = |what: &str| {
        let refusal = defective(&format!("it accepts nothing that this host makes: {what}"));
        Err(refusal.replace("this is a defect of the plugin: tell its author", UPGRADE))
    };
    // Logs are reserved; what a later header knows is ignored beside what this one does.
    let no_signal = "accepted_signals (0x8) has neither the bit of traces (bit 1) nor of metrics (bit 2)";
    assert_eq!(with("1u << TRACER_SIGNAL_LOGS", "2"), newer(no_signal));
    assert_eq!(with("0", "2"), Err(defective("it accepts nothing: accepted_signals is 0")));
    assert_eq!(with("2", "0"), Err(defective("it accepts nothing: accepted_encodings is 0")));
    for signals in ["1u << TRACER_SIGNAL_TRACES", "1u << TRACER_SIGNAL_METRICS", "0xffffffff", "2 | 8"] {
        assert_eq!(with(signals, "2 | 4"), Ok(()), "{signals}");
    }
    assert_eq!(with("2 | 4", "4"), newer("accepted_encodings (0x4) has no bit of OTLP protobuf (bit 1)"));
}

/// The way out where a later host may know more.
const UPGRADE: &str = "upgrade tracer-resolver, or install an older version of the plugin";

#[test]
fn a_capability_that_must_be_understood_is_not_in_the_half_that_is_ignored() {
    let with = |capabilities| {
        let folder = Folder::new();
        CPlugin { capabilities, ..CPlugin::default() }.install(&folder);
        loader(Trust::Strict).load("sample", &folder.plugins()).map(drop).map_err(|error| folder.hide_in(&error))
    };
    assert_eq!(with("0xffffffff"), Ok(()));
    for (capability, named) in [
        ("TRACER_CAP_OWNS_RETRY", "32 (owns retry)"),
        ("TRACER_CAP_ASYNC_EXPORT", "33 (asynchronous export)"),
        ("(uint64_t)1 << 63", "63"),
    ] {
        let defect = format!("it demands capabilities that this host does not know: bit {named}");
        let refusal = defective(&defect).replace("this is a defect of the plugin: tell its author", UPGRADE);
        assert_eq!(with(capability), Err(refusal));
    }
}

#[test]
fn texts_that_are_no_texts_are_refused() {
    let null = CPlugin {
        more: "static const tracer_plugin null_text;\n#define BROKEN 1".to_owned(),
        returns: "(broken.type_name.ptr = 0, broken.type_name.len = 9, broken.config_schema.len = (size_t)-1, &broken)",
        ..CPlugin::default()
    };
    let source =
        null.source().replace("TRACER_PLUGIN_EXPORT const", "static tracer_plugin broken;\nTRACER_PLUGIN_EXPORT const");
    let source = source.replace("return (broken", "broken = table; return (broken");
    let folder = Folder::new();
    compile(&source, &folder.join("libtracer_plugin_sample.so"));
    assert_eq!(
        refusal(&folder),
        defective(
            "type_name is a null pointer with a length of 9\n  \
             config_schema has 18446744073709551615 bytes, at most 1048576 are allowed"
        )
    );
}

#[test]
fn a_pin_that_does_not_match_keeps_all_code_of_the_plugin_from_running() {
    let folder = Folder::new();
    let witness = folder.join("ran");
    let plugin = CPlugin {
        more: format!(
            "#include <stdio.h>\n__attribute__((constructor)) static void ran(void) \
             {{ FILE *file = fopen({witness:?}, \"w\"); if (file) fclose(file); }}"
        ),
        ..CPlugin::default()
    };
    let path = plugin.install(&folder);
    let found = hex::encode(sha256_of(&path));
    for refuse_memory in [false, true] {
        let seal = if refuse_memory {
            |_: &PluginFile| Err(std::io::Error::from_raw_os_error(libc::EACCES))
        } else {
            PluginFile::sealed_copy
        };
        let loader = Loader::for_test(Trust::Strict, Vec::new(), seal);
        let error = loader.load("sample", &pinned(&path, Some([0xab; 32]))).unwrap_err();
        assert_eq!(
            folder.hide_in(&error),
            format!(
                "P104 plugin `sample`: DIR/libtracer_plugin_sample.so does not have the pinned sha256:\n  \
                 pinned: {}\n  found:  {found}\n\
                 help: if the file is the right one, write its hash as `sha256` in [plugins.sample]; if not, find out \
                 who replaced it",
                "ab".repeat(32)
            )
        );
        assert!(!witness.exists());
    }
    // The witness works: loaded, it speaks.
    loader(Trust::Strict).load("sample", &pinned(&path, None)).unwrap();
    assert!(witness.exists());
}

#[test]
fn a_file_that_somebody_else_may_change_is_refused_when_strict_and_warned_about_once_when_not() {
    type Spoil = fn(&Folder, &Path);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let cases: [(Spoil, &str); 6] = [
        (
            |_, path| fs::set_permissions(path, fs::Permissions::from_mode(0o757)).unwrap(),
            "LIB can be written by every user of this machine (mode 0757)\nhelp: chmod o-w LIB",
        ),
        (
            |folder, _| fs::set_permissions(folder.join("in"), fs::Permissions::from_mode(0o777)).unwrap(),
            "the folder DIR/in can be written by every user of this machine (mode 0777)\nhelp: chmod o-w DIR/in",
        ),
        (
            |folder, _| fs::set_permissions(folder.join("in"), fs::Permissions::from_mode(0o1777)).unwrap(),
            "the folder DIR/in can be written by every user of this machine (mode 1777)\nhelp: chmod o-w DIR/in",
        ),
        (
            |folder, _| fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o757)).unwrap(),
            "the folder DIR can be written by every user of this machine (mode 0757)\nhelp: chmod o-w DIR",
        ),
        (
            |_, path| chown(path, Some(STRANGER), None).unwrap(),
            "LIB belongs to user 12345, who is neither root nor the user of this process\n\
             help: give LIB to root or to the user that runs this process (chown), or put the file elsewhere",
        ),
        (
            |folder, _| chown(&folder.0, Some(STRANGER), None).unwrap(),
            "the folder DIR belongs to user 12345, who is neither root nor the user of this process\n\
             help: give DIR and what is in it to root or to the user that runs this process (chown), or put the file \
             elsewhere",
        ),
    ];
    for (spoil, expected) in cases {
        let folder = Folder::new();
        fs::create_dir(folder.join("in")).unwrap();
        let path = folder.join("in/libtracer_plugin_sample.so");
        CPlugin::default().compile(&path);
        mode(&folder.join("in"), 0o755);
        if expected.contains("12345") && chown(folder.join("in"), Some(0), None).is_err() {
            eprintln!("skipped: only root can give a file away");
            continue;
        }
        spoil(&folder, &path);
        // A pin changes nothing, and neither does a link in a folder of ours.
        let own = Folder::new();
        symlink(&path, own.join("libtracer_plugin_sample.so")).unwrap();
        let pins = [pinned(&path, None), pinned(&path, Some(sha256_of(&path))), own.plugins()];
        for plugins in &pins {
            let error = loader(Trust::Strict).load("sample", plugins).unwrap_err();
            assert_eq!(
                folder.hide_in(&error).replace("DIR/in/libtracer_plugin_sample.so", "LIB"),
                format!("P108 plugin `sample`: LIB may be changed by somebody who should not: {expected}")
            );
        }
        logged();
        for plugins in &pins {
            loader(Trust::Lenient).load("sample", plugins).unwrap();
        }
        let lines = logged_about("may be changed by somebody");
        let ours = lines.iter().filter(|(level, _, text)| {
            *level == log::Level::Warn && text.contains(&format!("{} may be", path.display()))
        });
        assert_eq!(ours.count(), 1, "{lines:?}");
    }
}

#[test]
fn a_privileged_process_is_strict_about_its_plugins_whatever_it_was_asked_for() {
    let ordinary = Variables::of::<&str, &str>([]);
    assert_eq!(Trust::Lenient.in_process_of(&ordinary), Trust::Lenient);
    assert_eq!(Trust::Strict.in_process_of(&ordinary), Trust::Strict);
    assert_eq!(Trust::Lenient.in_process_of(&ordinary.withheld()), Trust::Strict);
}

#[test]
fn a_folder_that_everybody_may_write_to_is_never_searched_and_its_plugins_are_named() {
    let (open, last) = (Folder::new(), Folder::new());
    for folder in [&open, &last] {
        CPlugin::default().install(folder);
    }
    for mode in [0o777, 0o1777] {
        fs::set_permissions(&open.0, fs::Permissions::from_mode(mode)).unwrap();
        // Configured, or beside the code that runs, or in `deps` there: it is the same.
        let inner = open.join("deps");
        fs::create_dir_all(&inner).unwrap();
        for (dirs, default_places) in [(vec![open.0.clone()], Vec::new()), (Vec::new(), vec![open.0.clone()])] {
            let plugins = Plugins { dirs, entries: Vec::new(), ..Plugins::default() };
            let loader = Loader::for_test(Trust::Lenient, default_places, PluginFile::sealed_copy);
            let error = loader.load("sample", &plugins).unwrap_err();
            assert_eq!(
                open.hide_in(&error),
                format!(
                    "P101 plugin `sample`: libtracer_plugin_sample.so is in none of the places searched:\n  \
                     DIR/libtracer_plugin_sample.so: never searched: the folder DIR can be written by every user of \
                     this machine (mode {mode:04o})\n\
                     help: chmod o-w DIR, or set `file` in [plugins.sample] to an absolute path"
                )
            );
        }
    }
    // Unless the modes are not believed (`[trust]`), which a process with more rights than its caller does not care for.
    let dirs = vec![open.0.clone()];
    let trusting = Plugins { dirs, entries: Vec::new(), allow_world_writable: true };
    let mut loader_of = Loader::for_test(Trust::Strict, Vec::new(), PluginFile::sealed_copy);
    loader_of.withhold();
    assert!(loader_of.load("sample", &trusting).unwrap_err().to_string().contains("never searched"));
    loader(Trust::Strict).load("sample", &trusting).unwrap();
    // What lies in a folder below is as good as that one, and sticky it is a good one.
    fs::set_permissions(&open.0, fs::Permissions::from_mode(0o777)).unwrap();
    CPlugin::default().compile(&open.join("deps/libtracer_plugin_sample.so"));
    let below = Plugins { dirs: vec![open.join("deps")], entries: Vec::new(), ..Plugins::default() };
    assert!(refusal_in(&below).contains("never searched"));
    fs::set_permissions(&open.0, fs::Permissions::from_mode(0o1777)).unwrap();
    loader(Trust::Strict).load("sample", &below).unwrap();

    logged();
    let plugins = Plugins { dirs: vec![open.0.clone(), last.0.clone()], entries: Vec::new(), ..Plugins::default() };
    loader(Trust::Strict).load("sample", &plugins).unwrap();
    let lines = logged_about(open.join("libtracer_plugin_sample.so").to_str().unwrap());
    assert!(
        lines.iter().any(|(level, _, text)| *level == log::Level::Warn && text.contains("is not taken: the folder")),
        "{lines:?}"
    );
}

fn refusal_in(plugins: &Plugins) -> String {
    loader(Trust::Lenient).load("sample", plugins).unwrap_err().to_string()
}

const STRANGER: u32 = 12345;

/// The bytes that were hashed run from memory: there is no folder beside them.
#[test]
fn a_pinned_plugin_that_looks_for_a_library_beside_itself_is_told_why_it_finds_none() {
    let folder = Folder::new();
    compile("__attribute__((visibility(\"default\"))) int beside(void) { return 1; }", &folder.join("libbeside.so"));
    fs::write(
        folder.join("plugin.c"),
        CPlugin { more: "int beside(void);\nint (*uses)(void) = beside;".to_owned(), ..CPlugin::default() }.source(),
    )
    .unwrap();
    let file = folder.join("libtracer_plugin_sample.so");
    let mut cc = std::process::Command::new("cc");
    cc.args(["-std=c99", "-shared", "-fPIC", "-Wl,-rpath,$ORIGIN", "-I"]);
    cc.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/api/include")).arg("-o").arg(&file);
    cc.arg(folder.join("plugin.c")).arg("-L").arg(&folder.0).arg("-lbeside");
    assert!(cc.status().unwrap().success());
    let pin = sha256_of(&file);
    let refused = loader(Trust::Strict).load("sample", &pinned(&file, Some(pin))).unwrap_err();
    let said = folder.hide_in(&refused);
    assert!(said.starts_with("P105 ") && said.contains("libbeside.so"), "{said}");
    assert!(said.contains("loaded from memory: $ORIGIN in its RUNPATH leads nowhere there"), "{said}");
    assert!(said.contains("help: link into the plugin what it needs") && said.contains("remove `sha256`"), "{said}");
    assert!(loader(Trust::Strict).load("sample", &pinned(&file, None)).is_ok(), "without the pin it is found");
}
