/* Another library as one of tlkit.h 1.2 hands it over: the tables of its source tasks end before `lend`. INNER is its path. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#include "tlkit.h"

#define MOST 16

static tlkit_source_task tables[MOST];
static tlkit_entry entries[MOST];
static const tlkit_entry *pointers[MOST];
static tlkit_plugin plugin;

const tlkit_plugin *tlkit_plugin_v1(const tlkit_host *host) {
    void *inner = dlopen(INNER, RTLD_NOW | RTLD_LOCAL);
    const tlkit_plugin *(*symbol)(const tlkit_host *);
    *(void **)&symbol = inner ? dlsym(inner, "tlkit_plugin_v1") : NULL;
    const tlkit_plugin *all = symbol ? symbol(host) : NULL;
    if (!all || all->entries > MOST) return NULL;
    plugin = *all;
    plugin.entry = pointers;
    for (uint64_t i = 0; i < all->entries; i++) {
        entries[i] = *all->entry[i];
        pointers[i] = &entries[i];
        if (entries[i].kind != TLKIT_SOURCE_TASK) continue;
        tables[i] = *(const tlkit_source_task *)entries[i].table;
        tables[i].head.size = offsetof(tlkit_source_task, lend);
        tables[i].head.minor = 2;
        entries[i].table = &tables[i];
    }
    return &plugin;
}
