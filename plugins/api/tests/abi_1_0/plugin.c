/* A plugin of ABI 1.0, as an author built it when that was new: from the header beside it, which is that of 1.0 and not today's.
 * Every later host must load it and give it what 1.0 promised. Never changed: `resolver/src/plugin/tests/compatibility.rs` runs
 * it, and knows its hash and that of the header. */
#include "tracer_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tracer_instance {
    const tracer_host *host;
    uint64_t items;
};

static tracer_code fail(tracer_error *error, tracer_code code, const char *message) {
    if (error != NULL && error->struct_size >= 536) snprintf(error->message, sizeof error->message, "%s", message);
    return code;
}

static tracer_code validate(const tracer_validate_args *args, tracer_error *error) {
    if (args->struct_size < 24) return fail(error, 9, "validate's arguments are too short");
    if (args->config_json.len == 2 && memcmp(args->config_json.ptr, "{}", 2) == 0) return 0;
    snprintf(error->field, sizeof error->field, "/no");
    return fail(error, 1, "no settings are known");
}

static tracer_code create(const tracer_create_args *args, tracer_instance **out, tracer_error *error) {
    tracer_instance *me;
    tracer_str target = {"old", 3}, line = {"created", 7}, id = {"nobody/1", 8};
    const tracer_host *host = args->host;
    if (args->struct_size < 56 || host->struct_size < 80 || host->abi_major != 1) return fail(error, 9, "too short");
    if (!host->is_logged(host->ctx, 1) || host->is_export_thread(host->ctx)) return fail(error, 9, "where am I?");
    if (host->get_extension(host->ctx, id) != NULL) return fail(error, 9, "what is this?");
    host->log(host->ctx, 2, target, line);
    me = calloc(1, sizeof *me);
    me->host = host;
    *out = me;
    return 0;
}

static tracer_code export_batch(tracer_instance *me, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error) {
    if (batch->struct_size < 88 || timeout_ms == 0 || batch->encoding != 1) return fail(error, 9, "too short");
    if (!me->host->is_export_thread(me->host->ctx)) return fail(error, 9, "which thread is this?");
    if (batch->service_count != 1 || memcmp(batch->service_names[0].ptr, "orders", 6) != 0) return fail(error, 9, "whose?");
    if (batch->attempt == 1) {
        error->retry_cookie = 11;
        error->retry_after_ms = 3;
        return fail(error, 2, "once more");
    }
    if (batch->attempt == 3) return fail(error, 10, "who are you?");
    if (batch->retry_cookie != 11 || batch->flags != 1) return fail(error, 9, "which try is this?");
    me->items += batch->item_count;
    return 0;
}

static tracer_code flush(tracer_instance *me, const tracer_call *call, tracer_error *error) {
    (void)me;
    return call->struct_size >= 8 ? 0 : fail(error, 9, "too short");
}

static void destroy(tracer_instance *me) { free(me); }

static int forks;

static tracer_code stats(const tracer_instance *me, tracer_stats *out) {
    if (TRACER_HAS(out, tracer_stats, items_sent)) out->items_sent = me->items;
    if (TRACER_HAS(out, tracer_stats, reconnects)) out->reconnects = (uint64_t)forks;
    return 0;
}

static void after_fork(void) { forks++; }

static const void *get_extension(tracer_str id) {
    static const tracer_after_fork AFTER_FORK = {sizeof AFTER_FORK, 0, after_fork};
    return id.len == strlen(TRACER_EXT_AFTER_FORK) && memcmp(id.ptr, TRACER_EXT_AFTER_FORK, id.len) == 0 ? &AFTER_FORK : NULL;
}

#define TEXT(literal) {literal, sizeof literal - 1}
static const tracer_plugin PLUGIN = {
    sizeof(tracer_plugin), 1, 0, 1, 1u << 1, 1u << 1, TEXT("sample"), TEXT("1.0.0"), TEXT(""),
    TEXT("{\"type\": \"object\"}"), validate, create, export_batch, flush, flush, destroy, stats, get_extension, NULL,
};

const tracer_plugin *tracer_plugin_v1(uint32_t host_minor) {
    (void)host_minor;
    return &PLUGIN;
}
