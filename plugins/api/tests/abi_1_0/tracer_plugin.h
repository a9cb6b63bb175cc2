/* SPDX-License-Identifier: Apache-2.0
 *
 * tracer_plugin.h: the backend plugins of tracer-resolver, ABI 1.0.
 *
 * A plugin is an exporter of finished batches, of spans or of metrics: OTLP bytes in, a status out. It is one shared
 * object with one exported symbol, `tracer_plugin_v1`, which returns a static table of functions. This header is the
 * specification: what it does not promise, nobody may rely on. It needs C99 or C++11 and nothing else of this project.
 *
 *   dlopen -> tracer_plugin_v1 -> validate -> create -> export_batch ... flush ... stats -> shutdown -> destroy
 *             (checked by the host)           `------- one instance per backend of the configuration --------'
 *
 * MEMORY
 *   - Whoever allocates, frees. Neither side ever frees, grows or keeps what the other side allocated.
 *   - Every pointer handed to a function is borrowed until that function returns, unless its own sentence says more.
 *     Copy what you keep.
 *   - Text is UTF-8 and length-delimited, not NUL-terminated (`tracer_error` alone holds NUL-terminated text).
 *
 * THREADS (the tag in brackets after each function: who calls it & in which state of the instance)
 *   [any-thread]     any thread, several at once.
 *   [control-thread] a thread of the host's; never two such calls at once for one instance.
 *   [export-thread]  a thread of the host's that does nothing else. At most one call at a time for one instance, or up
 *                    to `max_concurrency` with TRACER_CAP_CONCURRENT_EXPORT. Successive calls may come from different
 *                    threads. No application thread and no Kafka thread waits for it, so it may block.
 *   Different instances of one plugin are used at the same time: keep no state that they share without a lock.
 *
 * STATES OF AN INSTANCE
 *   created    `create` returned TRACER_OK.
 *   shut-down  `shutdown` returned, whatever it returned.
 *   poisoned   a call returned TRACER_ERR_PANIC. The host calls nothing more on it but `destroy`.
 *   destroyed  `destroy` was called.
 *
 * CODES (what each function may return, and what the host makes of it)
 *
 *     code         validate     create       export_batch    flush     shutdown    stats
 *     OK           goes on      goes on      items exported  done      destroyed   shown
 *     CONFIG       tells where  tells where  -               -         -           -
 *     RETRYABLE    -            -            tries again     -         -           -
 *     PERMANENT    -            -            drops items     -         -           -
 *     PARTIAL      -            -            drops some      -         -           -
 *     TIMEOUT      -            -            tries again     warns     leaks       -
 *     SHUTDOWN     -            -            drops items     warns     warns       -
 *     PANIC        no backend   no backend   poisoned        poisoned  warns       poisoned
 *     UNSUPPORTED  no backend   no backend   drops items     -         -           not shown
 *     INTERNAL     no backend   no backend   drops items     warns     warns       not shown
 *     CREDENTIALS  -            -            renews          -         -           -
 *
 *     -            may not be returned, as every code that the host does not know: taken as INTERNAL, and said so
 *     goes on      the next step follows
 *     tells where  the line of the configuration that `field` names is shown; the backend is not used
 *     no backend   the backend is not used, and the message is shown
 *     tries again  the batch waits and is tried again; dropped and counted when it is too old for that
 *     drops items  every item of the batch is counted as lost, and the reason is logged; the next batch is tried
 *     drops some   `rejected_items` of the batch are counted as rejected, the rest as exported
 *     renews       tries again; and what the configuration takes from files is read anew before, and the instance made
 *                  anew if it has changed. See TRACER_ERR_CREDENTIALS
 *     poisoned     see STATES; the batch is dropped, and a new instance is made after a pause
 *     warns        the message is logged; from shutdown, destroy follows
 *     leaks        the message is logged; destroy is never called
 *     shown        the counters appear beside the host's own
 *
 * WHAT THE HOST PROMISES
 *   - It checks everything before it uses it: size, version, functions, type name, signals, encodings, schema.
 *   - It queues, batches, samples and retries; a plugin does none of these. Only TRACER_ERR_RETRYABLE,
 *     TRACER_ERR_TIMEOUT and TRACER_ERR_CREDENTIALS are retried, with backoff and jitter, never earlier than
 *     `retry_after_ms`, with the same `batch_id`, the same body and a rising `attempt`, and with the `retry_cookie` that
 *     the try before left. At the end of the process there is one more try before it is too late.
 *   - At the end of the process it calls `flush`, not `shutdown`: destructors of the application may still send. What they
 *     send comes when the library's own static destructors and atexit handlers have run; nothing else does.
 *   - The library's constructors, its entry, validate and create run on threads of the host's on which all signals are
 *     blocked. No application thread waits for them, unless its user wants errors to refuse: clients are created
 *     meanwhile, and items wait. One exception: constructors run under the dynamic linker's lock, for which whatever
 *     else loads or closes a library waits. They should do nothing.
 *   - Inside of a plugin nothing is traced: Kafka clients that are made in its functions, on its threads and in the
 *     libraries that it loads are left alone.
 *   - An exception that comes out of a function all the same, or a call of exit(), ends the process; the host names the
 *     plugin before, on standard error. A fault (SIGSEGV, abort()) ends it as one of the application's own does: the host
 *     catches no signal. Its threads have names: `tr-` and the backend's while they export, else `tr-plugin`.
 *   - A watchdog: an `export_batch` or a `flush` that overruns its `timeout_ms` by more than a grace (5 seconds by
 *     default) is declared stuck: its backend's batches are dropped and counted until the call returns. The thread is not
 *     killed. A `shutdown` or a `destroy` that does not return is left to itself, and nothing more is called.
 *   - A library that was loaded is never unloaded: code, static data and thread-local destructors stay valid for ever.
 *     Rationale: unloading breaks thread-local destructors and every thread the plugin forgot. The price is that a
 *     new version of a plugin needs a new process.
 *   - After fork(), in the child, it never touches an instance that the parent made. It makes new ones; but none,
 *     and calls nothing, if the plugin says TRACER_CAP_NOT_IN_FORKED_CHILDREN, or if it is seen to be written in
 *     Go, and the parent had loaded it. A plugin that keeps more than constants in static data should say so, or have
 *     the extension TRACER_EXT_AFTER_FORK.
 *
 * WHAT A PLUGIN PROMISES
 *   - Nothing is thrown, unwound or longjmp'ed out of a function; an exception or panic caught at the boundary is reported
 *     as TRACER_ERR_PANIC. Nothing calls exit() or abort(): a fault in a plugin ends the customer's process.
 *   - It leaves alone what belongs to the process: environment, locale, working directory, signal handlers, stdin,
 *     stdout. Threads it starts block all signals. Nor does it change the umask, descriptors that it has not opened, or
 *     which signals the calling thread takes: these the host puts back, and says so; the rest it cannot.
 *   - It uses the system allocator, exports no other symbol and links its own dependencies statically or by
 *     versioned symbols: many plugins live in one process. Compile with -fvisibility=hidden; in C++, also link with
 *     the version script tracer_plugin.map beside this header.
 *   - It never prints; it reports through `tracer_error` and `tracer_host.log`. Neither ever contains a secret.
 *
 * VERSIONS
 *   - ABI 1 is frozen: a plugin that was built from this header is loaded by every later host of ABI 1. What may still
 *     change is what the next sentences say, and nothing else.
 *   - The major version is in the symbol's name. ABI 2 would be `tracer_plugin_v2`; a library may export both.
 *   - A minor version only appends fields to structs, codes to lists and bits to sets. Nothing moves, nothing is
 *     removed, no meaning changes.
 *   - Every struct that may grow begins with `struct_size`, set by whoever owns the struct to sizeof in its own header.
 *     The other side uses a field only if TRACER_HAS says it is there: that is the whole negotiation.
 *   - A host refuses a table that is shorter than that of 1.0, and takes a longer one. It refuses nothing for its
 *     `abi_minor`: a plugin that needs a newer host returns NULL from its entry, or sets a capability that says so.
 *   - 64-bit only, little-endian or big: where a pointer has another size this header does not compile, and a host in
 *     Rust does not either. Rationale: the layout is frozen, asserted and tested for one size of pointer.
 *   - Unknown codes mean TRACER_ERR_INTERNAL. Unknown capability bits 0..31 are ignored, 32..63 refuse the plugin.
 *   - Reserved fields are zero when written and ignored when read.
 *
 * CONFIGURATION
 *   `config_schema` is JSON Schema 2020-12 for the backend's `config` table. The host checks the user's settings
 *   against it before it calls anything, and points at the line of the file that broke it. So:
 *   - `"type": "object"` and `"additionalProperties": false` at every level: a misspelt key must be an error.
 *   - `"x-secret": true` on every string that is a password, a token or may hold one: the host never prints its value.
 *   - `"description"` on every property: tools print it. `"default"` documents; the host does not fill it in.
 *   - `"x-explained": true` beside a `"pattern"`: `validate` is called although the text does not match, if nothing else
 *     is wrong, and says in its own words what is. Otherwise the user reads the property's description.
 *   - References stay inside the document (`#/$defs/...`); nothing is ever fetched. `$id`, `$anchor`, `$dynamicRef` and
 *     `unevaluatedProperties` (or `...Items`) are refused, as are patterns with look-around or back-references.
 *   What a schema cannot say (a file must exist, two keys exclude each other) `validate` says, with `field` set.
 *
 * EXTENSIONS
 *   Optional things are looked up by id with `get_extension`; an id names its version and its struct. ABI 1.0 defines
 *   one, of the plugin's: TRACER_EXT_AFTER_FORK. Ids that begin with "tracer_plugin." are reserved, among them
 *   "tracer_plugin.async-export/1", "tracer_plugin.sampler/1" and "tracer_plugin.propagator/1". Others are free: use a
 *   domain name you own, and let the struct begin with its size. A plugin finds those of its host with
 *   `tracer_host.get_extension`, a host those of a plugin with `tracer_plugin.get_extension`; who does not find one goes
 *   on without it.
 *   Rationale: export is synchronous because an asynchronous one needs a lifetime for the bytes, a callback that comes
 *   exactly once and a barrier at shutdown. TRACER_CAP_CONCURRENT_EXPORT gives the same throughput without them.
 *
 * CHANGES SINCE 0.x (a plugin that was built from an older header is to be built anew; 1.0 loads none of them)
 *   - Items in place of spans in all names, `signal` in the batch, `accepted_signals` in the table.
 *   - Capabilities that a host must understand lie in bits 32..63: OWNS_RETRY and ASYNC_EXPORT moved there.
 *   - `validate` takes a tracer_validate_args, `flush` and `shutdown` a tracer_call: every argument can grow.
 *     tracer_validate_args and tracer_create_args say how long the host waits (`timeout_ms`).
 *   - tracer_batch: `flags` (last try, shutting down) in place of `reserved`; `retry_cookie`, `oldest_start_unix_ns`,
 *     `first_attempt_unix_ns`, `service_names`, `service_count`, `resource_count`.
 *   - tracer_error: `retry_cookie` before `field`.
 *   - TRACER_ERR_CREDENTIALS; a table of codes, and what is not in it is taken as INTERNAL.
 *   - tracer_host: `is_logged`, `is_export_thread`. tracer_plugin: `reconfigure`, reserved.
 *   - `stats` of a plugin that does not count returns UNSUPPORTED; what it counts is shown.
 *   - TRACER_CAP_NOT_IN_FORKED_CHILDREN, and an extension of the plugin's, TRACER_EXT_AFTER_FORK.
 *   - The library's constructors, its entry, validate and create run on threads of the host's, for which nobody waits.
 *   - 64-bit only, and asserted.
 *
 * CHANGES SINCE 1.0
 *   None. The tag `plugin-contract-1.0` of the repository has the header as it was frozen.
 */
