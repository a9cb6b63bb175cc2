/* A plugin that keeps every rule of `plugins check`, or breaks the one that the variable FAULT names. It speaks just enough
 * HTTP for the check's collector. */
#define _GNU_SOURCE
#include "tracer_plugin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEXT(literal) {literal, sizeof literal - 1}

struct tracer_instance {
    const tracer_host *host;
    struct sockaddr_in backend; /* Port 0: the settings name none. */
    char config[4096];
    pthread_mutex_t lock; /* Of the connection, and of nothing that stats reads. */
    int connection;       /* -1: none. */
    int died;
    pthread_t thread;
    int has_thread, ends;
    uint64_t items, batches;
    uint32_t in_flight;
    /* For faults. */
    const char *kept;
    size_t kept_len;
};

static const char *fault;
static pid_t loaded_by;
static tracer_plugin plugin;
static tracer_instance *latest;
static __thread tracer_instance *of_this_thread;
static int busy;
static int woken; /* Calls after a fork. */

static int is(const char *name) { return fault != NULL && strcmp(fault, name) == 0; }
static int *volatile nowhere;
static void crash(void) { *nowhere = 1; }

static void *idle(void *unused) {
    (void)unused;
    for (;;) pause();
    return NULL;
}

static void start_thread(int blocked) {
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, blocked ? &all : NULL, &before);
    pthread_create(&thread, NULL, idle, NULL);
    if (blocked) pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void pause_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

static long now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static tracer_code fail(tracer_error *error, tracer_code code, const char *field, const char *message) {
    if (is("code-77")) return 77;
    if (is("null-crash")) error->code = code;
    if (error == NULL) return is("null-other") ? TRACER_ERR_UNSUPPORTED : code;
    if (is("error-zeroed")) memset(error, 0, sizeof *error);
    if (TRACER_HAS(error, tracer_error, code)) error->code = is("code-differs") ? TRACER_ERR_PARTIAL : code;
    if (TRACER_HAS(error, tracer_error, field)) snprintf(error->field, sizeof error->field, "%s", field);
    if (is("no-message")) return code;
    if (is("error-unasked") || TRACER_HAS(error, tracer_error, message)) {
        snprintf(error->message, sizeof error->message, "%s", message);
        if (is("two-lines")) strcpy(error->message, "one\ntwo");
        if (is("not-utf8")) strcpy(error->message, "\xc3");
        if (is("no-nul")) memset(error->message, 'x', sizeof error->message);
    }
    return code;
}

static void say(tracer_instance *me, uint32_t level, const char *text) {
    static const tracer_str TARGET = TEXT("breaking"), NOBODY = {NULL, 0};
    tracer_str message = {text, strlen(text)};
    if (is("log-unasked") || me->host->log != NULL) {
        me->host->log(me->host->ctx, level, is("log-no-target") ? NOBODY : TARGET, message);
    }
}

static tracer_code validated(tracer_str config, tracer_error *error) {
    char text[4096] = "";
    if (config.len < sizeof text && config.len > 0) memcpy(text, config.ptr, config.len);
    if (is("validate-reads-on") && config.ptr != NULL && strlen(config.ptr) > 100000) return TRACER_OK;
    if (is("validate-writes")) fclose(fopen("left-behind", "w"));
    if (is("validate-thread")) start_thread(1);
    if (is("validate-opens")) open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (is("validate-refuses")) return fail(error, TRACER_ERR_CONFIG, "/endpoint", "I do not like it");
    if (is("validate-busy")) {
        if (__atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST)) return TRACER_ERR_INTERNAL;
        pause_ms(1);
        __atomic_store_n(&busy, 0, __ATOMIC_SEQ_CST);
    }
    if (config.len == 0) return TRACER_OK;
    if (text[0] != '{' || text[strlen(text) - 1] != '}') {
        tracer_code code = is("validate-code") ? TRACER_ERR_PERMANENT : TRACER_ERR_CONFIG;
        return fail(error, code, is("validate-field") ? "endpoint" : "", is("tells-secrets") ? text : "the settings are no table");
    }
    if (strstr(text, "\"checked\"") != NULL) return fail(error, TRACER_ERR_CONFIG, "/checked", "there is no such key");
    return TRACER_OK;
}

