/* The table, and what a Go library does to its process by itself and a plugin must not: its handlers of signals are taken
 * back as soon as its runtime runs, and in a forked child, where that runtime does not, nothing of it is called. */
#define _GNU_SOURCE
#include "boundary.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "_cgo_export.h"

struct tracer_instance {
    uintptr_t backend; /* A handle of Go's: its memory may not be kept by C. */
};

static struct sigaction before[NSIG];
static pid_t loaded_by;

/* Runs before Go's own start, which is one of the constructors without a number. */
__attribute__((constructor(101))) static void remember_handlers(void) {
    loaded_by = getpid();
    for (int signal = 1; signal < NSIG; signal++) sigaction(signal, NULL, &before[signal]);
}

/* Runs after it: the linker puts the constructors of C behind Go's. */
__attribute__((constructor)) static void take_handlers_back(void) {
    goReady(); /* Waits until Go's runtime runs. */
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction now;
        if (sigaction(signal, NULL, &now) == 0 && now.sa_sigaction != before[signal].sa_sigaction) {
            sigaction(signal, &before[signal], NULL);
        }
    }
}

static int is_forked(void) { return getpid() != loaded_by; }

tracer_code tell(tracer_error *told, tracer_code code, const char *message) {
    if (told != NULL && TRACER_HAS(told, tracer_error, code)) told->code = code;
    if (told != NULL && TRACER_HAS(told, tracer_error, message)) {
        size_t length = strlen(message);
        if (length >= sizeof told->message) {
            /* Between characters: not before a byte 10xxxxxx. */
            for (length = sizeof told->message - 1; length > 0 && (message[length] & 0xc0) == 0x80; length--) {
            }
        }
        memcpy(told->message, message, length);
        told->message[length] = 0;
        for (char *at = told->message; *at != 0; at++) {
            if (*at == '\n' || *at == '\r') *at = ' ';
        }
    }
    return code;
}

void say(const tracer_host *host, uint32_t level, const char *line) {
    static const tracer_str TARGET = {"@NAME@", sizeof "@NAME@" - 1};
    tracer_str text = {line, strlen(line)};
    if (host->log != NULL) host->log(host->ctx, level, TARGET, text);
}

static tracer_code validate(const tracer_validate_args *args, tracer_error *error) {
    return is_forked() ? TRACER_OK : goValidate(args->config_json, error);
}

static tracer_code create(const tracer_create_args *args, tracer_instance **out, tracer_error *error) {
    tracer_instance *me;
    tracer_code code;
    if (is_forked()) return tell(error, TRACER_ERR_UNSUPPORTED, "a plugin in Go does not work in a forked child");
    me = calloc(1, sizeof *me);
    if (me == NULL) return tell(error, TRACER_ERR_INTERNAL, "out of memory");
    code = goCreate(args->config_json, (tracer_host *)args->host, &me->backend, error);
    if (code == TRACER_OK) *out = me;
    else free(me);
    return code;
}

static tracer_code export_batch(tracer_instance *me, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error) {
    if (batch->signal != TRACER_SIGNAL_TRACES || batch->encoding != TRACER_ENCODING_OTLP_PROTOBUF) {
        return tell(error, TRACER_ERR_UNSUPPORTED, "only traces in OTLP protobuf are supported");
    }
    return goExport(me->backend, (void *)batch->body.ptr, batch->body.len, batch->item_count, timeout_ms, error);
}

static tracer_code flush(tracer_instance *me, const tracer_call *call, tracer_error *error) {
    (void)me, (void)call, (void)error; /* Nothing is held back. */
    return TRACER_OK;
}

static tracer_code shutdown_(tracer_instance *me, const tracer_call *call, tracer_error *error) {
    (void)me, (void)call, (void)error; /* destroy closes. */
    return TRACER_OK;
}

static void destroy(tracer_instance *me) {
    goDestroy(me->backend);
    free(me);
}

static tracer_code stats(const tracer_instance *me, tracer_stats *out) {
    uint64_t items = 0, batches = 0;
    goStats(me->backend, &items, &batches);
    if (TRACER_HAS(out, tracer_stats, items_sent)) out->items_sent = items;
    if (TRACER_HAS(out, tracer_stats, batches_sent)) out->batches_sent = batches;
    return TRACER_OK;
}

static const void *get_extension(tracer_str id) {
    (void)id;
    return NULL;
}

#define TEXT(literal) {literal, sizeof literal - 1}

static const tracer_plugin PLUGIN = {
    .struct_size = sizeof(tracer_plugin),
    .abi_major = TRACER_ABI_MAJOR,
    .abi_minor = TRACER_ABI_MINOR,
    .capabilities = TRACER_CAP_NOT_IN_FORKED_CHILDREN,
    .accepted_signals = 1u << TRACER_SIGNAL_TRACES,
    .accepted_encodings = 1u << TRACER_ENCODING_OTLP_PROTOBUF,
    .type_name = TEXT("@NAME@"),
    .version = TEXT("0.1.0"),
    .build_info = TEXT("Go"),
    .config_schema = TEXT("{\"type\": \"object\", \"additionalProperties\": false}"),
    .validate = validate,
    .create = create,
    .export_batch = export_batch,
    .flush = flush,
    .shutdown = shutdown_,
    .destroy = destroy,
    .stats = stats,
    .get_extension = get_extension,
};

const tracer_plugin *tracer_plugin_v1(uint32_t host_minor) {
    (void)host_minor;
    return &PLUGIN;
}