#ifndef TRACER_PLUGIN_H
#define TRACER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TRACER_ABI_MAJOR 1
#define TRACER_ABI_MINOR 0

/* The name to look up; it carries the major version. */
#define TRACER_PLUGIN_SYMBOL "tracer_plugin_v1"

/* Whether the struct behind `pointer` (of type `type`) was made by a side that knows `field`. */
#define TRACER_HAS(pointer, type, field) \
    ((pointer)->struct_size >= offsetof(type, field) + sizeof(((const type *)0)->field))

/* Text. Borrowed like every pointer. `ptr` may be NULL only if `len` is 0; need not be NUL-terminated. */
typedef struct tracer_str {
    const char *ptr;
    size_t len;
} tracer_str;

/* Bytes. Borrowed like every pointer. `ptr` may be NULL only if `len` is 0. */
typedef struct tracer_bytes {
    const uint8_t *ptr;
    size_t len;
} tracer_bytes;

/* One backend at work. Opaque to the host; allocated by `create`, freed by `destroy`, both of the plugin. */
typedef struct tracer_instance tracer_instance;

/* What became of a call. int32_t and not an enum. Rationale: the size of an enum is the compiler's choice. */
typedef int32_t tracer_code;

/* Done. For export_batch: the backend has taken every item. */
#define TRACER_OK ((tracer_code)0)
/* The configuration is wrong; `field` says where. Only from validate and create. */
#define TRACER_ERR_CONFIG ((tracer_code)1)
/* Nothing was stored and trying again may help: unreachable, busy, throttled. Retried. */
#define TRACER_ERR_RETRYABLE ((tracer_code)2)
/* Trying again with these bytes cannot help: refused, malformed. The batch is dropped and counted. */
#define TRACER_ERR_PERMANENT ((tracer_code)3)
/* The batch was taken but for `rejected_items`, which are counted as rejected. Not retried. */
#define TRACER_ERR_PARTIAL ((tracer_code)4)
/* Not finished within timeout_ms; whether anything was stored is unknown. From export_batch: retried. */
#define TRACER_ERR_TIMEOUT ((tracer_code)5)
/* The instance is shut down. Not retried. */
#define TRACER_ERR_SHUTDOWN ((tracer_code)6)
/* A panic or exception was caught at the plugin's boundary: the instance is poisoned. The host destroys it, makes a new
 * one after a pause, at most 3 times within ten minutes, and then takes the backend out of service. */
