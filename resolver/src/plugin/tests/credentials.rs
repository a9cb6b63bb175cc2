//! Refused credentials: files are read anew, the instance is made anew, and the batch is tried by it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::credentials::{Credentials, Look};
use super::*;
use crate::config::{self, Source, Variables, load_with};
use crate::export::test_words::{batch_of, eventually};
use crate::export::{Exporter, Outcome, Try, Watch};

/// Takes a batch if its token is "good", and says which instance it was. What happens is written to the log.
const TOKENS: &str = r#"
#define OWN_VALIDATE
#define OWN_EXPORT
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
struct mine { const tracer_host *host; char token[64]; };
static void say(const tracer_host *host, const char *what, const char *token) {
    char line[128];
    tracer_str target = {"tokens", 6}, message = {line, 0};
    message.len = (size_t)snprintf(line, sizeof line, "%s %.3s", what, token);
    host->log(host->ctx, TRACER_LOG_WARN, target, message);
}
static void token_of(tracer_str config, char *to) {
    char text[1024] = "";
    const char *at;
    memcpy(text, config.ptr, config.len < 1000 ? config.len : 1000);
    at = strstr(text, "\"token\":\"");
    sscanf(at == NULL ? "" : at + 9, "%60[^\"]", to);
}
static tracer_code validate(const tracer_validate_args *args, tracer_error *error) {
    char token[64] = "";
    token_of(args->config_json, token);
    if (strncmp(token, "odd", 3) != 0) return TRACER_OK;
    if (strchr(token, '@') != NULL && access(strchr(token, '@') + 1, F_OK) == 0) return TRACER_OK;
    snprintf(error->message, sizeof error->message, "I do not like %s", token);
    return TRACER_ERR_CONFIG;
}
static tracer_code my_create(const tracer_create_args *args, tracer_instance **out, tracer_error *error) {
    struct mine *me = calloc(1, sizeof *me);
    (void)error;
    me->host = args->host;
    token_of(args->config_json, me->token);
    say(me->host, "create", me->token);
    /* It takes its time, until the file is there that stands behind the colon. */
    while (strchr(me->token, ':') != NULL && access(strchr(me->token, ':') + 1, F_OK) != 0) usleep(1000);
    *out = (tracer_instance *)me;
    return TRACER_OK;
}
static tracer_code export_batch(tracer_instance *it, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error) {
    struct mine *me = (struct mine *)it;
    (void)batch; (void)timeout_ms;
    if (strncmp(me->token, "good", 4) == 0) return TRACER_OK;
    /* The server is told of it later. */
    if (strchr(me->token, '@') != NULL && access(strchr(me->token, '@') + 1, F_OK) == 0) return TRACER_OK;
    snprintf(error->message, sizeof error->message, "401 of %s", me->token);
    error->retry_cookie = 3;
    return TRACER_ERR_CREDENTIALS;
}
static tracer_code my_shutdown(tracer_instance *it, const tracer_call *call, tracer_error *error) {
    const char *token = ((struct mine *)it)->token;
    (void)call;
    say(((struct mine *)it)->host, "shutdown", token);
    if (strncmp(token, "sad", 3) != 0) return TRACER_OK;
    snprintf(error->message, sizeof error->message, "%s is not over", token);
    return TRACER_ERR_INTERNAL;
}
static void my_destroy(tracer_instance *it) {
    say(((struct mine *)it)->host, "destroy", ((struct mine *)it)->token);
    free(it);
}
"#;

struct Rotating {
    instance: Instance,
    folder: Folder,
    name: &'static str,
}

impl Rotating {
    fn new(name: &'static str, token: &str) -> Self {
        let folder = Folder::new();
        fs::write(folder.join("token"), token).unwrap();
        let written = json!(format!("${{file:{}}}", folder.join("token").display()));
        Self::with(name, folder, &written)
    }

    fn with(name: &'static str, folder: Folder, written: &Value) -> Self {
        logged();
        let functions = "validate, my_create, export_batch, timed, my_shutdown, my_destroy, stats, get_extension";
        let schema = r#"{"type":"object","properties":{"token":{"type":"string","x-secret":true}}}"#;
        CPlugin { more: TOKENS.to_owned(), functions, schema, ..CPlugin::default() }.install(&folder);
        let file = folder.join("file.toml");
        let text = format!(
            "version = 1\n[backends.{name}]\nplugin = \"sample\"\nconfig = {{ token = {written} }}\n\
             [services.shop]\ntopics = [\"*\"]\n"
        );
        fs::write(&file, text).unwrap();
        let settings = settings_in(&file, name);
        let library = loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
        let instance = Instance::create(library, &settings, &settings.config, Rebirth::default()).unwrap();
        Self { instance, folder, name }
    }

