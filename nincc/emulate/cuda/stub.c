/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L

#include "stub.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    OUT_OF_MEMORY = 2,
    INVALID_VALUE = 1,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NO_BINARY_FOR_GPU = 209,
    INVALID_PTX = 218,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719
};
enum { MOST_DEVICES = 8, MOST_DEEP = 16, MOST_ARGUMENTS = 64, MOST_SYMBOLS = 64, STATIC_SHARED = 49152 };

/* Everything that is handed out: a list of what is alive, so that a stale handle is found. */
enum kind { MODULE, FUNCTION, MEMORY, STREAM, EVENT, GRAPH, NODE, EXECUTABLE };

typedef struct object {
    enum kind kind;
    int device;
    struct object *owner; /* of a function its module, of a node its graph */
    struct object *next;
    uint64_t value; /* a module's number, a memory's address, an event's tick */
    size_t bytes;
    char *text; /* a module's PTX, a function's name */
    int parameters;
    unsigned grid[3], block[3], shared_bytes, shared_limit;
    struct object *function;
    uint64_t arguments[MOST_ARGUMENTS];
    struct object **nodes; /* a graph's or executable's */
    int count;
} object;

/* Work that has been ordered and not waited for. */
typedef struct work {
    enum { WRITE, READ, LAUNCH, RECORD } what;
    object *stream;
    object node; /* a copy: later changes of a graph do not reach it */
    object *event;
    uint64_t at;
    const void *from;
    void *to;
    size_t bytes;
    struct work *next;
} work;

typedef struct {
    void *function;
    unsigned grid[3], block[3], shared_bytes;
    void **arguments;
    void **extra;
} kernel_node;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static object *alive;
static work *queue;
static const stub_device *attached;
static int devices = 1, capability[2] = {8, 0}, ready, retained[MOST_DEVICES], lost, broken;
static uint64_t tick = 1; /* microseconds: each launch takes one */
static _Thread_local int current[MOST_DEEP], depth;
static struct {
    const char *symbol;
    int calls;
} seen[MOST_SYMBOLS];
static char failing[64];
static int failure, countdown;

/* ---- Orders to the stub ---------------------------------------------------------------------------- */

void stub_configure(int count, int major, int minor)
{
    devices = count;
    capability[0] = major;
    capability[1] = minor;
}

void stub_attach(const stub_device *device)
{
    attached = device;
}

void stub_fail(const char *symbol, int code, int nth)
{
    strncpy(failing, symbol, sizeof failing - 1);
    failure = code;
    countdown = nth;
}

int stub_alive(void)
{
    int count = lost;
    for (object *o = alive; o != NULL; o = o->next) count += o->kind != FUNCTION && o->kind != NODE;
    for (int d = 0; d < MOST_DEVICES; ++d) count += retained[d];
    return count;
}

int stub_calls(const char *symbol)
{
    for (int i = 0; i < MOST_SYMBOLS && seen[i].symbol; ++i)
        if (!strcmp(seen[i].symbol, symbol)) return seen[i].calls;
    return 0;
}

/* Counts the call; gives the code it is to fail with, if any. */
static int order(const char *symbol)
{
    int i = 0;
    while (i < MOST_SYMBOLS - 1 && seen[i].symbol && strcmp(seen[i].symbol, symbol)) ++i;
    seen[i].symbol = symbol;
    ++seen[i].calls;
    return !strcmp(failing, symbol) && countdown > 0 && --countdown == 0 ? failure : 0;
}

/* ---- Plain memory, where no device is attached ------------------------------------------------------ */

static int plain_allocate(uint64_t *pointer, size_t bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 256, bytes ? bytes : 1)) return OUT_OF_MEMORY;
    memset(memory, 0, bytes);
    *pointer = (uintptr_t)memory;
    return 0;
}

static int plain_release(uint64_t pointer)
{
    free((void *)(uintptr_t)pointer);
    return 0;
}

static int plain_write(uint64_t to, const void *from, size_t bytes)
{
    memcpy((void *)(uintptr_t)to, from, bytes);
    return 0;
}

static int plain_read(void *to, uint64_t from, size_t bytes)
{
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    return 0;
}

static int plain_load(uint64_t *module, const char *ptx)
{
    *module = 0;
    return strstr(ptx, ".entry") ? 0 : INVALID_PTX;
}

static int plain_launch(uint64_t module, const char *kernel, const unsigned *grid, const unsigned *block, unsigned shared_bytes,
                        const uint64_t *arguments, int count)
{
    (void)module, (void)kernel, (void)grid, (void)block, (void)shared_bytes, (void)arguments, (void)count;
    return 0;
}

static const stub_device plain = {plain_allocate, plain_release, plain_write, plain_read, plain_load, plain_launch};

static const stub_device *device(void)
{
    return attached ? attached : &plain;
}

/* ---- Books ------------------------------------------------------------------------------------------ */

static object *make(enum kind kind)
{
    object *o = calloc(1, sizeof *o);
    o->kind = kind;
    o->device = current[depth - 1];
    o->next = alive;
    return alive = o;
}

static object *find(enum kind kind, const void *handle)
{
    for (object *o = alive; o != NULL; o = o->next)
        if (o == handle && o->kind == kind) return o;
    return NULL;
}

static object *memory_at(uint64_t pointer)
{
    for (object *o = alive; o != NULL; o = o->next)
        if (o->kind == MEMORY && pointer >= o->value && pointer < o->value + o->bytes) return o;
    return NULL;
}

static void drop(object *o)
{
    object **link = &alive;
    while (*link != o) link = &(*link)->next;
    *link = o->next;
    free(o->text);
    free(o->nodes);
    free(o);
}

/* What belongs to `owner` goes with it. */
static void drop_owned(object *owner)
{
    for (object *o = alive, *next; o != NULL; o = next) {
        next = o->next;
        if (o->owner == owner) drop(o);
    }
}

static int do_work(work *w)
{
    if (w->what == WRITE) return device()->write(w->at, w->from, w->bytes);
    if (w->what == READ) return device()->read(w->to, w->at, w->bytes);
    if (w->what == RECORD) return w->event->value = tick, 0;
    object *n = &w->node;
    ++tick;
    return device()->launch(n->value, n->text, n->grid, n->block, n->shared_bytes, n->arguments, n->parameters);
}

/* Does all work up to the last of `stream` (of any where `all`).  A failure stays: the context is broken from then on. */
static int drain(object *stream, int all)
{
    work *last = NULL;
    for (work *w = queue; w != NULL; w = w->next)
        if (all || w->stream == stream) last = w;
    for (int done = last == NULL; !done;) {
        work *w = queue;
        done = w == last;
        queue = w->next;
        if (!broken) broken = do_work(w);
        free(w->node.text);
        free(w);
    }
    return broken;
}

static work *enqueue(object *stream)
{
    work *w = calloc(1, sizeof *w), **link = &queue;
    w->stream = stream;
    while (*link != NULL) link = &(*link)->next;
    return *link = w;
}

#include "stub_api.h"