static tracer_code validate(const tracer_validate_args *args, tracer_error *error) {
    if (is("exact-sizes-validate") && args->struct_size != sizeof *args) return fail(error, TRACER_ERR_UNSUPPORTED, "", "who?");
    return validated(args->config_json, error);
}

static void *sleeper(void *instance) {
    tracer_instance *me = instance;
    while (!__atomic_load_n(&me->ends, __ATOMIC_SEQ_CST)) {
        if (is("keeps-body-in-thread") && me->kept != NULL && me->kept[0] == 1) pause_ms(0);
        pause_ms(5);
    }
    return NULL;
}

static void *late(void *host) {
    const tracer_host *of_host = host;
    tracer_str text = TEXT("too late");
    pause_ms(50);
    of_host->log(of_host->ctx, TRACER_LOG_INFO, text, text);
    return NULL;
}

static tracer_code create(const tracer_create_args *args, tracer_instance **out, tracer_error *error) {
    tracer_instance *me = calloc(1, sizeof *me);
    const char *address;
    tracer_code code;
    sigset_t all, before;
    if (me == NULL) return fail(error, TRACER_ERR_INTERNAL, "", "out of memory");
    if (is("exact-sizes") && args->struct_size != sizeof *args) {
        free(me);
        return fail(error, TRACER_ERR_UNSUPPORTED, "", "another host than mine");
    }
    code = validated(args->config_json, NULL);
    if (code != TRACER_OK) {
        if (is("out-on-error")) *out = me;
        else free(me);
        return fail(error, is("create-code") ? TRACER_ERR_RETRYABLE : code, "", "the settings are no table");
    }
    me->host = args->host;
    me->connection = -1;
    pthread_mutex_init(&me->lock, NULL);
    if (args->config_json.len < sizeof me->config) memcpy(me->config, args->config_json.ptr, args->config_json.len);
    if (is("keeps-config")) me->kept = args->config_json.ptr;
    if (is("keeps-name")) me->kept = args->backend_name.ptr;
    address = strstr(me->config, "http://");
    if (address != NULL) {
        char host[16] = "";
        unsigned port = 0;
        if (sscanf(address, "http://%15[0-9.]:%u", host, &port) == 2) {
            me->backend.sin_family = AF_INET;
            me->backend.sin_port = htons((uint16_t)port);
            inet_pton(AF_INET, host, &me->backend.sin_addr);
        }
    }
    if (is("create-connects") || is("create-sleeps")) {
        int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int failed = connect(socket_, (struct sockaddr *)&me->backend, sizeof me->backend);
        if (failed == 0 && is("create-sleeps")) pause_ms(3000);
        close(socket_);
        if (failed != 0) return fail(error, TRACER_ERR_INTERNAL, "", "the backend is not there");
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    if (is("thread-unblocked")) pthread_sigmask(SIG_SETMASK, &before, NULL);
    me->has_thread = pthread_create(&me->thread, NULL, sleeper, me) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is("thread-left")) start_thread(1);
    if (is("handler")) signal(SIGPIPE, SIG_IGN);
    if (is("environment")) setenv("BREAKING", "1", 1);
    if (is("folder")) chdir("/");
    if (is("umask")) umask(0);
    if (is("locale")) setlocale(LC_ALL, "C.UTF-8");
    if (is("limit")) setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (is("stdout-replaced")) dup2(2, 1);
    if (is("descriptor-left")) open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (is("table-changes")) plugin.capabilities ^= TRACER_CAP_NETWORK;
    if (is("after-fork-needed") && (getpid() != loaded_by) != woken) return fail(error, TRACER_ERR_INTERNAL, "", "where am I?");
    if ((is("fork-refuses") || is("not-in-children")) && getpid() != loaded_by) return fail(error, TRACER_ERR_INTERNAL, "", "not in a child");
    if (is("fork-hangs") && getpid() != loaded_by) idle(NULL);
    latest = me;
    of_this_thread = me;
    *out = me;
    return TRACER_OK;
}