    fn holds(&self, token: &str) {
        fs::write(self.folder.join("token"), token).unwrap();
    }

    /// Whoever starts from now on waits until the file is there that this names. In /tmp: a token has 60 bytes.
    fn starts_slowly(&self) -> String {
        let open = format!("/tmp/tr-{}-{}", self.name, std::process::id());
        let _ = fs::remove_file(&open);
        self.holds(&format!("good:{open}"));
        open
    }

    fn export(&self) -> Outcome {
        self.export_watched(&unwatched)
    }

    fn export_watched(&self, watch: Watch<'_>) -> Outcome {
        self.instance.export(&batch_of(1, 1, &[(0, 1)]), &Try::first(), Duration::from_secs(1), watch)
    }

    /// Why it is to be tried again.
    fn waits(&self) -> (Option<Duration>, String) {
        self.waits_watched(&unwatched)
    }

    fn waits_watched(&self, watch: Watch<'_>) -> (Option<Duration>, String) {
        match self.export_watched(watch) {
            Outcome::Retry { after, cookie: 3, message, .. } => (after, message),
            other => panic!("{other:?}"),
        }
    }

    /// What the plugin did so far: its functions and the beginnings of their tokens.
    fn did(&self) -> Vec<String> {
        self.instance.tick();
        let mine = format!("backend `{}`: ", self.name);
        let lines = logged_about(&mine).into_iter().filter(|(_, target, _)| target == "tracer_plugin::tokens");
        lines.map(|(_, _, text)| text.replace(&mine, "")).collect()
    }
}

fn settings_in(file: &Path, name: &str) -> config::Backend {
    let loaded = load_with(Source::File(file.to_owned()), &Variables::of([("A", "a")]));
    let Some(config) = loaded.config else { panic!("{:?}", loaded.report) };
    config.backends.into_iter().find(|backend| backend.name == name).unwrap()
}

#[test]
fn a_token_that_was_rotated_makes_a_new_instance_and_the_batch_goes_out_with_it() {
    let rotating = Rotating::new("rotates", "old-token");
    let (_, message) = rotating.waits();
    assert_eq!(message, "401 of [redacted] (what its `${file:}` references name has not changed)");
    rotating.holds("good-token\n");
    let calls = Mutex::new(Vec::new());
    let (after, message) = rotating.waits_watched(&|function, timeout| calls.lock().unwrap().push((function, timeout)));
    assert_eq!(message, "401 of [redacted] (its plugin was started anew with what the file says now)");
    assert_eq!(after, None);
    let [short, long] = [1, 10].map(Duration::from_secs);
    assert_eq!(*calls.lock().unwrap(), [("export_batch", short), ("validate", long), ("create", long)]);
    assert_eq!(rotating.export(), Outcome::Exported);
    eventually("the old one ended", || rotating.did().len() == 4);
    assert_eq!(rotating.did(), ["create old", "create goo", "shutdown old", "destroy old"]);
}

#[test]
fn new_instances_are_bounded_and_what_does_not_fit_makes_none() {
    let rotating = Rotating::new("bounded", "old-token");
    rotating.holds("odd-token");
    let (_, message) = rotating.waits();
    assert_eq!(
        message,
        "401 of [redacted] (its `${file:}` references were read anew, in vain: I do not like [redacted])"
    );
    rotating.holds("new-token");
    let (after, message) = rotating.waits();
    assert!(after.is_some_and(|after| after > Duration::from_secs(5) && after <= Duration::from_secs(10)), "{after:?}");
    assert!(message.ends_with("(what the file says was tried only just now)"), "{message}");
    fs::remove_file(rotating.folder.join("token")).unwrap();
    let (_, message) = rotating.waits();
    assert!(message.contains("in vain: ") && message.contains("cannot be read"), "{message}");
    assert_eq!(rotating.did(), ["create old"]);
}

