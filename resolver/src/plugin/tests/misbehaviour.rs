//! A plugin that misbehaves hurts its own backend only, within bounds, and the counters tell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::export::test_words::{backend, batch_of, eventually, within};
use crate::export::{
    BackendQueue, BackendState, BatchFacts, DropReason, Exporter, FinishedBatch, Outcome, ServiceCounters, Signal,
    Timing, Try,
};

/// A backend of the misbehaving plugin, and its report.
struct Patient {
    queue: Arc<BackendQueue>,
    folder: Folder,
    name: String,
}

const TIMING: Timing = Timing {
    grace: Duration::from_millis(100),
    patience: Duration::from_secs(10),
    first_words: Duration::from_secs(1),
};
const REBIRTH: Rebirth = Rebirth { pauses: [Duration::from_millis(20); 3], forgotten_after: Duration::from_secs(600) };

/// Found beside the test program, as the default search does it.
fn misbehaving() -> Arc<PluginLibrary> {
    Loader::new(Trust::Lenient).load("misbehaving", &Plugins::default()).unwrap()
}

fn settings(name: &str) -> config::Backend {
    config::Backend { plugin: "misbehaving".to_owned(), ..backend(name) }
}

fn instance(settings: &config::Backend, config: &Value) -> Result<Instance, Complaint> {
    let library = misbehaving();
    assert_eq!(library.check(config, &[]), [], "the settings are right");
    Instance::create(library, settings, config, REBIRTH)
}

impl Patient {
    fn new(name: &str, mut config: Value) -> Self {
        logged();
        let folder = Folder::new();
        config["report"] = json!(folder.join("report"));
        if config.get("until").is_some() {
            config["until"] = json!(folder.join("until"));
        }
        let settings = settings(name);
        let queue = BackendQueue::start_with(&settings, instance(&settings, &config).unwrap(), TIMING);
        Self { queue, folder, name: name.to_owned() }
    }

    fn offer(&self, batches: std::ops::Range<u64>) {
        for id in batches {
            self.queue.offer(batch_of(id, 10, &[(0, 10)]));
        }
    }

    fn service(&self) -> ServiceCounters {
        let service = self.queue.counters().services[0];
        assert_eq!(service.offered, service.exported + service.rejected + service.dropped_total() + service.waiting);
        service
    }

    /// The calls the plugin saw that begin with a word.
    fn calls(&self, word: &str) -> Vec<String> {
        let report = fs::read_to_string(self.folder.join("report")).unwrap_or_default();
        report.lines().filter(|line| line.starts_with(word)).map(str::to_owned).collect()
    }

    /// What was logged about the backend. Ends it first: lines are written after the counters have changed.
    fn log(&self) -> Vec<(log::Level, String)> {
        self.queue.shutdown(within(5000));
        let word = format!("backend `{}`", self.name);
        logged_about(&word)
            .into_iter()
            .map(|(level, _, text)| (level, text.replace(&format!("{word}: "), "")))
            .collect()
    }

    fn unblock(&self) {
        fs::write(self.folder.join("until"), "").unwrap();
    }
}

#[test]
fn a_plugin_that_behaves_is_created_used_and_ended_in_order() {
    let patient = Patient::new("well", json!({}));
    patient.offer(1..4);
    assert!(patient.queue.flush(within(5000)));
    assert!(patient.queue.shutdown(within(5000)));
    assert_eq!(patient.service().exported, 30);
    assert_eq!(patient.calls("create"), ["create well 4"]);
    assert_eq!(patient.calls("export").len(), 3);
    assert!(patient.calls("export 1 1 200").len() == 1, "{:?}", patient.calls(""));
    let report = patient.calls("");
    assert_eq!(&report[report.len() - 2..], ["shutdown", "destroy"]);
}