#define TRACER_ERR_PANIC ((tracer_code)7)
/* The call, the encoding or the ABI version is not supported. Not retried. */
#define TRACER_ERR_UNSUPPORTED ((tracer_code)8)
/* A defect of the plugin's, or of the host's as the plugin sees it (an argument that breaks this contract). Also what
 * the host makes of a code it does not know. Not retried. */
#define TRACER_ERR_INTERNAL ((tracer_code)9)
/* The backend refuses the credentials (401, 403, UNAUTHENTICATED), and nothing was stored. Only from export_batch. The
 * batch waits and is tried again like a RETRYABLE one: the backend may know us later. If the configuration takes secrets
 * from files (`${file:...}`), the host reads these anew each time. What has changed goes through validate and create: the
 * new instance gets the batch, with a rising `attempt`, and the old one is shut down and destroyed when its calls have
 * returned. New instances are at least 10 seconds apart. */
#define TRACER_ERR_CREDENTIALS ((tracer_code)10)

/* What a batch is of, and with it what an item is. One batch is of one signal.
 * Rationale: numbers and not bits, so that a batch names one; the table's sets have bit n for signal n. */
/* Items are spans. */
#define TRACER_SIGNAL_TRACES 1u
/* Items are data points: what OTLP counts in a partial success. */
#define TRACER_SIGNAL_METRICS 2u
/* Items are log records. Reserved: a host of ABI 1.0 makes none. */
#define TRACER_SIGNAL_LOGS 3u

