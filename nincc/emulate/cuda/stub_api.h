/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver's functions, by the names that nincc's libraries look up.  Included by stub.c. */

/* A function that needs a current context: its body is an expression of its result. */
#define API(symbol, parameters, result)               \
    int symbol parameters;                            \
    int symbol parameters                             \
    {                                                 \
        pthread_mutex_lock(&lock);                    \
        int code = order(#symbol);                    \
        if (!code && !ready) code = NOT_INITIALIZED;  \
        if (!code && depth == 0) code = INVALID_CONTEXT; \
        if (!code) code = (result);                   \
        pthread_mutex_unlock(&lock);                  \
        return code;                                  \
    }
/* One that does not. */
#define FREE_API(symbol, parameters, result)  \
    int symbol parameters;                    \
    int symbol parameters                     \
    {                                         \
        pthread_mutex_lock(&lock);            \
        int code = order(#symbol);            \
        if (!code) code = (result);           \
        pthread_mutex_unlock(&lock);          \
        return code;                          \
    }

static const struct {
    int code;
    const char *name, *text;
} errors[] = {
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
};

int cuGetErrorName(int code, const char **text);
int cuGetErrorString(int code, const char **text);

int cuGetErrorName(int code, const char **text)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; ++i)
        if (errors[i].code == code) return *text = errors[i].name, 0;
    return *text = NULL, INVALID_VALUE;
}

int cuGetErrorString(int code, const char **text)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; ++i)
        if (errors[i].code == code) return *text = errors[i].text, 0;
    return *text = NULL, INVALID_VALUE;
}

static int start(void)
{
    if (devices == 0) return NO_DEVICE;
    return ready = 1, 0;
}

static int attribute(int *value, int which, int number)
{
    if (number < 0 || number >= devices) return INVALID_DEVICE;
    if (which != 75 && which != 76) return INVALID_VALUE;
    return *value = capability[which - 75], 0;
}

FREE_API(cuInit, (unsigned flags), flags ? INVALID_VALUE : start())
FREE_API(cuDeviceGetCount, (int *count), (*count = devices, 0))
FREE_API(cuDeviceGet, (int *number, int ordinal),
         ordinal < 0 || ordinal >= devices ? INVALID_DEVICE : (*number = ordinal, 0))
FREE_API(cuDeviceGetName, (char *name, int bytes, int number),
         (strncpy(name, "stand-in GPU", (size_t)bytes - 1), number >= devices ? INVALID_DEVICE : 0))
FREE_API(cuDeviceGetAttribute, (int *value, int which, int number), attribute(value, which, number))

/* ---- Contexts ---------------------------------------------------------------------------------------- */

static int retain(void **context, int number)
{
    if (number < 0 || number >= devices) return INVALID_DEVICE;
    ++retained[number];
    return *context = (void *)(uintptr_t)(number + 1), 0;
}

/* The last release destroys the context, and what it still holds is lost. */
static int release(int number)
{
    if (retained[number] == 0) return INVALID_CONTEXT;
    if (--retained[number] > 0) return 0;
    for (object *o = alive, *next; o != NULL; o = next) {
        next = o->next;
        if (o->device != number) continue;
        lost += o->kind != FUNCTION && o->kind != NODE;
        if (o->kind == MEMORY) device()->release(o->value);
        drop(o);
    }
    broken = 0;
    return 0;
}

static int push(void *context)
{
    int number = (int)(uintptr_t)context - 1;
    if (number < 0 || number >= devices || retained[number] == 0 || depth == MOST_DEEP) return INVALID_CONTEXT;
    return current[depth++] = number, 0;
}

FREE_API(cuDevicePrimaryCtxRetain, (void **context, int number), retain(context, number))
FREE_API(cuDevicePrimaryCtxRelease_v2, (int number), release(number))
FREE_API(cuCtxPushCurrent_v2, (void *context), push(context))
API(cuCtxPopCurrent_v2, (void **context), (*context = (void *)(uintptr_t)(current[--depth] + 1), 0))
API(cuCtxSynchronize, (void), drain(NULL, 1))

/* ---- Modules ----------------------------------------------------------------------------------------- */