#[test]
fn a_plugin_that_always_panics_is_started_anew_three_times_and_then_out_of_service() {
    let patient = Patient::new("panics", json!({ "mode": "panic" }));
    for id in 1..10 {
        patient.offer(id..id + 1);
        assert!(patient.queue.flush(within(10_000)));
    }
    let counters = patient.service();
    assert_eq!(counters.dropped_for(DropReason::Rejected), 30, "the batches that three instances died of");
    assert_eq!(counters.dropped_for(DropReason::OutOfService), 60);
    assert_eq!(patient.queue.counters().state, BackendState::OutOfService);
    assert_eq!((patient.calls("create").len(), patient.calls("destroy").len()), (4, 4));
    assert_eq!(patient.calls("shutdown").len(), 0, "a poisoned instance is only destroyed");
    let log = patient.log();
    let errors: Vec<_> = log.iter().filter(|(level, _)| *level == log::Level::Error).collect();
    assert_eq!(
        errors,
        [&(
            log::Level::Error,
            "out of service until the process restarts, and its spans are lost: its plugin `misbehaving` broke 4 times"
                .to_owned()
        )]
    );
    assert!(
        log.iter().any(|(_, text)| text.contains("the plugin panicked: ") && text.contains("is unlucky")),
        "{log:?}"
    );
    assert!(patient.queue.shutdown(within(1000)));
}

#[test]
fn a_plugin_that_panics_once_is_back_soon_and_only_one_batch_is_lost() {
    let patient = Patient::new("panics-once", json!({ "mode": "panic", "times": 1 }));
    patient.offer(1..2);
    assert!(patient.queue.flush(within(5000)));
    patient.offer(2..5);
    assert!(patient.queue.flush(within(5000)));
    let counters = patient.service();
    assert_eq!((counters.exported, counters.dropped_for(DropReason::Rejected)), (30, 10));
    assert!(patient.log().iter().any(|(_, text)| text == "its plugin was started anew"));
    assert!(patient.queue.shutdown(within(5000)));
    assert_eq!((patient.calls("create").len(), patient.calls("destroy").len()), (2, 2));
}

#[test]
fn calls_that_panic_together_are_one_death() {
    let patient = Patient::new("panics-together", json!({ "mode": "panic", "times": 4, "pause_ms": 100 }));
    patient.offer(1..5);
    eventually("four calls under way", || patient.calls("export").len() == 4);
    assert!(patient.queue.flush(within(5000)));
    patient.offer(5..6);
    assert!(patient.queue.flush(within(5000)));
    assert_eq!((patient.service().exported, patient.service().dropped_for(DropReason::Rejected)), (10, 40));
    assert_eq!((patient.calls("create").len(), patient.calls("destroy").len()), (2, 1));
}

#[test]
fn a_plugin_always_has_a_millisecond() {
    let folder = Folder::new();
    let instance = instance(&settings("hurries"), &json!({ "report": folder.join("report") })).unwrap();
    assert_eq!(
        instance.export(&batch_of(1, 1, &[(0, 1)]), &Try::first(), Duration::ZERO, &unwatched),
        Outcome::Exported
    );
    assert_eq!(
        instance.export(&batch_of(2, 1, &[(0, 1)]), &Try::first(), Duration::MAX, &unwatched),
        Outcome::Exported
    );
    let report = fs::read_to_string(folder.join("report")).unwrap();
    assert_eq!(report, format!("create hurries 4\nexport 1 1 1\nexport 2 1 {}\n", u32::MAX));
}

#[test]
fn a_plugin_that_cannot_be_started_anew_is_given_up_within_bounds() {
    let patient = Patient::new("no-return", json!({ "mode": "panic_in_create" }));
    patient.offer(1..2);
    assert!(patient.queue.flush(within(5000)));
    patient.offer(2..4);
    eventually("given up", || patient.queue.counters().state == BackendState::OutOfService);
    assert_eq!(patient.calls("create").len(), 4);
    assert_eq!(patient.service().dropped_for(DropReason::OutOfService), 20);
}

#[test]
fn a_plugin_that_blocks_hurts_nobody_else_and_is_back_when_the_call_is() {
    let blocked = Patient::new("blocks", json!({ "mode": "block", "until": "", "times": 1 }));
    let other = Patient::new("beside-blocked", json!({}));
    blocked.offer(1..2);
    eventually("under way", || !blocked.calls("export").is_empty());
    let started = Instant::now();
    for id in 2..100 {
        blocked.offer(id..id + 1);
        other.offer(id..id + 1);
    }
    assert!(other.queue.flush(within(5000)) && started.elapsed() < Duration::from_secs(5));
    assert_eq!(other.service().exported, 980);

    eventually("stuck", || {
        blocked.queue.tick(Instant::now());
        blocked.queue.counters().state == BackendState::Stuck
    });
    let before = blocked.service();
    assert!(before.dropped_for(DropReason::Stuck) >= 10);
    blocked.unblock();
    eventually("back", || blocked.queue.counters().state == BackendState::Healthy);
    blocked.offer(200..201);
    assert!(blocked.queue.shutdown(within(5000)));
    assert_eq!(blocked.service().exported, before.exported + 10);
    let log = blocked.log();
    assert_eq!(log.iter().filter(|(level, _)| *level == log::Level::Error).count(), 1, "{log:?}");
    assert_eq!(log.iter().filter(|(_, text)| text.starts_with("the stuck call has come back")).count(), 1, "{log:?}");
}