/* How `tracer_batch.body` is written: OTLP protobuf, uncompressed. One ExportTraceServiceRequest for traces, one
 * ExportMetricsServiceRequest for metrics. Its resources may be several services: a backend is one instance, shared by
 * every service that names it. */
#define TRACER_ENCODING_OTLP_PROTOBUF 1u

/* Bits 0..31: a host that does not know one ignores it. */
/* export_batch may be called up to `max_concurrency` times at once; flush may run beside it. */
#define TRACER_CAP_CONCURRENT_EXPORT ((uint64_t)1 << 0)
/* The plugin talks to other machines. For information only: lists of plugins show it. */
#define TRACER_CAP_NETWORK ((uint64_t)1 << 1)
/* The plugin does not work in a forked child of the process that loaded it: its static data holds threads, a runtime,
 * connections. Its spans are counted as lost there. */
#define TRACER_CAP_NOT_IN_FORKED_CHILDREN ((uint64_t)1 << 2)
/* Bits 32..63: a host refuses a plugin that sets one which it does not know. */
#define TRACER_CAP_MUST_UNDERSTAND ((uint64_t)0xffffffff << 32)
/* Reserved, and known to no host of ABI 1.0: the plugin keeps and retries by itself what it was given. */
#define TRACER_CAP_OWNS_RETRY ((uint64_t)1 << 32)
/* Reserved, and known to no host of ABI 1.0: export_batch returns before the backend has answered. */
#define TRACER_CAP_ASYNC_EXPORT ((uint64_t)1 << 33)

