/* The backend plugin `@NAME@`: it counts what it is given, and says so in the application's log. Put what ships a batch
 * into `ship`. What each function may do, and on which thread it runs, stands in tracer_plugin.h. */
#include "tracer_plugin.h"

#include <stdio.h>
#include <stdlib.h>

struct tracer_instance {
    const tracer_host *host; /* Valid until destroy returns. */
    uint64_t items;          /* These two are read by stats, on any thread. */
    uint64_t batches;
};

static tracer_code fail(tracer_error *error, tracer_code code, const char *message) {
    if (error != NULL && TRACER_HAS(error, tracer_error, code)) error->code = code;
    if (error != NULL && TRACER_HAS(error, tracer_error, message)) {
        snprintf(error->message, sizeof error->message, "%s", message);
    }
    return code;
}

static void say(const tracer_instance *me, uint32_t level, const char *text, int length) {
    static const tracer_str TARGET = {"@NAME@", sizeof "@NAME@" - 1};
    tracer_str message = {text, (size_t)length};
    if (me->host->log != NULL) me->host->log(me->host->ctx, level, TARGET, message);
}

/* Ships one batch within `timeout_ms`. TRACER_ERR_RETRYABLE is tried again by the host, TRACER_ERR_PERMANENT is not; for
 * a 401 or 403 return TRACER_ERR_CREDENTIALS. */
static tracer_code ship(tracer_instance *me, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error) {
    char text[80];
    (void)timeout_ms;
    (void)error;
    say(me, TRACER_LOG_DEBUG, text, snprintf(text, sizeof text, "%lu items in %lu bytes", (unsigned long)batch->item_count,
                                             (unsigned long)batch->body.len));
    return TRACER_OK;
}

static tracer_code validate(const tracer_validate_args *args, tracer_error *error) {
    /* The host has checked the schema of args->config_json; say here what a schema cannot. */
    (void)args;
    (void)error;
    return TRACER_OK;
}

static tracer_code create(const tracer_create_args *args, tracer_instance **out, tracer_error *error) {
    tracer_instance *me = calloc(1, sizeof *me);
    if (me == NULL) return fail(error, TRACER_ERR_INTERNAL, "out of memory");
    me->host = args->host;
    *out = me;
    return TRACER_OK;
}

static tracer_code export_batch(tracer_instance *me, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error) {
    tracer_code code;
    if (batch->signal != TRACER_SIGNAL_TRACES || batch->encoding != TRACER_ENCODING_OTLP_PROTOBUF) {
        return fail(error, TRACER_ERR_UNSUPPORTED, "only traces in OTLP protobuf are supported");
    }
    code = ship(me, batch, timeout_ms, error);
    if (code == TRACER_OK) {
        __atomic_fetch_add(&me->items, batch->item_count, __ATOMIC_RELAXED);
        __atomic_fetch_add(&me->batches, 1, __ATOMIC_RELAXED);
    }
    return code;
}

static tracer_code flush(tracer_instance *me, const tracer_call *call, tracer_error *error) {
    (void)me, (void)call, (void)error; /* Nothing is held back. */
    return TRACER_OK;
}

static tracer_code shutdown_(tracer_instance *me, const tracer_call *call, tracer_error *error) {
    (void)me, (void)call, (void)error; /* Threads, if there are any, are joined here. */
    return TRACER_OK;
}

static void destroy(tracer_instance *me) { free(me); }

static tracer_code stats(const tracer_instance *me, tracer_stats *out) {
    if (TRACER_HAS(out, tracer_stats, items_sent)) out->items_sent = __atomic_load_n(&me->items, __ATOMIC_RELAXED);
    if (TRACER_HAS(out, tracer_stats, batches_sent)) out->batches_sent = __atomic_load_n(&me->batches, __ATOMIC_RELAXED);
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
    .accepted_signals = 1u << TRACER_SIGNAL_TRACES,
    .accepted_encodings = 1u << TRACER_ENCODING_OTLP_PROTOBUF,
    .type_name = TEXT("@NAME@"),
    .version = TEXT("0.1.0"),
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