#[test]
fn a_plugin_that_blocks_for_ever_does_not_hold_up_the_shutdown_and_is_neither_ended_nor_destroyed() {
    let patient = Patient::new("blocks-for-ever", json!({ "mode": "block", "until": "" }));
    patient.offer(1..2);
    eventually("under way", || !patient.calls("export").is_empty());
    let started = Instant::now();
    assert!(!patient.queue.shutdown(within(300)));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(patient.service().dropped_for(DropReason::ShutDown), 10);
    let Patient { queue, folder, .. } = patient;
    drop(queue);
    fs::write(folder.join("until"), "").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let report = fs::read_to_string(folder.join("report")).unwrap();
    assert!(!report.contains("shutdown") && !report.contains("destroy"), "{report}");
}

#[test]
fn a_shutdown_that_times_out_leaks_the_instance() {
    let patient = Patient::new("ends-late", json!({ "shutdown": "timeout" }));
    assert!(!patient.queue.shutdown(within(5000)));
    let Patient { queue, folder, .. } = patient;
    drop(queue);
    let report = fs::read_to_string(folder.join("report")).unwrap();
    assert!(report.contains("shutdown\n") && !report.contains("destroy"), "{report}");
}

#[test]
fn a_shutdown_that_blocks_is_left_at_the_deadline() {
    let patient = Patient::new("ends-never", json!({ "shutdown": "block", "until": "" }));
    let started = Instant::now();
    assert!(!patient.queue.shutdown(within(300)));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    patient.unblock();
}

#[test]
fn a_shutdown_that_panics_is_contained_and_the_instance_destroyed() {
    let patient = Patient::new("ends-badly", json!({ "shutdown": "panic" }));
    assert!(!patient.queue.shutdown(within(5000)));
    assert_eq!(patient.calls("destroy").len(), 1);
    assert!(patient.log().iter().any(|(_, text)| text.starts_with("shutdown failed: ") && text.contains("cannot end")));
}

#[test]
fn a_plugin_that_fails_for_ever_is_retried_within_bounds_and_does_not_hold_up_the_shutdown() {
    let patient = Patient::new("fails", json!({ "mode": "fail" }));
    patient.offer(1..4);
    eventually("retried", || patient.queue.counters().retries >= 3);
    assert_eq!(patient.queue.counters().state, BackendState::Retrying);
    let started = Instant::now();
    assert!(!patient.queue.shutdown(within(10_000)), "spans were lost");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(patient.service().dropped_for(DropReason::ShutDown), 30);
    let told = "export failed, and will be retried for 30s: 503 Service Unavailable";
    assert_eq!(patient.log(), [(log::Level::Warn, told.to_owned())]);
    assert_eq!((patient.calls("shutdown").len(), patient.calls("destroy").len()), (1, 1));
}

#[test]
fn a_code_that_does_not_exist_is_an_internal_error_and_not_retried() {
    let patient = Patient::new("garbage", json!({ "mode": "garbage" }));
    patient.offer(1..3);
    assert!(patient.queue.flush(within(5000)));
    assert_eq!(patient.service().dropped_for(DropReason::Rejected), 20);
    assert_eq!((patient.calls("export").len(), patient.queue.counters().retries), (2, 0));
    let log = patient.log();
    assert!(log[0].1.contains("its export_batch returned the unknown code 4711: garbage"), "{log:?}");
}

#[test]
fn retry_after_is_obeyed() {
    let patient = Patient::new("throttled", json!({ "mode": "retry_after", "pause_ms": 300, "times": 1 }));
    let started = Instant::now();
    patient.offer(1..2);
    assert!(patient.queue.flush(within(5000)));
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    assert_eq!(
        (patient.service().exported, patient.calls("export")),
        (10, vec!["export 1 1 200".to_owned(), "export 1 2 200".to_owned()])
    );
}