/* Levels of tracer_host.log. Other values are taken as TRACER_LOG_TRACE. */
#define TRACER_LOG_ERROR 1u
#define TRACER_LOG_WARN 2u
#define TRACER_LOG_INFO 3u
#define TRACER_LOG_DEBUG 4u
#define TRACER_LOG_TRACE 5u

/* Why a call failed. Owned by the caller, who zeroes it and sets struct_size; the callee fills it in before it returns
 * anything but TRACER_OK, and writes nothing at or beyond struct_size. The pointer may be NULL: then only the code
 * returned counts. Rationale: a fixed struct of the caller's needs no allocator, no lifetime and no "last error". */
typedef struct tracer_error {
    uint32_t struct_size;
    tracer_code code;        /* The code returned, again. Where they differ, the one returned counts. */
    uint32_t retry_after_ms; /* RETRYABLE, TIMEOUT: the earliest retry that the backend asked for; 0: none asked. */
    uint32_t rejected_items; /* PARTIAL: how many items the backend refused; over all tries of the batch. What is more
                                than the batch has counts as all of it. */
    uint64_t retry_cookie;   /* RETRYABLE, TIMEOUT, CREDENTIALS: a number that comes back in tracer_batch.retry_cookie with
                                the next try, for a batch that was taken in part: how many of its pieces are done, a bit
                                for each. A number and no pointer: the next try may be made on another thread and by
                                another instance. 0: the next try begins anew. */
    char field[128];         /* CONFIG: JSON pointer (RFC 6901) into the config, "/tls/ca_file"; "" is all of it. */
    char message[384];       /* One line for an operator: what failed and what to do. No secrets. Cut to size between
                                characters; like field, UTF-8 and always NUL-terminated. */
} tracer_error;

/* One batch. Owned by the host; it and `body` are borrowed until export_batch returns. */
typedef struct tracer_batch {
    uint32_t struct_size;
    uint32_t signal;     /* One of TRACER_SIGNAL_*, and one whose bit is in accepted_signals. */
    uint32_t encoding;   /* One of TRACER_ENCODING_*, and one whose bit is in accepted_encodings. */
    uint32_t item_count; /* Items of that signal in body; at least 1. */
    tracer_bytes body;   /* Never empty. Any alignment. As large as the user's settings let a batch be, 512 KiB by
                            default and 64 MiB at most, or as its one item. */
    uint64_t batch_id;   /* The same on every retry; unique in the process, whatever the signal. */
    uint32_t attempt;    /* 1 for the first try, one more for each retry. */
    uint32_t flags;      /* TRACER_BATCH_* */
    uint64_t retry_cookie;           /* What the try before left in tracer_error.retry_cookie; 0 on the first try. */
    uint64_t oldest_start_unix_ns;   /* Start of the oldest span, or of the time that the oldest data point is of, in
                                        nanoseconds since 1970; 0: not known. */
    uint64_t first_attempt_unix_ns;  /* When the first try of this batch began. */
    const tracer_str *service_names; /* The distinct service.name of its resources, in no order; `service_count` of them.
                                        NULL only if that is 0, which is "not known". */
    uint32_t service_count;
    uint32_t resource_count;         /* ResourceSpans or ResourceMetrics in body; 0: not known. */
} tracer_batch;

/* tracer_batch.flags. Unknown bits are ignored. */
/* The host means to make no further try: if this one fails, the items are lost. It is an intention and no promise: the
 * process may live on, and a batch be tried again. */
