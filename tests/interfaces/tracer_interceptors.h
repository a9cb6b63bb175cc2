/* SPDX-License-Identifier: Apache-2.0
 *
 * tracer_interceptors.h: what a program can tell libtracer_interceptors.so about its Kafka messages. API 1.1.
 *
 * The library traces every librdkafka client without this. What it cannot see from below is which message a piece of code
 * is at work on, where one thread has several in hand: a list of messages, an event loop, a pool of threads, coroutines. A
 * program that knows says it here, and then each message's span has the true length of its processing, each message that is
 * sent has the right parent, and nothing is guessed.
 *
 *     ti_declare();                                              // once, when the first client is made
 *     ...
 *     ti_processing order = ti_begin_message(message);           // its span begins
 *     ti_processing before = ti_make_current(order);             // what this thread sends now continues its trace
 *     ...
 *     if (failed) ti_fail(order, "CardDeclined", "no funds");    // the span's status and error.type
 *     ti_make_current(before);
 *     ti_end(order);                                             // its span ends
 *
 * It needs C99 or C++11, and links nothing: the functions are looked up in the process. Where the library is not loaded, or
 * nothing is traced, each of them does nothing, and a program needs no other build for that. Include <librdkafka/rdkafka.h>
 * before this file to have ti_begin_message.
 *
 * THREADS   Every function may be called on any thread, several at once, and not in a signal handler. None waits for
 *           a backend or for Kafka. A processing may be begun on one thread and ended on another.
 * NUMBERS   A ti_processing is a number. 0 is none, and so is one that has ended: using it too late, or twice, is harmless.
 * MEMORY    Text is borrowed for the call, NUL-terminated, and UTF-8. Nothing is to be freed.
 * ENDS      What is open when the process ends, in a way that the library sees, ends there with it.
 * FORKS     A child has none of its parent's processings; what is current on the forking thread stays so.
 *
 * Contexts are W3C Trace Context (https://www.w3.org/TR/trace-context/), baggage is W3C Baggage.
 */
#ifndef TRACER_INTERCEPTORS_H
#define TRACER_INTERCEPTORS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The processing of one consumed message; 0 is none. */
typedef uint64_t ti_processing;

/* The library's functions. Fields are only ever appended: one is there if it lies within `struct_size`. */
typedef struct ti_api {
    /* Size of the table that the library has, in bytes. */
    size_t struct_size;
    /* See ti_declare and the functions below of the same names. */
    void (*declare)(void);
    /* `traceparent` and `tracestate` are those of the message's headers, or NULL: they are looked at when the span of its
     * delivery is gone, after two seconds or 2048 messages of its partition. `train` is 0, or see `next_send`. */
    ti_processing (*begin)(const char *topic, int32_t partition, int64_t offset, const char *traceparent,
                           const char *tracestate, uint64_t train);
    ti_processing (*make_current)(ti_processing processing);
    void (*fail)(ti_processing processing, const char *error_type, const char *description);
    void (*end)(ti_processing processing);
    void (*end_all)(void);
    int (*context)(ti_processing processing, char traceparent[56]);
    /* `train` numbers a train of thought, such as a task of an event loop, for programs that take a message for current by
     * the order of their calls only. Given with `begin` and with `next_send`, it keeps the answer to a request from being
     * taken for the cause of the next request. Else 0. With both 0 nothing is said of the next send. */
    void (*next_send)(ti_processing processing, uint64_t train);
    void (*next_send_of)(const char *traceparent, const char *tracestate, const char *baggage);
    void (*pause)(ti_processing processing, int paused);
    /* Since 1.1. */
    size_t (*status)(char *buffer, size_t size);
    int (*reload)(void);
} ti_api;

/* The only symbol that the library exports for this. NULL: it cannot work in this program. */
typedef const ti_api *(*ti_get_api)(void);
#define TI_GET_API "tracer_interceptors_api"
#define TI_LIBRARY "libtracer_interceptors.so"

#ifndef TI_NO_LOOKUP
#include <dlfcn.h>