#[test]
fn partial_and_permanent_refusals_are_counted_apart() {
    let partial = Patient::new("partial", json!({ "mode": "partial" }));
    let reject = Patient::new("reject", json!({ "mode": "reject" }));
    for patient in [&partial, &reject] {
        patient.offer(1..3);
        assert!(patient.queue.flush(within(5000)));
    }
    assert_eq!((partial.service().exported, partial.service().rejected), (18, 2));
    assert_eq!(reject.service().dropped_for(DropReason::Rejected), 20);
    assert!(partial.log()[0].1.starts_with("it refused some spans of a batch: one span is too long"));
}

#[test]
fn a_slow_plugin_is_given_several_batches_at_once() {
    let patient = Patient::new("slow", json!({ "mode": "slow", "pause_ms": 100 }));
    let started = Instant::now();
    patient.offer(1..9);
    assert!(patient.queue.flush(within(5000)));
    assert!(
        started.elapsed() < Duration::from_millis(600),
        "eight times 100 ms by four threads: {:?}",
        started.elapsed()
    );
    assert_eq!(patient.service().exported, 80);
}

#[test]
fn what_a_plugin_logs_reaches_the_applications_log_without_secrets_and_on_one_line() {
    let patient = Patient::new("leaks", json!({ "mode": "leak", "token": "hunter2-hunter2" }));
    patient.offer(1..2);
    assert!(patient.queue.flush(within(5000)));
    assert!(patient.queue.shutdown(within(5000)));
    let lines = logged_about("backend `leaks`");
    assert!(lines.contains(&(
        log::Level::Warn,
        "tracer_plugin::misbehaving".to_owned(),
        "backend `leaks`: login with [redacted] failed\\r\\nforged line".to_owned()
    )));
    assert!(lines.iter().any(|(_, target, text)| target == "tracer_resolver::export" && text.contains("[redacted]")));
    assert!(!logged_about("hunter2").iter().any(|(_, _, text)| text.contains("leaks")), "{lines:?}");
}

#[test]
fn a_plugin_that_logs_too_much_is_cut_off_and_counted_and_not_blocked() {
    let patient = Patient::new("chatters", json!({ "mode": "chatter" }));
    patient.offer(1..2);
    assert!(patient.queue.flush(within(5000)));
    assert!(!logged_about("backend `chatters`: line").is_empty(), "at the end of a process nobody comes by later");
    let log = patient.log();
    assert_eq!(log.iter().filter(|(_, text)| text.starts_with("line ")).count(), 64);
    assert!(
        log.contains(&(log::Level::Warn, "936 log lines of its plugin were dropped; they came too fast".to_owned())),
        "{log:?}"
    );
}

#[test]
fn several_backends_share_a_library_and_nothing_else() {
    let sick = Patient::new("shares-sick", json!({ "mode": "panic" }));
    let well = Patient::new("shares-well", json!({}));
    sick.offer(1..2);
    well.offer(1..2);
    assert!(sick.queue.flush(within(5000)) && well.queue.flush(within(5000)));
    assert_eq!((sick.service().exported, well.service().exported), (0, 10));
    assert!(Arc::ptr_eq(&misbehaving(), &misbehaving()));
}

#[test]
fn the_plugins_own_counters_are_read_while_there_is_an_instance() {
    let instance = instance(&settings("counts"), &json!({})).unwrap();
    assert!(instance.counted().is_none(), "nobody has asked it");
    instance.count();
    assert_eq!(instance.counted().unwrap().items_sent, 42);
    assert!(instance.shutdown(Duration::from_secs(1)));
    instance.count();
    assert_eq!(instance.counted().unwrap().items_sent, 42, "what it had counted stays");
    assert!(instance.shutdown(Duration::from_secs(1)), "a second time: nothing to do");
    let after = instance.export(&batch_of(1, 1, &[]), &Try::first(), Duration::from_secs(1), &unwatched);
    assert_eq!(after, Outcome::Rejected { message: "the backend is shut down".to_owned() });
}