#define TRACER_BATCH_LAST_TRY ((uint32_t)1 << 0)
/* The process, or tracing, is about to end, and waits for this. */
#define TRACER_BATCH_SHUTTING_DOWN ((uint32_t)1 << 1)

/* What is asked for by validate. Owned by the host; borrowed until validate returns. */
typedef struct tracer_validate_args {
    uint32_t struct_size;
    uint32_t timeout_ms;    /* How long the host waits before it does without the backend. */
    tracer_str config_json; /* A JSON object: the backend's config table, references replaced, schema checked. Empty text
                               is to be read as "{}". May hold secrets. */
} tracer_validate_args;

/* What flush and shutdown are given. Owned by the host; borrowed until they return. */
typedef struct tracer_call {
    uint32_t struct_size;
    uint32_t timeout_ms; /* When to give up: TIMEOUT. 0: without waiting. */
} tracer_call;

/* Counters since create, of all signals together: all but in_flight only grow. Owned by the host, who zeroes it and
 * sets struct_size; what a plugin does not count it leaves at 0. The host shows them beside its own: what went over the
 * wire only the plugin knows. */
typedef struct tracer_stats {
    uint32_t struct_size;
    uint32_t in_flight;      /* Batches being exported at this moment. */
    uint64_t items_sent;     /* Items the backend has taken. */
    uint64_t items_rejected; /* Items the backend refused, in partial successes and in permanent errors. */
    uint64_t batches_sent;   /* Calls of export_batch that returned OK or PARTIAL. */
    uint64_t batches_failed; /* Calls of export_batch that returned anything else. */
    uint64_t bytes_sent;     /* Bytes on the wire, after compression, retries included. */
    uint64_t reconnects;     /* Connections opened after the first one. */
} tracer_stats;

/* What the host gives a plugin. Owned by the host; it and all it points to stay valid, and its functions callable, from
 * create until destroy returns; for ever if destroy is never called; only until create returns if create fails. */
typedef struct tracer_host {
    uint32_t struct_size;
    uint16_t abi_major; /* 1 */
    uint16_t abi_minor; /* Of the host's header; may be above or below the plugin's. */
    tracer_str name;    /* "tracer-resolver" */
    tracer_str version; /* Of the host, "0.1.0". */
    void *ctx;          /* Opaque; the first argument of the functions below. */

    /* Writes one line to the application's log. `level` is one of TRACER_LOG_*; `target` names the part of the plugin
     * that speaks ("zipkin::http"): the log shows it behind "tracer_plugin::" (letters, digits and `_ - . : /`; whatever
     * else becomes `_`), or the plugin's type name in its place if it is empty. Both texts are borrowed until it
     * returns; of a target 64 bytes are shown, of a message 1024. Never blocks: drops when it must. No secrets. May be
     * NULL.
     * [any-thread & from the start of create to the return of destroy] */
    void (*log)(void *ctx, uint32_t level, tracer_str target, tracer_str message);

    /* Looks up an extension of the host. Returns NULL for an unknown id; else a struct of the host's with the lifetime
     * of tracer_host. May be NULL. [any-thread & from the start of create to the return of destroy] */
    const void *(*get_extension)(void *ctx, tracer_str id);

    /* Whether a line of this level would be written at the moment: 1 or 0. What costs much to put into words is asked for
     * first. Never blocks. May be NULL. [any-thread & from the start of create to the return of destroy] */
    int32_t (*is_logged)(void *ctx, uint32_t level);

    /* Whether the calling thread is an export thread of the host's, of whichever instance: 1 or 0. Code that may be
     * reached from elsewhere asks before it blocks. Never blocks. May be NULL.
     * [any-thread & from the start of create to the return of destroy] */
    int32_t (*is_export_thread)(void *ctx);
} tracer_host;

