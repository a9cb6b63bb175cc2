/* A plugin of ABI 1.0, as an author built it when that was new: it has the layout of its header in here, and includes nothing
 * of today's. Every later host must load it and give it what 1.0 promised. Never changed: compatibility.rs knows its hash. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str { const char *ptr; size_t len; };
struct bytes { const uint8_t *ptr; size_t len; };
struct error {
    uint32_t struct_size; int32_t code; uint32_t retry_after_ms, rejected_items; uint64_t retry_cookie;
    char field[128], message[384];
};
struct batch {
    uint32_t struct_size, signal, encoding, item_count; struct bytes body; uint64_t batch_id; uint32_t attempt, flags;
    uint64_t retry_cookie, oldest_start_unix_ns, first_attempt_unix_ns; const struct str *service_names;
    uint32_t service_count, resource_count;
};
struct validate_args { uint32_t struct_size, timeout_ms; struct str config_json; };
struct call { uint32_t struct_size, timeout_ms; };
struct stats {
    uint32_t struct_size, in_flight;
    uint64_t items_sent, items_rejected, batches_sent, batches_failed, bytes_sent, reconnects;
};
struct host {
    uint32_t struct_size; uint16_t abi_major, abi_minor; struct str name, version; void *ctx;
    void (*log)(void *, uint32_t, struct str, struct str); const void *(*get_extension)(void *, struct str);
    int32_t (*is_logged)(void *, uint32_t); int32_t (*is_export_thread)(void *);
};
struct create_args {
    uint32_t struct_size, max_concurrency; const struct host *host; struct str backend_name, config_json;
    uint32_t timeout_ms, reserved;
};
struct mine { const struct host *host; uint64_t items; };
struct plugin {
    uint32_t struct_size; uint16_t abi_major, abi_minor; uint64_t capabilities;
    uint32_t accepted_signals, accepted_encodings; struct str type_name, version, build_info, config_schema;
    int32_t (*validate)(const struct validate_args *, struct error *);
    int32_t (*create)(const struct create_args *, struct mine **, struct error *);
    int32_t (*export_batch)(struct mine *, const struct batch *, uint32_t, struct error *);
    int32_t (*flush)(struct mine *, const struct call *, struct error *);
    int32_t (*shutdown)(struct mine *, const struct call *, struct error *);
    void (*destroy)(struct mine *);
    int32_t (*stats)(const struct mine *, struct stats *);
    const void *(*get_extension)(struct str);
    int32_t (*reconfigure)(struct mine *, const struct create_args *, struct error *);
};
typedef char layout[sizeof(struct error) == 536 && sizeof(struct batch) == 88 && sizeof(struct host) == 80 &&
                            sizeof(struct create_args) == 56 && sizeof(struct plugin) == 160 ? 1 : -1];

static int32_t fail(struct error *error, int32_t code, const char *message) {
    if (error != NULL && error->struct_size >= 536) snprintf(error->message, sizeof error->message, "%s", message);
    return code;
}

static int32_t validate(const struct validate_args *args, struct error *error) {
    if (args->struct_size < 24) return fail(error, 9, "validate's arguments are too short");
    if (args->config_json.len == 2 && memcmp(args->config_json.ptr, "{}", 2) == 0) return 0;
    snprintf(error->field, sizeof error->field, "/no");
    return fail(error, 1, "no settings are known");
}

static int32_t create(const struct create_args *args, struct mine **out, struct error *error) {
    struct mine *me;
    struct str target = {"old", 3}, line = {"created", 7}, id = {"nobody/1", 8};
    const struct host *host = args->host;
    if (args->struct_size < 56 || host->struct_size < 80 || host->abi_major != 1) return fail(error, 9, "too short");
    if (!host->is_logged(host->ctx, 1) || host->is_export_thread(host->ctx)) return fail(error, 9, "where am I?");
    if (host->get_extension(host->ctx, id) != NULL) return fail(error, 9, "what is this?");
    host->log(host->ctx, 2, target, line);
    me = calloc(1, sizeof *me);
    me->host = host;
    *out = me;
    return 0;
}

static int32_t export_batch(struct mine *me, const struct batch *batch, uint32_t timeout_ms, struct error *error) {
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

static int32_t flush(struct mine *me, const struct call *call, struct error *error) {
    (void)me;
    return call->struct_size >= 8 ? 0 : fail(error, 9, "too short");
}

static void destroy(struct mine *me) { free(me); }

static int32_t stats(const struct mine *me, struct stats *out) {
    if (out->struct_size >= 16) out->items_sent = me->items;
    return 0;
}

static const void *get_extension(struct str id) {
    (void)id;
    return NULL;
}

#define TEXT(literal) {literal, sizeof literal - 1}
static const struct plugin PLUGIN = {
    sizeof(struct plugin), 1, 0, 1, 1u << 1, 1u << 1, TEXT("sample"), TEXT("1.0.0"), TEXT(""),
    TEXT("{\"type\": \"object\"}"), validate, create, export_batch, flush, flush, destroy, stats, get_extension, NULL,
};

__attribute__((visibility("default"))) const struct plugin *tracer_plugin_v1(uint32_t host_minor) {
    (void)host_minor;
    return &PLUGIN;
}