/* Whether the program has said ti_declare() before the library was there, which then hears of it by the next call. */
static inline int *ti_is_declared(void) {
    static int is_declared;
    return &is_declared;
}

/* The library's functions; NULL while it is not loaded, or where it is older than this header. It is there from the start when
 * it is preloaded, and from the first client on that has it in `plugin.library.paths`. Looked up until it is found, about 1000
 * times at most, on any thread. */
static inline const ti_api *ti_find(void) {
    static const ti_api *found;
    static int looked;
    const ti_api *api = __atomic_load_n(&found, __ATOMIC_ACQUIRE);
    void *symbol, *library;
    ti_get_api get_api;
    if (api || __atomic_load_n(&looked, __ATOMIC_RELAXED) >= 1000) return api;
    __atomic_add_fetch(&looked, 1, __ATOMIC_RELAXED);
    symbol = dlsym(RTLD_DEFAULT, TI_GET_API);
    if (!symbol) {
        /* librdkafka loads its plugins for itself alone; nothing is loaded here that is not there. */
        library = dlopen(TI_LIBRARY, RTLD_LAZY | RTLD_NOLOAD);
        if (library) symbol = dlsym(library, TI_GET_API);
    }
    if (!symbol) return NULL;
    *(void **)&get_api = symbol;
    api = get_api();
    if (!api || api->struct_size < sizeof(ti_api)) return NULL;
    if (__atomic_load_n(ti_is_declared(), __ATOMIC_RELAXED)) api->declare();
    __atomic_store_n(&found, api, __ATOMIC_RELEASE);
    return api;
}

/* From now on this program says what it processes: no message that it sends is taken to follow from what its thread was
 * handed last, and no message has a span before its processing begins. For the whole process, and for good. Where
 * `plugin.library.paths` brings the library: after the first client is made, for it is not there before. */
static inline void ti_declare(void) {
    const ti_api *api = ti_find();
    __atomic_store_n(ti_is_declared(), 1, __ATOMIC_RELAXED);
    if (api) api->declare();
}

/* Begins the processing of a message, by its place in the log. 0: the message is not traced. */
static inline ti_processing ti_begin(const char *topic, int32_t partition, int64_t offset) {
    const ti_api *api = ti_find();
    return api ? api->begin(topic, partition, offset, NULL, NULL, 0) : 0;
}

#ifdef RD_KAFKA_VERSION
/* Begins the processing of a message that rd_kafka_consumer_poll(), rd_kafka_consume_batch_queue() or another function gave, and
 * that is not destroyed yet. In C++: of `message->c_ptr()`. */