/* Reads at most `len` bytes before the deadline: what recv returns, or -2 when the time is over. */
static ssize_t receive(tracer_instance *me, char *to, size_t len, long deadline) {
    struct pollfd one = {me->connection, POLLIN, 0};
    long left = is("time-for-each-read") ? 600 : deadline - now_ms();
    if (left <= 0 || poll(&one, 1, (int)left) == 0) return -2;
    return recv(me->connection, to, len, 0);
}

static int connected(tracer_instance *me) {
    if (me->connection >= 0) return 1;
    if (is("stays-dead") && me->died) return 0;
    me->connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(me->connection, (struct sockaddr *)&me->backend, sizeof me->backend) == 0) return 1;
    close(me->connection);
    me->connection = -1;
    return 0;
}

static void hang_up(tracer_instance *me) {
    close(me->connection);
    me->connection = -1;
    me->died = 1;
}

static tracer_code posted(tracer_instance *me, const tracer_batch *batch, long deadline, tracer_error *error) {
    char text[4096];
    size_t got = 0;
    int length, status = 0;
    const char *after;
    if (!connected(me)) {
        if (is("unreachable-is-ok")) return TRACER_OK;
        return fail(error, is("unreachable-is-final") ? TRACER_ERR_PERMANENT : TRACER_ERR_RETRYABLE, "", "cannot connect");
    }
    length = snprintf(text, sizeof text, "POST /v1/traces HTTP/1.1\r\nHost: check\r\nContent-Length: %lu\r\n\r\n",
                      (unsigned long)batch->body.len);
    if (is("repeats-answer")) length = snprintf(text, sizeof text, "POST / HTTP/1.1\r\nX-Settings: %s\r\nContent-Length: %lu\r\n\r\n",
                                                me->config, (unsigned long)batch->body.len);
    if (is("foreign")) length = snprintf(text, sizeof text, "HELLO\r\n");
    if (send(me->connection, text, (size_t)length, MSG_NOSIGNAL) < 0 ||
        send(me->connection, batch->body.ptr, batch->body.len, MSG_NOSIGNAL) < 0) {
        hang_up(me);
        return fail(error, TRACER_ERR_RETRYABLE, "", "the connection broke");
    }
    if (is("answers-nobody")) return TRACER_OK;
    for (text[0] = 0; strstr(text, "\r\n\r\n") == NULL && got + 1 < sizeof text; text[got] = 0) {
        ssize_t more = receive(me, text + got, is("time-for-each-read") ? 1 : sizeof text - got - 1, deadline);
        if (more == -2 || (is("time-for-each-read") && got > 90)) {
            hang_up(me);
            return fail(error, is("timeout-is-retryable") ? TRACER_ERR_RETRYABLE : TRACER_ERR_TIMEOUT, "", "no answer in time");
        }
        if (more <= 0) {
            hang_up(me);
            return fail(error, is("hang-up-is-final") ? TRACER_ERR_PERMANENT : TRACER_ERR_RETRYABLE, "", "no answer");
        }
        got += (size_t)more;
    }
    sscanf(text, "HTTP/1.1 %d", &status);
    if (status == 200) return TRACER_OK;
    if (is("far-too-many") && status == 400 && error != NULL) {
        error->rejected_items = 4000000000u;
        return fail(error, TRACER_ERR_PARTIAL, "", "refused: 400");
    }
    if (status == 401 || status == 403) {
        tracer_code final = is("unknown-is-retryable") ? TRACER_ERR_RETRYABLE : TRACER_ERR_PERMANENT;
        int is_final = is("unknown-is-final") || is("no-secrets-final") || is("unknown-is-retryable") || (is("forbidden-is-final") && status == 403);
        hang_up(me); /* With what is left of the body. */
        for (char *at = text; *at != 0; at++) if (*at < ' ') *at = ' ';
        return fail(error, is_final ? final : TRACER_ERR_CREDENTIALS, "", is("repeats-answer") ? text : "refused: 401 or 403");
    }
    if (status == 400) return fail(error, is("refused-is-retryable") ? TRACER_ERR_RETRYABLE : TRACER_ERR_PERMANENT, "", "refused: 400");
    if (is("busy-is-final")) return fail(error, TRACER_ERR_PERMANENT, "", "busy: 503");
    after = strstr(text, "Retry-After: ");
    fail(error, TRACER_ERR_RETRYABLE, "", "busy: 503");
    if (error != NULL && after != NULL && TRACER_HAS(error, tracer_error, retry_after_ms) && !is("busy-forgets")) {
        error->retry_after_ms = (uint32_t)atoi(after + 13) * 1000;
    }
    return is("code-77") ? 77 : TRACER_ERR_RETRYABLE;
}

