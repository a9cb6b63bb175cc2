/* SPDX-License-Identifier: Apache-2.0
 *
 * tracer_plugin.hpp: the boundary in C++11 of plugins of tracer_plugin.h, which stays the specification.
 *
 * Write a class, and hand out its table:
 *
 *   class Mine : public tracer::backend {
 *     public:
 *       static void validate(const std::string &config_json);           // throws tracer::error::config
 *       explicit Mine(const tracer_create_args &args);                  // copies what it keeps; args.host may be kept
 *       void export_batch(const tracer_batch &batch, uint32_t timeout_ms); // throws tracer::error::retryable and so on
 *   };
 *   static constexpr tracer_plugin TABLE = tracer::boundary<Mine>::table("mine", "1.0.0", "{...}");
 *   const tracer_plugin *tracer_plugin_v1(uint32_t) { return &TABLE; }
 *
 * A tracer::error that is thrown becomes its code. Any other exception is caught, named by its type, and poisons the
 * instance: TRACER_ERR_PANIC, and nothing of the class is called any more but its destructor. Nothing crosses the boundary.
 *
 * Build with -fvisibility=hidden -static-libstdc++ -static-libgcc -Wl,--version-script=tracer_plugin.map.
 *
 * JSON: the settings come as text. A parser that is one header (nlohmann/json, picojson) or one file (yyjson, cJSON,
 * simdjson) goes into the plugin; a shared library of the system's may come in another version with the application.
 * The host has checked the schema, so that a key that is there has its type; what is not there, is not filled in. Let no
 * parser's message repeat a value: it may be a secret.
 */
#ifndef TRACER_PLUGIN_HPP
#define TRACER_PLUGIN_HPP

#include "tracer_plugin.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>

#if defined(__GNUC__) || defined(__clang__)
#include <cxxabi.h>
#define TRACER_HAS_CXXABI 1
#endif

namespace tracer {

inline std::string text(tracer_str of) { return of.len == 0 ? std::string() : std::string(of.ptr, of.len); }

template <size_t Size> constexpr tracer_str literal(const char (&of)[Size]) { return tracer_str{of, Size - 1}; }

/* What a call came to, with all that the host may be told. */
class error : public std::runtime_error {
  public:
    error(tracer_code code, const std::string &message) : std::runtime_error(message), code_(code) {}

    /* `field` is a JSON pointer into the settings, "/tls/ca_file". */
    static error config(const std::string &field, const std::string &message) {
        error it(TRACER_ERR_CONFIG, message);
        it.field_ = field;
        return it;
    }
    static error retryable(const std::string &message, uint32_t retry_after_ms = 0) {
        error it(TRACER_ERR_RETRYABLE, message);
        it.retry_after_ms_ = retry_after_ms;
        return it;
    }
    static error permanent(const std::string &message) { return error(TRACER_ERR_PERMANENT, message); }
    static error partial(uint32_t rejected_items, const std::string &message) {
        error it(TRACER_ERR_PARTIAL, message);
        it.rejected_items_ = rejected_items;
        return it;
    }
    static error timeout(const std::string &message) { return error(TRACER_ERR_TIMEOUT, message); }
    static error credentials(const std::string &message) { return error(TRACER_ERR_CREDENTIALS, message); }
    static error unsupported(const std::string &message) { return error(TRACER_ERR_UNSUPPORTED, message); }

    /* What the next try of the batch is to know: see tracer_error.retry_cookie. */
    error &&with_cookie(uint64_t cookie) && {
        cookie_ = cookie;
        return std::move(*this);
    }

    /* Fills in *out, which may be NULL or short, and returns the code. */
    tracer_code tell(tracer_error *out) const noexcept {
        if (out == nullptr) return code_;
        if (TRACER_HAS(out, tracer_error, retry_after_ms)) out->retry_after_ms = retry_after_ms_;
        if (TRACER_HAS(out, tracer_error, rejected_items)) out->rejected_items = rejected_items_;
        if (TRACER_HAS(out, tracer_error, retry_cookie)) out->retry_cookie = cookie_;
        if (TRACER_HAS(out, tracer_error, field)) put(out->field, sizeof out->field, field_.c_str());
        return tell(out, code_, what());
    }

    static tracer_code tell(tracer_error *out, tracer_code code, const char *message) noexcept {
        if (out != nullptr && TRACER_HAS(out, tracer_error, code)) out->code = code;
        if (out != nullptr && TRACER_HAS(out, tracer_error, message)) put(out->message, sizeof out->message, message);
        return code;
    }

