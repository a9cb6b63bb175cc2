/* exit_handlers PLUGIN CONFIG: makes an instance, and says how many handlers for the end of the process came with it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "tracer_plugin.h"

static const char *plugin;
static int handlers;

/* Whoever registers a handler comes by here. */
int __cxa_atexit(void (*handler)(void *), void *argument, void *library)
{
    int (*next)(void (*)(void *), void *, void *) =
        (int (*)(void (*)(void *), void *, void *))(uintptr_t)dlsym(RTLD_NEXT, "__cxa_atexit");
    Dl_info where;
    if (plugin && dladdr((void *)(uintptr_t)handler, &where) && where.dli_fname && !strcmp(where.dli_fname, plugin))
        handlers++;
    return next(handler, argument, library);
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    plugin = words[1];
    void *library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return puts(dlerror()), 2;
    const tracer_plugin *(*entry)(uint32_t) = (const tracer_plugin *(*)(uint32_t))(uintptr_t)dlsym(library, TRACER_PLUGIN_SYMBOL);
    tracer_host host = {.struct_size = sizeof host, .abi_major = TRACER_ABI_MAJOR};
    tracer_create_args arguments = {.struct_size = sizeof arguments, .max_concurrency = 1, .host = &host,
                                    .config_json = {words[2], strlen(words[2])}, .timeout_ms = 10000};
    tracer_error error = {.struct_size = sizeof error};
    tracer_instance *instance = NULL;
    if (entry(TRACER_ABI_MINOR)->create(&arguments, &instance, &error) != TRACER_OK)
        return puts(error.message), 1;
    printf("%d handlers\n", handlers);
    /* The instance is left as it is: its threads run while the process ends. */
    return 0;
}