#[test]
fn a_create_that_fails_or_lies_is_an_error_with_a_place() {
    let with_create = |body: &str, functions| {
        let folder = Folder::new();
        let more = format!(
            "static tracer_code my_create(const tracer_create_args *args, tracer_instance **out, tracer_error *error)\n\
             {{ (void)args; (void)out; (void)error; {body} }}"
        );
        CPlugin { more: format!("#include <string.h>\n{more}"), functions, ..CPlugin::default() }.install(&folder);
        let library = loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
        let created = Instance::create(library, &backend("sample"), &json!({ "tls": "x" }), REBIRTH);
        created.map(|_| ()).unwrap_err()
    };
    const MINE: &str = "validate, my_create, export_batch, timed, timed, destroy, stats, get_extension";
    let refused = with_create(
        "strcpy(error->field, \"/tls\"); strcpy(error->message, \"no such CA\"); return TRACER_ERR_CONFIG;",
        MINE,
    );
    assert_eq!(refused, Complaint::of_value("/tls".to_owned(), "no such CA".to_owned()));
    let lied = with_create("return TRACER_OK;", MINE);
    assert_eq!(lied.message, "create returned OK, but no instance");
    let silent = with_create("return TRACER_ERR_UNSUPPORTED;", MINE);
    assert_eq!(silent.message, "its create returned UNSUPPORTED, without a message");
}

#[test]
fn a_forked_child_leaves_its_parents_threads_and_instances_alone() {
    let patient = Patient::new("forks", json!({ "mode": "block", "until": "" }));
    patient.offer(1..3);
    eventually("under way", || !patient.calls("export").is_empty());
    // SAFETY: the child calls only what takes no lock, and ends without running anything else.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        patient.queue.abandon();
        let silent = !patient.queue.flush(within(60_000)) && !patient.queue.shutdown(within(60_000));
        patient.queue.tick(Instant::now());
        drop(patient.queue);
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(if silent { 0 } else { 1 }) };
    }
    let mut status = -1;
    let deadline = within(10_000);
    // SAFETY: our own child, and a place for its status.
    while unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == 0 {
        if Instant::now() > deadline {
            // SAFETY: our own child.
            unsafe { libc::kill(child, libc::SIGKILL) };
            panic!("the child hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(status, 0);
    assert_eq!(patient.calls("destroy").len() + patient.calls("shutdown").len(), 0);
    patient.unblock();
    assert!(patient.queue.shutdown(within(5000)));
}

#[test]
fn a_batch_says_its_signal_and_never_comes_to_a_plugin_that_does_not_take_it() {
    let folder = Folder::new();
    let sample = CPlugin {
        signals: "1u << TRACER_SIGNAL_METRICS",
        more: "#define OWN_EXPORT
#include <stdio.h>
static tracer_code export_batch(tracer_instance *it, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error)
{ (void)it; (void)timeout_ms; snprintf(error->message, sizeof error->message, \"signal %u, %u items, attempt %u\",
    (unsigned)batch->signal, (unsigned)batch->item_count, (unsigned)batch->attempt); return TRACER_ERR_PERMANENT; }"
            .to_owned(),
        ..CPlugin::default()
    };
    sample.install(&folder);
    let library = loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
    assert!(library.accepts(Signal::Metrics) && !library.accepts(Signal::Traces));
    let instance = Instance::create(library, &backend("sample"), &json!({}), REBIRTH).unwrap();
    let said = |signal| {
        let batch = FinishedBatch {
            id: 1,
            signal,
            body: vec![1],
            start: 0,
            item_count: 7,
            per_service: Vec::new(),
            facts: BatchFacts::default(),
        };
        match instance.export(&batch, &Try { attempt: 3, ..Try::first() }, Duration::from_secs(1), &unwatched) {
            Outcome::Rejected { message } => message,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(said(Signal::Metrics), "signal 2, 7 items, attempt 3");
    assert_eq!(said(Signal::Traces), "its plugin takes no traces");
}

#[test]
fn restarts_are_given_back_with_time() {
    let folder = Folder::new();
    let library = misbehaving();
    let rebirth = Rebirth { pauses: [Duration::from_millis(1); 3], forgotten_after: Duration::from_millis(100) };
    let config = json!({ "mode": "panic", "report": folder.join("report") });
    let instance = Instance::create(library, &settings("recovers"), &config, rebirth).unwrap();
    for id in 1..8 {
        let calls = Mutex::new(Vec::new());
        let watch = |function, _: Duration| calls.lock().unwrap().push(function);
        let outcome = instance.export(&batch_of(id, 1, &[(0, 1)]), &Try::first(), Duration::from_secs(1), &watch);
        assert!(matches!(outcome, Outcome::Rejected { .. }), "{id}: {outcome:?}");
        let expected: &[&str] = if id == 1 { &["export_batch"] } else { &["create", "export_batch"] };
        assert_eq!(*calls.lock().unwrap(), expected);
        std::thread::sleep(Duration::from_millis(150));
    }
}

fn all_signals() -> libc::sigset_t {
    let mut all = std::mem::MaybeUninit::zeroed();
    // SAFETY: a place for a set of signals, which this fills.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        all.assume_init()
    }
}

fn blocked_signals() -> Vec<i32> {
    let mut blocked = all_signals();
    // SAFETY: asks for the mask of this thread, and for signals that there are.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut blocked);
        (1..=64).filter(|signal| libc::sigismember(&blocked, *signal) == 1).collect()
    }
}

/// Lets all signals through, and blocks one: on the host's thread, and, in stats, on the application's own.
const CHANGES_MASKS: &str = "#define OWN_EXPORT
int pthread_sigmask(int how, const unsigned long *set, unsigned long *before);
/* SIG_SETMASK, SIGUSR2: a compiler of C99 alone does not know them. */
static void change(void) { unsigned long one[16] = { 1ul << 11 }; pthread_sigmask(2, one, 0); }
static tracer_code export_batch(tracer_instance *it, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error)
{ (void)it; (void)batch; (void)timeout_ms; (void)error; change(); return TRACER_OK; }
static tracer_code my_stats(const tracer_instance *it, tracer_stats *out) { (void)it; (void)out; change(); return TRACER_OK; }";

#[test]
fn signals_that_a_plugin_lets_through_or_blocks_are_as_before_when_it_returns() {
    let folder = Folder::new();
    let functions = "validate, create, export_batch, timed, timed, destroy, my_stats, get_extension";
    CPlugin { more: CHANGES_MASKS.to_owned(), functions, ..CPlugin::default() }.install(&folder);
    let library = loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
    let instance = Instance::create(library, &backend("masks"), &json!({}), REBIRTH).unwrap();
    logged();
    let ends = std::thread::spawn(move || {
        crate::quiet_thread::block_signals();
        let before = blocked_signals();
        instance.export(&batch_of(1, 1, &[(0, 1)]), &Try::first(), Duration::from_secs(1), &unwatched);
        assert_eq!(blocked_signals(), before, "on a thread of the host's");
        // SAFETY: a thread of this test's, as the application's are.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &all_signals(), std::ptr::null_mut()) };
        instance.count();
        assert!(instance.counted().is_some());
        assert_eq!(blocked_signals(), [0; 0], "on one of the application's");
    });
    ends.join().unwrap();
    let said = logged_about("changed which signals its thread takes");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].2.starts_with("the export_batch of plugin `sample` "), "{said:?}");
}