static tracer_code export_batch(tracer_instance *me, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error) {
    if (is("takes-nothing")) {
        char message[64];
        snprintf(message, sizeof message, "not in process %ld", (long)getpid());
        return fail(error, TRACER_ERR_RETRYABLE, "", message);
    }
    long deadline = now_ms() + timeout_ms;
    tracer_code code = TRACER_OK;
    if (is("export-crashes")) crash();
    if (is("export-exits")) exit(3);
    if (is("export-aborts")) abort();
    if (is("export-hangs")) idle(NULL);
    if (is("prints")) puts("exporting"), fflush(stdout);
    if (is("exact-sizes-batch") && batch->struct_size != sizeof *batch) return TRACER_ERR_INTERNAL;
    if (is("refuses-metrics") && batch->signal == TRACER_SIGNAL_METRICS) return fail(error, TRACER_ERR_PERMANENT, "", "what?");
    if (is("one-instance") && me != latest) return fail(error, TRACER_ERR_INTERNAL, "", "who?");
    if (is("one-thread") && me != of_this_thread) return fail(error, TRACER_ERR_INTERNAL, "", "who?");
    if (is("one-at-once")) {
        if (__atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST)) return fail(error, TRACER_ERR_INTERNAL, "", "one at a time");
        pause_ms(5);
        __atomic_store_n(&busy, 0, __ATOMIC_SEQ_CST);
    }
    if (is("writes-body")) ((uint8_t *)batch->body.ptr)[0] ^= 1;
    if (is("reads-beyond") && batch->body.ptr[batch->body.len] == 1) return TRACER_OK;
    if (is("garbage-crashes") && batch->body.ptr[0] == 0xff) crash();
    if (is("refuses-unknown") && batch->body.ptr[batch->body.len - 1] == 0) return fail(error, TRACER_ERR_PERMANENT, "", "what?");
    if ((is("keeps-config") || is("keeps-name")) && me->kept[0] == 1) return TRACER_OK;
    if (is("keeps-body") && me->kept != NULL && me->kept[0] == 1) return TRACER_OK;
    if (is("keeps-body") || is("keeps-body-in-thread")) me->kept = (const char *)batch->body.ptr;
    if (is("log-level")) say(me, 9, "exporting");
    if (is("log-not-utf8")) say(me, TRACER_LOG_INFO, "\xff");
    if (is("log-lines")) say(me, TRACER_LOG_INFO, "one\ntwo");
    if (is("log-no-target") || is("log-unasked")) say(me, TRACER_LOG_INFO, "exporting");
    if (is("log-secrets")) say(me, TRACER_LOG_INFO, me->config);
    if (is("log-chatter")) for (int i = 0; i < 100; i++) say(me, TRACER_LOG_INFO, "exporting");
    if (is("partial")) return fail(error, TRACER_ERR_PARTIAL, "", "one is too old");
    __atomic_add_fetch(&me->in_flight, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&me->lock);
    if (me->backend.sin_port != 0) code = posted(me, batch, deadline, error);
    for (int try = 0; is("retries") && code == TRACER_ERR_RETRYABLE && try < 3; try++) code = posted(me, batch, deadline, error);
    pthread_mutex_unlock(&me->lock);
    if (!is("stays-in-flight")) __atomic_sub_fetch(&me->in_flight, 1, __ATOMIC_SEQ_CST);
    if (code == TRACER_OK && !is("counts-nothing")) {
        __atomic_add_fetch(&me->items, batch->item_count, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&me->batches, 1, __ATOMIC_SEQ_CST);
    }
    return code;
}