static int load(void **module, const char *image, unsigned count, int *options, void **values)
{
    uint64_t number;
    if (!memcmp(image, "\177ELF", 4)) return NO_BINARY_FOR_GPU;
    int code = device()->load(&number, image);
    for (unsigned i = 0; code && i < count; ++i)
        if (options[i] == 5) strncpy(values[i], "ptxas fatal: Unresolved extern function", 100);
    if (code) return code;
    object *made = make(MODULE);
    made->value = number;
    made->text = strdup(image);
    return *module = made, 0;
}

/* The parameters of the entry `name`, -1 where there is none. */
static int parameters_of(const char *ptx, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = ptx; (at = strstr(at, ".entry ")) != NULL; ++at) {
        const char *word = at + 7, *end = strchr(word, ')');
        if (strncmp(word, name, length) || word[length] != '(' || !end) continue;
        int count = 0;
        for (const char *p = word; (p = strstr(p, ".param ")) != NULL && p < end; ++p) ++count;
        return count;
    }
    return -1;
}

static int function(void **made, object *module, const char *name)
{
    if (module == NULL) return INVALID_HANDLE;
    int parameters = parameters_of(module->text, name);
    if (parameters < 0 || parameters > MOST_ARGUMENTS) return NOT_FOUND;
    object *f = make(FUNCTION);
    f->owner = module;
    f->parameters = parameters;
    f->text = strdup(name);
    f->shared_limit = STATIC_SHARED;
    return *made = f, 0;
}

static int set_function(object *f, int which, int value)
{
    if (f == NULL) return INVALID_HANDLE;
    if (which != 8) return INVALID_VALUE;
    return f->shared_limit = (unsigned)value, 0;
}

static int unload(object *module)
{
    if (module == NULL) return INVALID_HANDLE;
    drop_owned(module);
    return drop(module), 0;
}

API(cuModuleLoadDataEx, (void **module, const void *image, unsigned count, int *options, void **values),
    broken ? broken : load(module, image, count, options, values))
API(cuModuleUnload, (void *module), unload(find(MODULE, module)))
API(cuModuleGetFunction, (void **made, void *module, const char *name), function(made, find(MODULE, module), name))
API(cuFuncSetAttribute, (void *f, int which, int value), set_function(find(FUNCTION, f), which, value))

/* ---- Memory ------------------------------------------------------------------------------------------ */

static int allocate(uint64_t *pointer, size_t bytes)
{
    if (bytes == 0) return INVALID_VALUE;
    int code = device()->allocate(pointer, bytes);
    if (code) return code;
    object *memory = make(MEMORY);
    memory->value = *pointer;
    memory->bytes = bytes;
    return 0;
}

static int free_memory(uint64_t pointer)
{
    object *memory = memory_at(pointer);
    if (memory == NULL || memory->value != pointer) return INVALID_VALUE;
    drain(NULL, 1);
    int code = device()->release(pointer);
    return drop(memory), code;
}

static int copy(uint64_t at, const void *from, void *to, size_t bytes, void *stream)
{
    object *memory = memory_at(at);
    if (broken) return broken;
    if (memory == NULL || at + bytes > memory->value + memory->bytes) return INVALID_VALUE;
    if (stream != NULL && find(STREAM, stream) == NULL) return INVALID_HANDLE;
    work *w = enqueue(stream);
    w->what = from ? WRITE : READ;
    w->at = at;
    w->from = from;
    w->to = to;
    return w->bytes = bytes, 0;
}

static int ordinal(int *value, int which, uint64_t pointer)
{
    object *memory = memory_at(pointer);
    if (which != 9 || memory == NULL) return INVALID_VALUE;
    return *value = memory->device, 0;
}

API(cuMemAlloc_v2, (uint64_t *pointer, size_t bytes), broken ? broken : allocate(pointer, bytes))
API(cuMemFree_v2, (uint64_t pointer), free_memory(pointer))
API(cuPointerGetAttribute, (void *value, int which, uint64_t pointer), ordinal(value, which, pointer))
API(cuMemcpyHtoDAsync_v2, (uint64_t to, const void *from, size_t bytes, void *stream), copy(to, from, NULL, bytes, stream))
API(cuMemcpyDtoHAsync_v2, (void *to, uint64_t from, size_t bytes, void *stream), copy(from, NULL, to, bytes, stream))

#include "stub_work.h"
