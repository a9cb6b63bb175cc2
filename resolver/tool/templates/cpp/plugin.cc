// The backend plugin `@NAME@`: it counts what it is given, and says so in the application's log. Put what ships a batch
// into `export_batch`. What each function may do, and on which thread it runs, stands in tracer_plugin.h; what becomes of an
// exception, in tracer_plugin.hpp.
#include "tracer_plugin.hpp"

namespace {

class Backend : public tracer::backend {
  public:
    // Says what a schema cannot, with `throw tracer::error::config("/key", "…")`: the host has checked the schema.
    static void validate(const std::string &) {}

    // `args.host` is valid until the destructor has run; nothing else of `args` after this.
    explicit Backend(const tracer_create_args &args) : host_(args.host) {}

    // Ships one batch within `timeout_ms`. `throw tracer::error::retryable("…")` is tried again by the host, `permanent` is
    // not; `credentials` is for a 401 or 403.
    void export_batch(const tracer_batch &batch, uint32_t timeout_ms) {
        (void)timeout_ms;
        if (batch.signal != TRACER_SIGNAL_TRACES) throw tracer::error::unsupported("only traces are supported");
        if (host_.is_logged(TRACER_LOG_DEBUG)) {
            host_.log(TRACER_LOG_DEBUG, "@NAME@",
                      std::to_string(batch.item_count) + " items in " + std::to_string(batch.body.len) + " bytes");
        }
        items_ += batch.item_count;
        batches_ += 1;
    }

    // On any thread, beside an export.
    bool stats(tracer_stats &out) const {
        out.items_sent = items_;
        out.batches_sent = batches_;
        return true;
    }

  private:
    tracer::host host_;
    std::atomic<uint64_t> items_{0};
    std::atomic<uint64_t> batches_{0};
};

constexpr tracer_plugin PLUGIN =
    tracer::boundary<Backend>::table("@NAME@", "0.1.0", "{\"type\": \"object\", \"additionalProperties\": false}");

} // namespace

const tracer_plugin *tracer_plugin_v1(uint32_t) { return &PLUGIN; }