  private:
    /* One line, cut between characters. */
    static void put(char *to, size_t size, const char *from) noexcept {
        size_t length = std::strlen(from);
        if (length >= size) {
            /* Not before a byte 10xxxxxx, which goes on with a character. */
            for (length = size - 1; length > 0 && (static_cast<unsigned char>(from[length]) & 0xc0) == 0x80; length--) {
            }
        }
        for (size_t at = 0; at < length; at++) {
            const unsigned char c = static_cast<unsigned char>(from[at]);
            to[at] = c < 0x20 || c == 0x7f ? ' ' : from[at];
        }
        to[length] = 0;
    }

    tracer_code code_;
    uint32_t retry_after_ms_ = 0;
    uint32_t rejected_items_ = 0;
    uint64_t cookie_ = 0;
    std::string field_;
};

/* The way back to the application. A copy may be kept until the backend's destructor has returned. */
class host {
  public:
    explicit host(const tracer_host *of) : of_(of) {}

    void log(uint32_t level, const std::string &target, const std::string &message) const noexcept {
        if (of_ == nullptr || !TRACER_HAS(of_, tracer_host, log) || of_->log == nullptr) return;
        of_->log(of_->ctx, level, tracer_str{target.data(), target.size()}, tracer_str{message.data(), message.size()});
    }

    bool is_logged(uint32_t level) const noexcept {
        if (of_ == nullptr || !TRACER_HAS(of_, tracer_host, is_logged) || of_->is_logged == nullptr) return true;
        return of_->is_logged(of_->ctx, level) != 0;
    }

    bool is_export_thread() const noexcept {
        if (of_ == nullptr || !TRACER_HAS(of_, tracer_host, is_export_thread)) return false;
        return of_->is_export_thread != nullptr && of_->is_export_thread(of_->ctx) != 0;
    }

    /* NULL: this host has none of this id. */
    const void *extension(const std::string &id) const noexcept {
        if (of_ == nullptr || !TRACER_HAS(of_, tracer_host, get_extension) || of_->get_extension == nullptr) return nullptr;
        return of_->get_extension(of_->ctx, tracer_str{id.data(), id.size()});
    }

