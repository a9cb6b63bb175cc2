//! Promise: the library exports what librdkafka and the dynamic linker are to find there and nothing else,
//! brings no librdkafka along, stays loaded, and walks up no stack. Its header for C keeps what it had.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::process::Command;

use words::foreign::library;

/// What `program` says of the library.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg(library()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_exports_the_ways_in_and_nothing_else() {
    let lines = said("nm", &["-D", "--defined-only"]);
    let names: Vec<_> = lines.lines().filter_map(|line| line.split_whitespace().next_back()).collect();
    let ways_in = [
        "_Exit",
        "__poll_chk",
        "__ppoll_chk",
        "_exit",
        "conf_init",
        "epoll_create",
        "epoll_create1",
        "execl",
        "execle",
        "execlp",
        "execv",
        "execve",
        "execveat",
        "execvp",
        "execvpe",
        "fexecve",
        "kill",
        "killpg",
        "napi_register_module_v1",
        "poll",
        "ppoll",
        "pselect",
        "raise",
        "rd_kafka_conf_destroy",
        "rd_kafka_consume",
        "rd_kafka_consume_batch",
        "rd_kafka_consume_batch_queue",
        "rd_kafka_consume_queue",
        "rd_kafka_consumer_close",
        "rd_kafka_consumer_poll",
        "rd_kafka_destroy",
        "rd_kafka_destroy_flags",
        "rd_kafka_flush",
        "rd_kafka_new",
        "rd_kafka_poll",
        "rd_kafka_produce",
        "rd_kafka_produce_batch",
        "rd_kafka_produceva",
        "rd_kafka_send_offsets_to_transaction",
        "rd_kafka_topic_new",
        "select",
        "sigqueue",
        "tgkill",
        "tracer_interceptors_api",
        "tracer_interceptors_generation",
        "tracer_interceptors_python",
    ];
    assert_eq!(names, ways_in);
}

/// A program says which version it was built with, and one definition here would be taken for all of them: `pthread_kill` of
/// before glibc 2.34 gives `ESRCH` for a thread that has ended, and that of today 0.
#[test]
fn it_takes_over_nothing_of_which_the_c_library_has_two_versions() {
    let lines = said("nm", &["-D", "--defined-only"]);
    let names: Vec<_> = lines.lines().filter_map(|line| line.split_whitespace().next_back()).collect();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.lines().find_map(|line| line.split_whitespace().nth(5).filter(|path| path.contains("/libc.so")));
    let libc = libc.expect("glibc");
    let output = Command::new("nm").args(["-D", "--defined-only", "--with-symbol-versions", libc]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let versions: Vec<_> =
        said.lines().filter_map(|line| line.split_whitespace().next_back()?.split_once('@')).collect();
    let many = |name: &str| versions.iter().filter(|(of, _)| *of == name).count();
    assert!(many("pthread_kill") > 1 && many("raise") == 1, "{libc}");
    let several: Vec<_> = names.into_iter().filter(|name| many(name) > 1).collect();
    assert!(several.is_empty(), "{several:?}");
}

#[test]
fn it_needs_no_librdkafka_and_is_never_unloaded() {
    let dynamic = said("readelf", &["--wide", "--dynamic"]);
    let lines = |of: &str| dynamic.lines().filter(|line| line.contains(of)).collect::<Vec<_>>();
    assert!(!lines("(NEEDED)").is_empty() && !dynamic.contains("librdkafka"), "{dynamic}");
    assert!(lines("FLAGS_1").iter().any(|line| line.contains("NODELETE")), "{dynamic}");
    assert!(lines("(SONAME)").iter().any(|line| line.contains("[libtracer_interceptors.so]")), "{dynamic}");
    let undefined = said("nm", &["-D", "--undefined-only"]);
    assert!(!undefined.contains("rd_kafka_"), "{undefined}");
}

/// Coroutines have stacks whose end the unwinder does not know. What an exception needs is allowed: it searches from the
/// place that throws, and ours are caught before they reach a frame of others.
#[test]
fn it_cannot_walk_up_the_application_s_stack() {
    for which in [&["-D", "--undefined-only"][..], &["-D", "--defined-only"]] {
        let symbols = said("nm", which);
        for walker in ["_Unwind_Backtrace", "_Unwind_ForcedUnwind", " backtrace", "unw_step"] {
            assert!(!symbols.contains(walker), "{symbols}");
        }
    }
}

/// What programs were compiled with stays: functions by name and type, and the table's fields, each at its place. What is new
/// comes at the end of the table, and is noted by `release.sh interfaces --note`.
#[test]
fn the_header_for_c_has_what_was_noted_of_it() {
    let today = Header::read(include_str!("../resolver/librdkafka/include/tracer_interceptors.h"));
    let noted = Header::read(include_str!("interfaces/tracer_interceptors.h"));
    assert!(noted.fields.len() > 10 && noted.others.len() > 15, "{noted:?}");
    assert!(today.fields.starts_with(&noted.fields), "{:#?}\nwas {:#?}", today.fields, noted.fields);
    let gone: Vec<_> = noted.others.iter().filter(|declared| !today.others.contains(declared)).collect();
    assert!(gone.is_empty(), "{gone:#?}");
}

/// What a program can use of a header, without comments, and with one blank between words.
#[derive(Debug)]
struct Header {
    /// Of the table of functions.
    fields: Vec<String>,
    /// Heads of functions, names of types and constants.
    others: Vec<String>,
}

impl Header {
    fn read(text: &str) -> Self {
        let code: String = text.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, code)| code)).collect();
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (before, rest) = code.split_once("typedef struct ti_api {").unwrap();
        let (table, after) = rest.split_once("} ti_api;").unwrap();
        let fields = table.split(';').map(plain).filter(|field| !field.is_empty()).collect();
        let heads = after.split("static inline ").skip(1).map(|head| plain(head.split('{').next().unwrap()));
        let lines = before.lines().chain(after.lines()).map(plain);
        let named = lines.filter(|line| line.starts_with("typedef ") || line.starts_with("#define TI_"));
        Self { fields, others: heads.chain(named).collect() }
    }
}
