//! What the host makes of each code that each function returns, and of what a batch tells a plugin.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::*;
use crate::export::test_words::{backend, batch_of};
use crate::export::{BatchFacts, Exporter, FinishedBatch, Outcome, PluginCounts, Signal, Try};

/// Each function returns the code that the settings name, after the function's first letter: `e2`.
const BY_SETTINGS: &str = r#"
#define OWN_VALIDATE
#define OWN_EXPORT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char settings[256];
static int destroyed;
static tracer_code code_of(char function, tracer_error *error) {
    const char *at = strchr(settings, function);
    tracer_code code = at == NULL ? TRACER_OK : atoi(at + 1);
    if (code != TRACER_OK && error != NULL) {
        snprintf(error->message, sizeof error->message, "said so");
        error->retry_after_ms = 7;
        error->rejected_items = 4000000000u;
        error->retry_cookie = code == TRACER_ERR_RETRYABLE ? 41 : 0;
    }
    return code;
}
static tracer_code validate(const tracer_validate_args *args, tracer_error *error) {
    if (args->struct_size != sizeof *args || args->timeout_ms != 10000) return TRACER_ERR_INTERNAL;
    if (args->config_json.len < sizeof settings) {
        memcpy(settings, args->config_json.ptr, args->config_json.len);
        settings[args->config_json.len] = 0;
        memmove(settings, settings + strcspn(settings, ":"), strlen(settings + strcspn(settings, ":")) + 1);
    }
    return code_of('v', error);
}
static tracer_code my_create(const tracer_create_args *args, tracer_instance **out, tracer_error *error) {
    tracer_code code = code_of('c', error);
    if (args->struct_size != sizeof *args || args->timeout_ms != 10000) return TRACER_ERR_INTERNAL;
    if (code == TRACER_OK) *out = &the_only_one;
    return code;
}
static tracer_code export_batch(tracer_instance *it, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error) {
    (void)it; (void)batch; (void)timeout_ms; return code_of('e', error); }
static tracer_code my_flush(tracer_instance *it, const tracer_call *call, tracer_error *error) {
    (void)it; return call->struct_size == sizeof *call && call->timeout_ms == 1000 ? code_of('f', error) : 77; }
static tracer_code my_shutdown(tracer_instance *it, const tracer_call *call, tracer_error *error) {
    (void)it; return call->struct_size == sizeof *call && call->timeout_ms == 1000 ? code_of('s', error) : 77; }
static void my_destroy(tracer_instance *it) { (void)it; destroyed++; }
static tracer_code my_stats(const tracer_instance *it, tracer_stats *out) {
    (void)it; out->items_sent = (uint64_t)destroyed; return code_of('t', NULL); }
"#;

struct Sample {
    library: Arc<PluginLibrary>,
    _folder: Folder,
}

impl Sample {
    fn new() -> Self {
        let folder = Folder::new();
        let functions = "validate, my_create, export_batch, my_flush, my_shutdown, my_destroy, my_stats, get_extension";
        CPlugin { more: BY_SETTINGS.to_owned(), functions, ..CPlugin::default() }.install(&folder);
        Self { library: loader(Trust::Strict).load("sample", &folder.plugins()).unwrap(), _folder: folder }
    }

    /// What is said of settings that make a function return this code.
    fn complaint(&self, codes: &str) -> Option<String> {
        self.library.check(&json!({ "codes": codes }), &[]).into_iter().next().map(|complaint| complaint.message)
    }

    fn created(&self, codes: &str) -> Result<Instance, String> {
        assert_eq!(self.complaint(codes), None);
        let rebirth = Rebirth { pauses: [Duration::ZERO; 3], forgotten_after: Duration::from_secs(600) };
        Instance::create(Arc::clone(&self.library), &backend("sample"), &json!({ "codes": codes }), rebirth)
            .map_err(|complaint| complaint.message)
    }

    fn outcome(&self, code: i32) -> Outcome {
        let instance = self.created(&format!("e{code}")).unwrap();
        instance.export(&batch_of(1, 1, &[(0, 23)]), &Try::first(), Duration::from_secs(1), &unwatched)
    }
}