#[test]
fn an_instance_that_was_replaced_and_does_not_end_well_says_so() {
    let rotating = Rotating::new("sad", "sad-token");
    rotating.holds("good-token");
    rotating.waits();
    eventually("the old one ended", || rotating.did().len() == 4);
    let warned = logged_about("backend `sad`: shutdown of an instance that was replaced failed: ");
    let [(log::Level::Warn, _, text)] = &*warned else { panic!("{warned:?}") };
    assert!(text.ends_with("internal error of the plugin: [redacted] is not over"), "{text}");
}

#[test]
fn what_a_file_says_is_tried_until_an_instance_was_made_with_it_and_not_more_often_than_it_may_be() {
    let rotating = Rotating::new("tries", "old-token");
    let library = loader(Trust::Strict).load("sample", &rotating.folder.plugins()).unwrap();
    let mut credentials = Credentials::of(&settings_in(&rotating.folder.join("file.toml"), "tries")).unwrap();
    let known = format!("/tmp/tr-odd-{}", std::process::id());
    rotating.holds(&format!("odd@{known}"));
    let begun = Instant::now();
    let mut after = |seconds| credentials.look(&library, begun + Duration::from_secs(seconds));
    assert!(matches!(after(0), Look::Unfit(_)));
    fs::write(&known, "").unwrap();
    assert!(matches!(after(9), Look::TooSoon(pause) if pause == Duration::from_secs(1)));
    // Nobody has said that one was made.
    assert!(matches!(after(10), Look::Renewed(..)) && matches!(after(20), Look::Renewed(..)));
    fs::remove_file(&known).unwrap();
    credentials.are_used();
    assert!(matches!(credentials.look(&library, begun + Duration::from_secs(30)), Look::Unchanged));
}

/// Without a lock of its own for the files, all that follows waits for the plugin.
#[test]
fn a_plugin_that_starts_slowly_with_a_new_token_keeps_nobody_waiting() {
    let rotating = Rotating::new("slow", "old-token");
    let open = rotating.starts_slowly();
    std::thread::scope(|scope| {
        let starts = scope.spawn(|| rotating.waits().1);
        eventually("it begins to start", || rotating.did().contains(&"create goo".to_owned()));
        // The old one is asked meanwhile, as before; it is refused, as before.
        let (_, message) = rotating.waits();
        assert!(message.ends_with("(its plugin is being started anew at the moment)"), "{message}");
        assert!(rotating.instance.flush(Duration::ZERO, &unwatched));
        assert!(rotating.instance.counted().is_none(), "it does not count");
        fs::write(&open, "").unwrap();
        assert!(starts.join().unwrap().ends_with("(its plugin was started anew with what the file says now)"));
    });
    assert_eq!(rotating.export(), Outcome::Exported);
    fs::remove_file(&open).unwrap();
}

#[test]
fn an_instance_that_is_shut_down_while_its_successor_starts_has_none() {
    let rotating = Rotating::new("leaves", "old-token");
    let open = rotating.starts_slowly();
    std::thread::scope(|scope| {
        let starts = scope.spawn(|| rotating.waits().1);
        eventually("it begins to start", || rotating.did().contains(&"create goo".to_owned()));
        assert!(rotating.instance.shutdown(Duration::from_secs(1)));
        fs::write(&open, "").unwrap();
        assert!(starts.join().unwrap().ends_with("(it was ended meanwhile)"));
    });
    eventually("both are ended", || rotating.did().len() == 6);
    let mut ends = rotating.did().split_off(2);
    ends.sort();
    assert_eq!(ends, ["destroy goo", "destroy old", "shutdown goo", "shutdown old"]);
    fs::remove_file(&open).unwrap();
}

/// What this process cannot mend may be mended where the server is: a user made later, a right that is given. Without a file
/// nothing is read, and nothing made anew.
#[test]
fn a_server_that_knows_the_credentials_later_gets_the_batch_though_nothing_is_in_a_file() {
    let folder = Folder::new();
    let known = format!("/tmp/tr-known-{}", std::process::id());
    let _ = fs::remove_file(&known);
    let rotating = Rotating::with("fixed", folder, &json!(format!("bad@{known}")));
    for _ in 0..2 {
        let why = "none of its settings is from a file: `${file:}` references are read anew when they are refused";
        assert_eq!(rotating.waits(), (None, format!("401 of [redacted] ({why})")));
    }
    fs::write(&known, "").unwrap();
    assert_eq!(rotating.export(), Outcome::Exported);
    assert_eq!(rotating.did(), ["create bad"]);
    fs::remove_file(&known).unwrap();
}