static inline ti_processing ti_begin_message(const rd_kafka_message_t *message) {
    const ti_api *api = ti_find();
    rd_kafka_headers_t *headers;
    char texts[2][1024];
    const char *found[2] = {NULL, NULL};
    const char *const names[2] = {"traceparent", "tracestate"};
    int at;
    if (!api || !message || message->err || !message->rkt) return 0;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        for (at = 0; at < 2; ++at) {
            const void *value;
            size_t size, byte;
            if (rd_kafka_header_get_last(headers, names[at], &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
            if (!value || size >= sizeof texts[at]) continue;
            for (byte = 0; byte < size; ++byte) texts[at][byte] = ((const char *)value)[byte];
            texts[at][size] = '\0';
            found[at] = texts[at];
        }
    }
    return api->begin(rd_kafka_topic_name(message->rkt), message->partition, message->offset, found[0], found[1], 0);
}
#endif

/* Makes a processing, or with 0 none, the current one of this thread: what it sends continues that message's trace, unless
 * the record's own headers carry another context. Gives the one before, to be made current again: so a thread leaves it. */
static inline ti_processing ti_make_current(ti_processing processing) {
    const ti_api *api = ti_find();
    return api ? api->make_current(processing) : 0;
}

/* The processing failed. `error_type` is a short name of which there are few, `description` is for people. The last call
 * counts. */
static inline void ti_fail(ti_processing processing, const char *error_type, const char *description) {
    const ti_api *api = ti_find();
    if (api) api->fail(processing, error_type, description);
}

/* The processing ends, and with it its span. */
static inline void ti_end(ti_processing processing) {
    const ti_api *api = ti_find();
    if (api) api->end(processing);
}

/* Nobody is at work on it any more, as far as is known, but it may still be named: when it ends, its span ends where it was paused
 * last. With 0 somebody is at work on it again. */
static inline void ti_pause(ti_processing processing, int paused) {
    const ti_api *api = ti_find();
    if (api) api->pause(processing, paused);
}

/* Writes the context of a processing, or for 0 of this thread's current one, as a traceparent with a NUL:
 * "00-", 32 digits of the trace id, "-", 16 of the span id, "-", 2 of the flags. Gives 1, or 0 and an empty text when there
 * is none. For log lines, and for requests that are not Kafka's. */
static inline int ti_context(ti_processing processing, char traceparent[56]) {
    const ti_api *api = ti_find();
    traceparent[0] = '\0';
    return api ? api->context(processing, traceparent) : 0;
}

/* The same as two texts with a NUL, the trace id and the span id, for log lines. Gives 0 and empty texts when there is none. */
static inline int ti_ids(ti_processing processing, char trace_id[33], char span_id[17]) {
    char traceparent[56];
    int at;
    trace_id[0] = span_id[0] = '\0';
    if (!ti_context(processing, traceparent)) return 0;
    for (at = 0; at < 32; ++at) trace_id[at] = traceparent[3 + at];
    for (at = 0; at < 16; ++at) span_id[at] = traceparent[36 + at];
    trace_id[32] = span_id[16] = '\0';
    return 1;
}

/* What this thread sends next, and only that, follows from this processing. Where that send is refused, it is said of the next
 * one to the same topic, for ten seconds, so that it can be tried again; who does not try again, or sends by a client that is not
 * traced, takes it back by ti_next_send(0). */
static inline void ti_next_send(ti_processing processing) {
    const ti_api *api = ti_find();
    if (api) api->next_send(processing, 0);
}

/* What this thread sends next, and only that, follows from this context, whatever the record's headers say. `tracestate` and
 * `baggage` may be NULL. A traceparent that is none says nothing. */
static inline void ti_next_send_of(const char *traceparent, const char *tracestate, const char *baggage) {
    const ti_api *api = ti_find();
    if (api) api->next_send_of(traceparent, tracestate, baggage);
}
/* Writes how the library is in this process, as the JSON text that docs/status.md describes: which topics it met and whose they
 * are, how many messages were traced, where the spans went and why they did not, and of each backend whether it is untried (no
 * batch was answered yet), healthy, refusing, retrying, stuck, out_of_service or removed. At most `size` bytes with the NUL, and
 * nothing if `size` is 0. Gives the length of the whole text without the NUL, as snprintf() does: if that is not less than `size`, a part
 * is missing. 0 and an empty text when no client was made yet, or the library is older. Not in a callback of librdkafka's. */
static inline size_t ti_status(char *buffer, size_t size) {
    const ti_api *api = ti_find();
    if (size) buffer[0] = '\0';
    if (!api || api->struct_size < offsetof(ti_api, status) + sizeof api->status) return 0;
    return api->status(buffer, size);
}

/* Reads the configuration file again. What it says takes effect for the next message of every client; a message in flight
 * ends by the rules that it was sent by. Gives 1 when what the file says now is in effect; 0 when it is refused, and then what
 * was in effect before stays so, whole, and the log says why, or when nothing is traced. Reads files and may load plugins: not
 * to be called in a callback of librdkafka. */
static inline int ti_reload(void) {
    const ti_api *api = ti_find();
    if (!api || api->struct_size < offsetof(ti_api, reload) + sizeof api->reload) return 0;
    return api->reload();
}
#endif /* TI_NO_LOOKUP */

#ifdef __cplusplus
}
#endif
#endif