static tracer_code flush(tracer_instance *me, const tracer_call *call, tracer_error *error) {
    (void)me;
    if (is("exact-sizes-call") && call->struct_size != sizeof *call) return fail(error, TRACER_ERR_INTERNAL, "", "who?");
    if (is("flush-waits")) pause_ms(3000);
    if (is("flush-fails")) return fail(error, TRACER_ERR_PERMANENT, "", "nothing to flush");
    return TRACER_OK;
}

static void join(tracer_instance *me) {
    __atomic_store_n(&me->ends, 1, __ATOMIC_SEQ_CST);
    if (me->has_thread) pthread_join(me->thread, NULL);
    me->has_thread = 0;
}

static tracer_code shutdown_(tracer_instance *me, const tracer_call *call, tracer_error *error) {
    (void)call;
    if (is("shutdown-waits")) pause_ms(3000);
    if (is("shutdown-fails")) return fail(error, TRACER_ERR_INTERNAL, "", "I do not want to");
    join(me);
    return TRACER_OK;
}

static void destroy(tracer_instance *me) {
    pthread_t thread;
    if (is("destroy-crashes")) crash();
    if (is("logs-late")) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        pthread_create(&thread, NULL, late, (void *)me->host);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (is("destroy-needs-shutdown") && me->has_thread) return;
    join(me);
    if (me->connection >= 0) close(me->connection);
    if (!is("one-instance")) memset(me, 0, sizeof *me);
    free(me);
}

static tracer_code stats(const tracer_instance *me, tracer_stats *out) {
    if (is("stats-locks")) {
        pthread_mutex_lock((pthread_mutex_t *)&me->lock);
        pthread_mutex_unlock((pthread_mutex_t *)&me->lock);
    }
    if (is("stats-code")) return TRACER_ERR_RETRYABLE;
    if (is("stats-whole")) *out = (tracer_stats){.struct_size = sizeof *out};
    if (TRACER_HAS(out, tracer_stats, in_flight)) out->in_flight = __atomic_load_n(&me->in_flight, __ATOMIC_SEQ_CST);
    if (TRACER_HAS(out, tracer_stats, items_sent)) out->items_sent = __atomic_load_n(&me->items, __ATOMIC_SEQ_CST);
    if (TRACER_HAS(out, tracer_stats, batches_sent)) out->batches_sent = __atomic_load_n(&me->batches, __ATOMIC_SEQ_CST);
    return TRACER_OK;
}

static void after_fork(void) {
    if (is("after-fork-crashes")) crash();
    woken++;
}

static const void *get_extension(tracer_str id) {
    static const tracer_after_fork AFTER_FORK = {sizeof(tracer_after_fork), 0, after_fork}, SHORT = {4, 0, after_fork};
    if (fault != NULL && strncmp(fault, "after-fork", 10) == 0 && id.len == sizeof TRACER_EXT_AFTER_FORK - 1 &&
        memcmp(id.ptr, TRACER_EXT_AFTER_FORK, id.len) == 0) {
        return is("after-fork-short") ? &SHORT : &AFTER_FORK;
    }
    return is("any-extension") ? &plugin : NULL;
}

#define PROPERTIES(more) \
    "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"endpoint\": {\"type\": \"string\", " \
    "\"description\": \"Where to.\"}, \"token\": {\"type\": \"string\", \"x-secret\": true, \"description\": \"Sent along.\"}" more "}}"

static void set_text(tracer_str *text, const char *to) { *text = (tracer_str){to, strlen(to)}; }