/* What an instance is made of. Owned by the host; borrowed until create returns, but for `host`, which see. */
typedef struct tracer_create_args {
    uint32_t struct_size;
    uint32_t max_concurrency; /* The most calls of export_batch at once; at least 1, and 1 without
                                 TRACER_CAP_CONCURRENT_EXPORT. */
    const tracer_host *host;  /* Never NULL. Valid until destroy returns. */
    tracer_str backend_name;  /* The name of the backend in the configuration, for log lines. Which service an item
                                 belongs to is said by the resources in each batch. */
    tracer_str config_json;   /* A JSON object: the backend's config table, references replaced, schema checked,
                                 validate passed. Empty text is to be read as "{}". May hold secrets. */
    uint32_t timeout_ms;      /* How long the host waits before it does without the backend. */
    uint32_t reserved;        /* 0 */
} tracer_create_args;

/* The plugin. Static and constant: the same bytes for as long as the process lives. No function but `reconfigure` may be
 * NULL. */
typedef struct tracer_plugin {
    uint32_t struct_size;
    uint16_t abi_major;          /* TRACER_ABI_MAJOR of the plugin's header. */
    uint16_t abi_minor;          /* TRACER_ABI_MINOR of the plugin's header. */
    uint64_t capabilities;       /* TRACER_CAP_* */
    uint32_t accepted_signals;   /* Bit n: signal n. Batches of others never come. */
    uint32_t accepted_encodings; /* Bit n: encoding n; each of them goes with each of the signals. At least one pair of
                                    signal and encoding must be one that the host makes, or it refuses the plugin. A
                                    host of 1.0 makes traces and metrics, both as OTLP protobuf. Bits that it does not
                                    know are ignored. */
    tracer_str type_name;        /* What `plugin = "..."` in the configuration must say: [a-z][a-z0-9_-]*, "zipkin"; at
                                    most 64 bytes. With `-` or `_` and more behind it, it is another version beside this
                                    one: `plugin = "zipkin-old"`. */
    tracer_str version;          /* Of the plugin, "1.4.2"; at most 64 bytes. */
    tracer_str build_info;       /* Compiler, target, commit: whatever helps support. May be empty; at most 1024 bytes. */
    tracer_str config_schema;    /* See CONFIGURATION above. At most 1 MiB. */

    /* Says whether `config_json` would do for create. Pure: no file is written, no thread, no connection. Called for
     * every backend before the first is created, so that all errors of a configuration are shown at once, and by tools
     * that never create. Whoever waits for it, a tool or a host whose user wants errors to refuse, does so for
     * `timeout_ms`, and then takes it for an error. Returns OK, CONFIG with `field`, UNSUPPORTED, INTERNAL or PANIC.
     * [any-thread] */
    tracer_code (*validate)(const tracer_validate_args *args, tracer_error *error);

    /* Makes an instance. `*out` is set if, and only if, it returns OK; it belongs to the plugin and comes back in
     * destroy. May start threads and read files. Must not wait for the network: an unreachable backend is not an error
     * here but of each export_batch. The application does not wait: its items wait for this to come back, within the
     * bounds of the host's queue. Whoever waits all the same does so as above. Returns OK, CONFIG, UNSUPPORTED, INTERNAL
     * or PANIC. [control-thread] */
    tracer_code (*create)(const tracer_create_args *args, tracer_instance **out, tracer_error *error);

    /* Ships one batch and returns when the backend has answered. `batch` and all it points to is borrowed until it
     * returns. It should return within timeout_ms (at least 1) and must give up then: TIMEOUT. Never retries by itself
     * what the backend has answered. [export-thread & created & !shut-down & !poisoned] */
    tracer_code (*export_batch)(tracer_instance *instance, const tracer_batch *batch, uint32_t timeout_ms,
                                tracer_error *error);

    /* Pushes out what the plugin itself still holds back (a file buffer), within timeout_ms; 0: without waiting.
     * Returns OK if there is nothing. Not at the same time as export_batch, unless TRACER_CAP_CONCURRENT_EXPORT is set.
     * [export-thread & created & !shut-down & !poisoned] */
    tracer_code (*flush)(tracer_instance *instance, const tracer_call *call, tracer_error *error);

    /* Ends the work, within timeout_ms: flushes, closes, joins threads. Called once, when the program shuts tracing
     * down or a new instance has taken this one's place (TRACER_ERR_CREDENTIALS), with no export_batch or flush running,
     * unless one of these is stuck, when it is not called at all. TIMEOUT says that threads of the instance still run:
     * the host then never calls destroy. Rationale: a leak is better than a use after free.
     * [control-thread & created & !poisoned] */
    tracer_code (*shutdown)(tracer_instance *instance, const tracer_call *call, tracer_error *error);

    /* Frees the instance. Called at most once, as its last call, with no other call on it running: after shutdown
     * returned anything but TIMEOUT, or when the instance is poisoned. When it returns no thread of the instance runs,
     * and tracer_host is not used any more. [control-thread & (shut-down | poisoned)] */
    void (*destroy)(tracer_instance *instance);

    /* Fills in *out, which is the caller's, up to its struct_size. Must not block, not even on a lock that export_batch
     * holds while it waits. Returns OK, or UNSUPPORTED if the plugin does not count.
     * [any-thread & created & !destroyed] */
    tracer_code (*stats)(const tracer_instance *instance, tracer_stats *out);

    /* Looks up an extension of the plugin. Returns NULL for an unknown id; else a static struct of the plugin's, valid
     * for ever. Pure. [any-thread] */
    const void *(*get_extension)(tracer_str id);

    /* Reserved: other settings for an instance that stays. NULL in a plugin of 1.0; a host of 1.0 does not call it, and
     * makes a new instance for other settings. */
    tracer_code (*reconfigure)(tracer_instance *instance, const tracer_create_args *args, tracer_error *error);
} tracer_plugin;