const NAMES: [&str; 11] = [
    "OK",
    "CONFIG",
    "RETRYABLE",
    "PERMANENT",
    "PARTIAL",
    "TIMEOUT",
    "SHUTDOWN",
    "PANIC",
    "UNSUPPORTED",
    "INTERNAL",
    "CREDENTIALS",
];

fn may_not(function: &str, code: i32) -> String {
    match NAMES.get(code as usize) {
        Some(name) => format!("its {function} returned {name}, which it may not: said so"),
        None => format!("its {function} returned the unknown code {code}: said so"),
    }
}

#[test]
fn each_code_of_each_function_means_what_the_table_of_the_header_says() {
    let sample = Sample::new();
    for code in 0..=11 {
        let what = match code {
            0 => None,
            1 | 7 => Some("said so".to_owned()),
            8 => Some("not supported by the plugin: said so".to_owned()),
            9 => Some("internal error of the plugin: said so".to_owned()),
            _ => Some(may_not("validate", code)),
        };
        assert_eq!(sample.complaint(&format!("v{code}")), what, "validate");
        let created = sample.created(&format!("c{code}")).err();
        assert_eq!(created, what.map(|what| what.replace("its validate", "its create")), "create");

        let said = || "said so".to_owned();
        let after = Some(Duration::from_millis(7));
        let expected = match code {
            0 => Outcome::Exported,
            // Something of it is stored, or may be.
            2 => Outcome::Retry { after, cookie: 41, may_be_stored: true, message: said() },
            3 => Outcome::Rejected { message: said() },
            4 => Outcome::Partial {
                rejected_items: 23,
                message: "said so (all 23 items of the batch are taken as refused: 4000000000 were counted)".to_owned(),
            },
            5 => {
                let message = "timed out: said so".to_owned();
                Outcome::Retry { after, cookie: 0, may_be_stored: true, message }
            }
            6 => Outcome::Rejected { message: "the plugin says that it is shut down: said so".to_owned() },
            7 => Outcome::Rejected { message: "the plugin panicked: said so".to_owned() },
            8 => Outcome::Rejected { message: "not supported by the plugin: said so".to_owned() },
            9 => Outcome::Rejected { message: "internal error of the plugin: said so".to_owned() },
            10 => {
                let why =
                    "none of its settings is from a file: `${file:}` references are read anew when they are refused";
                Outcome::Retry { after, cookie: 0, may_be_stored: false, message: format!("said so ({why})") }
            }
            _ => Outcome::Rejected { message: may_not("export_batch", code) },
        };
        assert_eq!(sample.outcome(code), expected, "export_batch");

        let flushed = sample.created(&format!("f{code}")).unwrap().flush(Duration::from_secs(1), &unwatched);
        assert_eq!(flushed, code == 0, "flush");
        let ended = sample.created(&format!("s{code}")).unwrap().shutdown(Duration::from_secs(1));
        assert_eq!(ended, code == 0, "shutdown");
    }
}

/// What an instance says that it has counted, when it is asked now.
fn asked(instance: &Instance) -> Option<PluginCounts> {
    instance.count();
    instance.counted()
}

#[test]
fn counters_are_shown_with_ok_alone_and_a_panic_in_stats_ends_the_instance() {
    let sample = Sample::new();
    for code in 0..=11 {
        let instance = sample.created(&format!("t{code}")).unwrap();
        assert_eq!(asked(&instance).is_some(), code == 0, "{code}");
        // Another takes its place.
        let batch = batch_of(1, 1, &[(0, 1)]);
        assert_eq!(instance.export(&batch, &Try::first(), Duration::from_secs(1), &unwatched), Outcome::Exported);
        let destroyed = asked(&sample.created("t0").unwrap()).unwrap().items_sent;
        assert_eq!(destroyed, u64::from(code >= 7), "after {code}");
    }
}