__attribute__((constructor)) static void begin(void) {
    fault = getenv("FAULT");
    loaded_by = getpid();
    if (is("constructor-crashes")) crash();
    if (is("constructor-exits")) _exit(4);
    if (is("constructor-chdir")) chdir("/");
    if (is("constructor-socket")) socket(AF_INET, SOCK_STREAM, 0);
    if (is("constructor-handler")) signal(SIGUSR1, SIG_IGN);
    plugin = (tracer_plugin){
        .struct_size = sizeof(tracer_plugin),
        .abi_major = TRACER_ABI_MAJOR,
        .abi_minor = TRACER_ABI_MINOR,
        .capabilities = TRACER_CAP_CONCURRENT_EXPORT | TRACER_CAP_NETWORK,
        .accepted_signals = 1u << TRACER_SIGNAL_TRACES | 1u << TRACER_SIGNAL_METRICS,
        .accepted_encodings = 1u << TRACER_ENCODING_OTLP_PROTOBUF,
        .type_name = TEXT("breaking"),
        .version = TEXT("1.0"),
        .config_schema = TEXT(PROPERTIES("")),
        .validate = validate,
        .create = create,
        .export_batch = export_batch,
        .flush = flush,
        .shutdown = shutdown_,
        .destroy = destroy,
        .stats = stats,
        .get_extension = get_extension,
    };
    if (is("short-table")) plugin.struct_size = 100;
    if (is("long-table")) plugin.struct_size += 8;
    if (is("null-function")) plugin.stats = NULL;
    if (is("other-major")) plugin.abi_major = 2;
    if (is("capital-name")) set_text(&plugin.type_name, "Breaking");
    if (is("no-version")) plugin.version.len = 0;
    if (is("counted-nul")) plugin.version.len++;
    if (is("version-not-utf8")) set_text(&plugin.version, "\xff");
    if (is("must-understand")) plugin.capabilities |= (uint64_t)1 << 40;
    if (is("no-encoding")) plugin.accepted_encodings = 0;
    if (is("schema-anchor")) set_text(&plugin.config_schema, "{\"type\": \"object\", \"additionalProperties\": false, \"$anchor\": \"a\"}");
    if (is("no-secrets-final"))
        set_text(&plugin.config_schema, "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": "
                                        "{\"endpoint\": {\"type\": \"string\", \"description\": \"Where to.\"}}}");
    if (is("not-in-children")) plugin.capabilities |= TRACER_CAP_NOT_IN_FORKED_CHILDREN;
    if (is("schema-not-json")) set_text(&plugin.config_schema, "{");
    if (is("schema-open")) set_text(&plugin.config_schema, "{\"type\": \"object\"}");
    if (is("schema-no-type")) set_text(&plugin.config_schema, "{\"additionalProperties\": false}");
    if (is("schema-open-within"))
        set_text(&plugin.config_schema, PROPERTIES(", \"tls\": {\"description\": \"x\", \"type\": \"object\", \"properties\": {}}"));
    if (is("schema-undescribed")) set_text(&plugin.config_schema, PROPERTIES(", \"path\": {\"type\": \"integer\"}"));
    if (is("schema-secret")) set_text(&plugin.config_schema, PROPERTIES(", \"api_key\": {\"description\": \"x\", \"type\": \"string\"}"));
    if (is("schema-secrets"))
        set_text(&plugin.config_schema,
                 PROPERTIES(", \"headers\": {\"description\": \"x\", \"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}}"));
}

__attribute__((destructor)) static void end(void) {
    if (is("destructor-crashes")) crash();
    if (is("destructor-frees") && latest != NULL) memset((void *)latest->host, 0, 8);
    if (is("fork-exit-crashes") && getpid() != loaded_by) crash();
    if (is("fork-exit-hangs") && getpid() != loaded_by) idle(NULL);
}

#ifdef STRAY
TRACER_PLUGIN_EXPORT int stray(void) { return 1; }
#endif
#ifdef UNVERSIONED
int of_nobody(void);
TRACER_PLUGIN_EXPORT int (*const uses)(void) = of_nobody;
#endif
#ifdef TEXT_RELOCATION
__asm__(".text\n.quad tracer_plugin_v1\n");
#endif
#ifdef NO_ENTRY
#define tracer_plugin_v1 tracer_plugin_v9
TRACER_PLUGIN_EXPORT const tracer_plugin *tracer_plugin_v9(uint32_t host_minor);
#endif

const tracer_plugin *tracer_plugin_v1(uint32_t host_minor) {
    static tracer_plugin others[2];
    static int turn;
    if (is("two-tables")) {
        turn = !turn;
        others[turn] = plugin;
        return &others[turn];
    }
    if (is("entry-thread")) start_thread(1);
    if (is("entry-opens")) open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (is("entry-environment")) setenv("BREAKING", "1", 1);
    if (is("refuses-newer") && host_minor > TRACER_ABI_MINOR) return NULL;
    if (is("refuses-all")) return NULL;
    return &plugin;
}