/// What is thrown: nothing of Rust's, and of no language that anybody catches.
const THROWS: &str = "#define OWN_EXPORT
#include <unwind.h>
static void forget(_Unwind_Reason_Code reason, struct _Unwind_Exception *it) { (void)reason; (void)it; }
static struct _Unwind_Exception thrown = { .exception_class = 0x464f524549474e00, .exception_cleanup = forget };
static tracer_code export_batch(tracer_instance *it, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error)
{ (void)it; (void)batch; (void)timeout_ms; (void)error; _Unwind_RaiseException(&thrown); return TRACER_OK; }";

#[test]
fn what_is_thrown_out_of_a_plugin_ends_the_process_and_the_plugin_is_named_before() {
    const FOLDER: &str = "PLUGIN_THAT_THROWS";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let plugins = Plugins { dirs: vec![folder.into()], entries: Vec::new(), allow_world_writable: false };
        let library = loader(Trust::Lenient).load("sample", &plugins).unwrap();
        let instance = Instance::create(library, &backend("throws"), &json!({}), REBIRTH).unwrap();
        instance.export(&batch_of(1, 1, &[(0, 1)]), &Try::first(), Duration::from_secs(1), &unwatched);
        return;
    }
    let folder = Folder::new();
    CPlugin { more: THROWS.to_owned(), ..CPlugin::default() }.install(&folder);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.env(FOLDER, &folder.0).arg("what_is_thrown_out_of_a_plugin_ends_the_process");
    let ended = child.arg("--nocapture").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    let line = "tracer-resolver: ERROR: an exception, or the end of its thread, came out of the export_batch of plugin \
                `sample`, which its contract forbids; the process ends\n";
    assert!(said.contains(line), "{said}");
}