  private:
    const tracer_host *of_;
};

/* What a class need not write. */
class backend {
  public:
    static void validate(const std::string &) {}
    static const void *extension(const std::string &) { return nullptr; }
    /* A class with a `static void after_fork()` forgets there what is its parent's: see TRACER_EXT_AFTER_FORK. */
    static constexpr void (*after_fork)() = nullptr;
    void flush(uint32_t) {}
    void shutdown(uint32_t) {}
    /* False: it does not count. `out` is whole: what the host is too old for is left out. */
    bool stats(tracer_stats &) const { return false; }
};

/* Makes `call`, and lets nothing out of it. `panicked` is called while what is no tracer::error is handled; it throws
 * nothing. */
template <typename Call, typename Panicked>
tracer_code guarded(tracer_error *told, Call call, Panicked panicked) noexcept {
    try {
        call();
        return TRACER_OK;
    } catch (const error &why) {
        return why.tell(told);
    } catch (...) {
        panicked();
        return TRACER_ERR_PANIC;
    }
}

/* The type of the exception that is being handled, and what it says. */
inline std::string name_of_exception() {
    std::string name = "an exception of an unknown type", said;
#ifdef TRACER_HAS_CXXABI
    if (const std::type_info *type = abi::__cxa_current_exception_type()) {
        int failed = 0;
        char *plain = abi::__cxa_demangle(type->name(), nullptr, nullptr, &failed);
        name = failed == 0 && plain != nullptr ? plain : type->name();
        std::free(plain);
    }
#endif
    try {
        throw;
    } catch (const std::exception &why) {
        said = why.what();
    } catch (...) {
    }
    return said.empty() ? name : name + ": " + said;
}

/* From a class to the table. */
template <typename Backend> class boundary {
  public:
    /* Texts are literals. `signals` and `capabilities` as in tracer_plugin. */
    template <size_t Type, size_t Version, size_t Schema>
    static constexpr tracer_plugin table(const char (&type_name)[Type], const char (&version)[Version],
                                         const char (&schema)[Schema], uint64_t capabilities = 0,
                                         uint32_t signals = 1u << TRACER_SIGNAL_TRACES) {
        return tracer_plugin{sizeof(tracer_plugin),
                             TRACER_ABI_MAJOR,
                             TRACER_ABI_MINOR,
                             capabilities,
                             signals,
                             1u << TRACER_ENCODING_OTLP_PROTOBUF,
                             literal(type_name),
                             literal(version),
                             tracer_str{"C++", 3},
                             literal(schema),
                             validate,
                             create,
                             export_batch,
                             flush,
                             shutdown,
                             destroy,
                             stats,
                             get_extension,
                             nullptr};
    }

  private:
    struct instance {
        explicit instance(const tracer_create_args &args) : backend(args) {}
        Backend backend;
        /* Set by the first exception that is no tracer::error; never cleared. */
        std::atomic<bool> is_poisoned{false};
    };

    static instance *of(tracer_instance *raw) { return reinterpret_cast<instance *>(raw); }

    template <typename Call> static tracer_code without_instance(tracer_error *told, Call call) noexcept {
        return guarded(told, call, [&] { tell_exception(told); });
    }

    template <typename Call> static tracer_code on(tracer_instance *raw, tracer_error *told, Call call) noexcept {
        instance *it = of(raw);
        if (it->is_poisoned) return error::tell(told, TRACER_ERR_PANIC, "an earlier call threw");
        return guarded(told, [&] { call(it->backend); }, [&] {
            it->is_poisoned = true;
            tell_exception(told);
        });
    }

    static void tell_exception(tracer_error *told) noexcept {
        try {
            error::tell(told, TRACER_ERR_PANIC, name_of_exception().c_str());
        } catch (...) {
            error::tell(told, TRACER_ERR_PANIC, "an exception that cannot be put into words");
        }
    }

    static std::string config_of(tracer_str config_json) { return config_json.len == 0 ? "{}" : text(config_json); }

    static tracer_code validate(const tracer_validate_args *args, tracer_error *told) noexcept {
        return without_instance(told, [&] { Backend::validate(config_of(args->config_json)); });
    }

    static tracer_code create(const tracer_create_args *args, tracer_instance **out, tracer_error *told) noexcept {
        return without_instance(told, [&] { *out = reinterpret_cast<tracer_instance *>(new instance(*args)); });
    }

    static tracer_code export_batch(tracer_instance *raw, const tracer_batch *batch, uint32_t timeout_ms,
                                    tracer_error *told) noexcept {
        if (batch->encoding != TRACER_ENCODING_OTLP_PROTOBUF) {
            return error::tell(told, TRACER_ERR_UNSUPPORTED, "only OTLP protobuf is supported");
        }
        return on(raw, told, [&](Backend &it) { it.export_batch(*batch, timeout_ms); });
    }

    static tracer_code flush(tracer_instance *raw, const tracer_call *call, tracer_error *told) noexcept {
        return on(raw, told, [&](Backend &it) { it.flush(call->timeout_ms); });
    }

    static tracer_code shutdown(tracer_instance *raw, const tracer_call *call, tracer_error *told) noexcept {
        return on(raw, told, [&](Backend &it) { it.shutdown(call->timeout_ms); });
    }

    static void destroy(tracer_instance *raw) noexcept {
        /* A destructor that throws is its own end; one that may is contained here. */
        (void)without_instance(nullptr, [&] { delete of(raw); });
    }

    static tracer_code stats(const tracer_instance *raw, tracer_stats *out) noexcept {
        tracer_stats counted = tracer_stats();
        bool counts = false;
        const uint32_t size = out->struct_size;
        const tracer_code code = on(const_cast<tracer_instance *>(raw), nullptr,
                                    [&](const Backend &it) { counts = it.stats(counted); });
        if (code != TRACER_OK) return code;
        if (!counts) return TRACER_ERR_UNSUPPORTED;
        counted.struct_size = size;
        std::memcpy(static_cast<void *>(out), &counted, size < sizeof counted ? size : sizeof counted);
        return TRACER_OK;
    }

    /* A function, where a compiler knows that one is never NULL. */
    static bool is_there(void (*forget)()) noexcept { return forget != nullptr; }

    static void after_fork() noexcept {
        (void)without_instance(nullptr, [] { void (*const forget)() = Backend::after_fork; forget(); });
    }

    static const void *get_extension(tracer_str id) noexcept {
        static const tracer_after_fork FORKS = {sizeof(tracer_after_fork), 0, after_fork};
        const void *found = nullptr;
        if (is_there(Backend::after_fork) && id.len == sizeof TRACER_EXT_AFTER_FORK - 1 &&
            std::memcmp(id.ptr, TRACER_EXT_AFTER_FORK, id.len) == 0) {
            return &FORKS;
        }
        (void)without_instance(nullptr, [&] { found = Backend::extension(text(id)); });
        return found;
    }
};

} // namespace tracer

#endif /* TRACER_PLUGIN_HPP */