/* An extension of the plugin's: what it does in a forked child. Static and constant. */
#define TRACER_EXT_AFTER_FORK "tracer_plugin.after-fork/1"
typedef struct tracer_after_fork {
    uint32_t struct_size;
    uint32_t reserved; /* 0 */
    /* Forgets what is the parent's: threads that are not there, locks that they may have held, connections that are
     * shared with it. Instances of the parent's are gone without a word and are to be left alone. Called once in each
     * child of a process that had loaded the plugin, before anything else is asked of it there; not in the handler of
     * the fork but later, on a thread of the host's. May be NULL. [control-thread] */
    void (*after_fork)(void);
} tracer_after_fork;

#if defined(__GNUC__) || defined(__clang__)
#define TRACER_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define TRACER_PLUGIN_EXPORT
#endif

/* The one exported symbol. Returns the table: always the same pointer, static, never freed. `host_minor` is the host's
 * TRACER_ABI_MINOR; a plugin that cannot live with so old a host returns NULL and is refused. Pure: no I/O, no thread,
 * no allocation. [any-thread] */
TRACER_PLUGIN_EXPORT const tracer_plugin *tracer_plugin_v1(uint32_t host_minor);

/* The layout is frozen. These do not compile if a compiler disagrees with it, or if the target is not one of 64 bits. */
typedef char tracer_assert_64_bit_only[sizeof(void *) == 8 && sizeof(size_t) == 8 ? 1 : -1];
typedef char tracer_assert_str[sizeof(tracer_str) == 16 ? 1 : -1];
typedef char tracer_assert_bytes[sizeof(tracer_bytes) == 16 ? 1 : -1];
typedef char tracer_assert_error[sizeof(tracer_error) == 536 ? 1 : -1];
typedef char tracer_assert_batch[sizeof(tracer_batch) == 88 ? 1 : -1];
typedef char tracer_assert_stats[sizeof(tracer_stats) == 56 ? 1 : -1];
typedef char tracer_assert_host[sizeof(tracer_host) == 80 ? 1 : -1];
typedef char tracer_assert_validate_args[sizeof(tracer_validate_args) == 24 ? 1 : -1];
typedef char tracer_assert_call[sizeof(tracer_call) == 8 ? 1 : -1];
typedef char tracer_assert_create_args[sizeof(tracer_create_args) == 56 ? 1 : -1];
typedef char tracer_assert_plugin[sizeof(tracer_plugin) == 160 ? 1 : -1];
typedef char tracer_assert_after_fork[sizeof(tracer_after_fork) == 16 ? 1 : -1];
typedef char tracer_assert_functions[offsetof(tracer_plugin, validate) == 88 ? 1 : -1];

#ifdef __cplusplus
}
#endif

#endif /* TRACER_PLUGIN_H */