#[test]
fn a_batch_says_which_try_it_is_whose_items_it_has_and_from_when() {
    let folder = Folder::new();
    CPlugin {
        more: r#"#define OWN_EXPORT
#include <stdio.h>
static tracer_code export_batch(tracer_instance *it, const tracer_batch *b, uint32_t timeout_ms, tracer_error *error)
{ (void)it; (void)timeout_ms; snprintf(error->message, sizeof error->message, "%u %u %lu %lu %lu %u %u %.*s %.*s", b->attempt,
    b->flags, (unsigned long)b->retry_cookie, (unsigned long)b->oldest_start_unix_ns,
    (unsigned long)b->first_attempt_unix_ns, b->resource_count, b->service_count,
    b->service_count > 0 ? (int)b->service_names[0].len : 0, b->service_count > 0 ? b->service_names[0].ptr : "",
    b->service_count > 1 ? (int)b->service_names[1].len : 0, b->service_count > 1 ? b->service_names[1].ptr : "");
  return TRACER_ERR_PERMANENT; }"#
            .to_owned(),
        ..CPlugin::default()
    }
    .install(&folder);
    let library = loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
    let instance = Instance::create(library, &backend("sample"), &json!({}), Rebirth::default()).unwrap();
    let said = |this_try: Try, facts: BatchFacts| {
        let (signal, body) = (Signal::Traces, vec![1]);
        let batch = FinishedBatch { id: 1, signal, body, start: 0, item_count: 7, per_service: Vec::new(), facts };
        match instance.export(&batch, &this_try, Duration::from_secs(1), &unwatched) {
            Outcome::Rejected { message } => message,
            other => panic!("{other:?}"),
        }
    };
    let first_at = SystemTime::UNIX_EPOCH + Duration::from_nanos(99);
    let last = Try { attempt: 3, cookie: 5, first_at, is_last: true, is_leaving: false };
    let services = vec![Arc::from("orders"), Arc::from("mail")];
    let facts = BatchFacts { oldest_start: 77, resources: 3, services };
    assert_eq!(said(last, facts), "3 1 5 77 99 3 2 orders mail");
    let leaving = Try { is_last: false, is_leaving: true, ..last };
    assert_eq!(said(leaving, BatchFacts::default()), "3 2 5 0 99 0 0", "nothing is known of it");
}

#[test]
fn what_instances_count_one_after_the_other_only_grows() {
    let folder = Folder::new();
    let more = r#"#define OWN_EXPORT
static uint64_t items, bytes;
static tracer_code export_batch(tracer_instance *it, const tracer_batch *b, uint32_t timeout_ms, tracer_error *error)
{ (void)it; (void)timeout_ms; (void)error; items += b->item_count; bytes += 10; return b->item_count == 13 ? 7 : 0; }
static tracer_code my_create(const tracer_create_args *args, tracer_instance **out, tracer_error *error)
{ (void)args; (void)error; items = 0; bytes = 0; *out = &the_only_one; return TRACER_OK; }
static tracer_code my_stats(const tracer_instance *it, tracer_stats *out)
{ (void)it; out->items_sent = items; out->bytes_sent = bytes; return TRACER_OK; }"#;
    let functions = "validate, my_create, export_batch, timed, timed, destroy, my_stats, get_extension";
    CPlugin { more: more.to_owned(), functions, ..CPlugin::default() }.install(&folder);
    let library = loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
    let rebirth = Rebirth { pauses: [Duration::ZERO; 3], forgotten_after: Duration::from_secs(600) };
    let instance = Instance::create(library, &backend("sample"), &json!({}), rebirth).unwrap();
    let export =
        |spans| instance.export(&batch_of(1, 1, &[(0, spans)]), &Try::first(), Duration::from_secs(1), &unwatched);
    let counted = || asked(&instance).map(|of| (of.items_sent, of.bytes_sent)).unwrap();
    export(5);
    assert_eq!(counted(), (5, 10));
    export(13);
    assert_eq!(counted(), (5, 10), "there is none to be asked");
    export(2);
    assert_eq!(counted(), (7, 20), "of both");
    export(2);
    assert_eq!(counted(), (9, 30));
}
