/* One life of the built plugin, as a host leads it. `make test` runs it. */
#include "tracer_plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPECT(condition)                                                                  \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);        \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

int main(int count, char **words) {
    static const uint8_t BODY[] = {0x0a, 0x00}; /* An ExportTraceServiceRequest with one empty ResourceSpans. */
    tracer_host host = {.struct_size = sizeof host, .abi_major = TRACER_ABI_MAJOR, .abi_minor = TRACER_ABI_MINOR};
    tracer_validate_args settings = {.struct_size = sizeof settings, .timeout_ms = 1000, .config_json = {"{}", 2}};
    tracer_call call = {.struct_size = sizeof call, .timeout_ms = 1000};
    tracer_create_args args = {.struct_size = sizeof args, .max_concurrency = 1, .host = &host};
    tracer_batch batch = {.struct_size = sizeof batch,
                          .signal = TRACER_SIGNAL_TRACES,
                          .encoding = TRACER_ENCODING_OTLP_PROTOBUF,
                          .item_count = 1,
                          .body = {BODY, sizeof BODY},
                          .batch_id = 1,
                          .attempt = 1};
    tracer_error error = {.struct_size = sizeof error};
    tracer_stats stats = {.struct_size = sizeof stats};
    tracer_instance *instance = NULL;
    const tracer_plugin *(*entry)(uint32_t);
    const tracer_plugin *plugin;
    void *library;

    EXPECT(count == 2);
    library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fprintf(stderr, "%s\n", dlerror());
    EXPECT(library != NULL);
    *(void **)&entry = dlsym(library, TRACER_PLUGIN_SYMBOL);
    EXPECT(entry != NULL);
    plugin = entry(TRACER_ABI_MINOR);
    EXPECT(plugin->validate(&settings, &error) == TRACER_OK);
    EXPECT(plugin->create(&args, &instance, &error) == TRACER_OK);
    EXPECT(plugin->export_batch(instance, &batch, 1000, &error) == TRACER_OK);
    EXPECT(plugin->stats(instance, &stats) == TRACER_OK && stats.items_sent == 1);
    batch.signal = TRACER_SIGNAL_METRICS;
    EXPECT(plugin->export_batch(instance, &batch, 1000, &error) == TRACER_ERR_UNSUPPORTED && error.message[0] != 0);
    EXPECT(plugin->flush(instance, &call, &error) == TRACER_OK);
    EXPECT(plugin->shutdown(instance, &call, &error) == TRACER_OK);
    plugin->destroy(instance);
    puts("ok");
    return 0;
}
