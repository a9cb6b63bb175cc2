// The backend plugin `@NAME@`: it counts what it is given, and says so in the application's log. Put what ships a batch
// into `Backend::ship`. What each function may do, and on which thread it runs, stands in tracer_plugin.h.
#include "tracer_plugin.h"

#include <atomic>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

class Backend {
  public:
    // `host` is valid until the destructor has run; nothing else of `args` after this.
    explicit Backend(const tracer_create_args &args) : host_(args.host) {}

    // Ships one batch within `timeout_ms`. TRACER_ERR_RETRYABLE is tried again by the host, TRACER_ERR_PERMANENT is not.
    tracer_code ship(const tracer_batch &batch, uint32_t timeout_ms) {
        (void)timeout_ms;
        say(TRACER_LOG_DEBUG, std::to_string(batch.item_count) + " items in " + std::to_string(batch.body.len) + " bytes");
        items_ += batch.item_count;
        batches_ += 1;
        return TRACER_OK;
    }

    uint64_t items() const { return items_; }
    uint64_t batches() const { return batches_; }

  private:
    void say(uint32_t level, const std::string &text) const {
        static const tracer_str TARGET = {"@NAME@", sizeof "@NAME@" - 1};
        const tracer_str message = {text.data(), text.size()};
        if (host_->log != nullptr) host_->log(host_->ctx, level, TARGET, message);
    }

    const tracer_host *host_;
    // Read by stats, on any thread.
    std::atomic<uint64_t> items_{0};
    std::atomic<uint64_t> batches_{0};
};

tracer_code fail(tracer_error *error, tracer_code code, const char *message) noexcept {
    if (error != nullptr && TRACER_HAS(error, tracer_error, code)) error->code = code;
    if (error != nullptr && TRACER_HAS(error, tracer_error, message)) {
        std::snprintf(error->message, sizeof error->message, "%s", message);
    }
    return code;
}

// The boundary: nothing is thrown out of it.
template <typename Call> tracer_code guarded(tracer_error *error, Call call) noexcept {
    try {
        return call();
    } catch (const std::exception &why) {
        return fail(error, TRACER_ERR_PANIC, why.what());
    } catch (...) {
        return fail(error, TRACER_ERR_PANIC, "an exception without a message");
    }
}

Backend &backend_of(tracer_instance *instance) { return *reinterpret_cast<Backend *>(instance); }

const Backend &backend_of(const tracer_instance *instance) { return *reinterpret_cast<const Backend *>(instance); }

tracer_code validate(tracer_str, tracer_error *) {
    // The host has checked the schema; say here what a schema cannot.
    return TRACER_OK;
}

tracer_code create(const tracer_create_args *args, tracer_instance **out, tracer_error *error) {
    return guarded(error, [&] {
        *out = reinterpret_cast<tracer_instance *>(new Backend(*args));
        return TRACER_OK;
    });
}

tracer_code export_batch(tracer_instance *instance, const tracer_batch *batch, uint32_t timeout_ms, tracer_error *error) {
    return guarded(error, [&] {
        if (batch->signal != TRACER_SIGNAL_TRACES || batch->encoding != TRACER_ENCODING_OTLP_PROTOBUF) {
            return fail(error, TRACER_ERR_UNSUPPORTED, "only traces in OTLP protobuf are supported");
        }
        return backend_of(instance).ship(*batch, timeout_ms);
    });
}

tracer_code flush(tracer_instance *, uint32_t, tracer_error *) {
    return TRACER_OK; // Nothing is held back.
}

tracer_code shutdown(tracer_instance *, uint32_t, tracer_error *) {
    return TRACER_OK; // Threads, if there are any, are joined here.
}

void destroy(tracer_instance *instance) {
    guarded(nullptr, [&] {
        delete reinterpret_cast<Backend *>(instance);
        return TRACER_OK;
    });
}

tracer_code stats(const tracer_instance *instance, tracer_stats *out) {
    if (TRACER_HAS(out, tracer_stats, items_sent)) out->items_sent = backend_of(instance).items();
    if (TRACER_HAS(out, tracer_stats, batches_sent)) out->batches_sent = backend_of(instance).batches();
    return TRACER_OK;
}

const void *get_extension(tracer_str) { return nullptr; }

template <size_t Size> constexpr tracer_str text(const char (&literal)[Size]) { return {literal, Size - 1}; }

constexpr tracer_plugin PLUGIN = {
    sizeof(tracer_plugin),
    TRACER_ABI_MAJOR,
    TRACER_ABI_MINOR,
    0, // capabilities
    1u << TRACER_SIGNAL_TRACES,
    1u << TRACER_ENCODING_OTLP_PROTOBUF,
    text("@NAME@"),
    text("0.1.0"),
    text(""), // build_info
    text("{\"type\": \"object\", \"additionalProperties\": false}"),
    validate,
    create,
    export_batch,
    flush,
    shutdown,
    destroy,
    stats,
    get_extension,
};

} // namespace

const tracer_plugin *tracer_plugin_v1(uint32_t) { return &PLUGIN; }
