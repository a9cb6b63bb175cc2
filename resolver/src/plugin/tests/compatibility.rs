//! What was built for ABI 1.0 works with this host, and what is newer is refused with words that help.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::export::test_words::backend;
use crate::export::{BatchFacts, Exporter, FinishedBatch, Outcome, Signal, Try};

/// A plugin and the header that it is built from, both as they were when 1.0 was new.
const OF_1_0: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/api/tests/abi_1_0");

/// A change of them would make the test say nothing: a later minor version gets a folder of its own.
#[test]
fn the_plugin_of_abi_1_0_and_its_header_are_what_they_were() {
    for (name, sha256) in [
        ("plugin.c", "00d21b0059bca7c092ed31e9816e9a25daa6afca63180ff7304b8955e881a2b3"),
        ("tracer_plugin.h", "f594e14f6bba302dcae8d30969639f111ab6c455dbe9263fcc233786e527e2be"),
    ] {
        assert_eq!(hex::encode(sha256_of(&Path::new(OF_1_0).join(name))), sha256, "{name}");
    }
}

#[test]
fn a_plugin_of_abi_1_0_lives_its_whole_life_in_this_host() {
    logged();
    let folder = Folder::new();
    let source = fs::read_to_string(Path::new(OF_1_0).join("plugin.c")).unwrap();
    compile_with(Path::new(OF_1_0), &source, &folder.join("libtracer_plugin_sample.so"));
    let library = loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
    assert!(library.description().contains("(ABI 1.0)"), "{}", library.description());
    let complaint = library.check(&json!({ "no": 1 }), &[]).remove(0);
    assert_eq!((&*complaint.pointer, &*complaint.message), ("/no", "no settings are known"));
    assert!(library.check(&json!({}), &[]).is_empty());
    let in_a_child = || {
        let one = Instance::create(Arc::clone(&library), &backend("of-1-0"), &json!({}), Rebirth::default());
        one.is_ok_and(|one| {
            one.count();
            one.counted().is_some_and(|counted| counted.reconnects == 1)
        })
    };
    assert!(child_is_well(in_a_child), "it is told of a fork once, before it makes anything in the child");
    let instance = Instance::create(library, &backend("of-1-0"), &json!({}), Rebirth::default()).unwrap();
    assert_eq!(logged_about("backend `of-1-0`: created").len(), 1);
    let batch = FinishedBatch {
        id: 1,
        signal: Signal::Traces,
        body: vec![1],
        start: 0,
        item_count: 7,
        per_service: vec![(0, 7)],
        facts: BatchFacts { oldest_start: 1, resources: 1, services: vec![Arc::from("orders")] },
    };
    let tried = |this_try: Try| instance.export(&batch, &this_try, Duration::from_secs(1), &unwatched);
    let after = Some(Duration::from_millis(3));
    let once_more = Outcome::Retry { after, cookie: 11, may_be_stored: true, message: "once more".to_owned() };
    assert_eq!(tried(Try::first()), once_more);
    assert_eq!(tried(Try { attempt: 2, cookie: 11, is_last: true, ..Try::first() }), Outcome::Exported);
    match tried(Try { attempt: 3, ..Try::first() }) {
        Outcome::Retry { message, .. } => assert!(message.starts_with("who are you?"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert!(instance.flush(Duration::ZERO, &unwatched));
    instance.count();
    assert_eq!(instance.counted().unwrap().items_sent, 7);
    assert!(instance.shutdown(Duration::from_secs(1)));
}

#[test]
fn a_plugin_of_a_later_minor_version_is_taken_and_one_that_this_host_is_too_old_for_says_so() {
    let refusal = |plugin: &CPlugin| {
        let folder = Folder::new();
        plugin.install(&folder);
        loader(Trust::Strict).load("sample", &folder.plugins()).map_err(|error| folder.hide_in(&error))
    };
    let longer = CPlugin {
        returns: "&longer.table",
        more: String::new(),
        functions: "validate, create, export_batch, timed, timed, destroy, stats, get_extension, 0 };\n\
                    static const struct { tracer_plugin table; void *later[2]; } longer = { { sizeof longer, 1, 3, 1u << 20,\n\
                    6, 6, { \"sample\", 6 }, { \"9\", 1 }, { 0, 0 }, { \"{}\", 2 }, validate, create, export_batch, timed, timed,\n\
                    destroy, stats, get_extension, 0 }, { 0, 0 }",
        ..CPlugin::default()
    };
    let library = refusal(&longer).unwrap();
    assert!(library.description().contains("(ABI 1.3)"), "{}", library.description());
    for (plugin, words) in [
        (
            CPlugin { returns: "0", ..CPlugin::default() },
            "refuses this host, which speaks ABI 1.0: it needs a newer one",
        ),
        (CPlugin { entry: "tracer_plugin_v2", ..CPlugin::default() }, "speaks ABI 2, this host speaks ABI 1"),
        (
            CPlugin { capabilities: "(uint64_t)1 << 33", ..CPlugin::default() },
            "it demands capabilities that this host does not know: bit 33 (asynchronous export)",
        ),
        (
            CPlugin { capabilities: "(uint64_t)1 << 47", ..CPlugin::default() },
            "it demands capabilities that this host does not know: bit 47",
        ),
        (
            CPlugin { signals: "1u << 4", ..CPlugin::default() },
            "it accepts nothing that this host makes: accepted_signals (0x10)",
        ),
        (
            CPlugin { encodings: "1u << 2", ..CPlugin::default() },
            "it accepts nothing that this host makes: accepted_encodings (0x4)",
        ),
    ] {
        let said = refusal(&plugin).unwrap_err();
        assert!(said.contains(words), "{said}");
        assert!(said.contains("upgrade tracer-resolver"), "{said}");
    }
}
