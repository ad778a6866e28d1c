/* Runs one candidate kernel and times it: linked to its object, for this machine or for a board behind TVM's RPC.

   Every run starts as in a net: weights out of the near caches, the input in them. */
#include "packed.h"

typedef struct {
    void *sync;
    int32_t tasks;
} parallel_env;
typedef int (*parallel_body)(int task, parallel_env *env, void *closure);

#define MOST_POINTERS 16

int32_t candidate(void); /* in truth it takes pointers, as many as the kernel has buffers */
static int32_t parallel_tasks = 1;
volatile float nincc_touched;

__attribute__((visibility("hidden"))) int TVMBackendParallelLaunch(parallel_body body, void *closure, int tasks);
int TVMBackendParallelLaunch(parallel_body body, void *closure, int tasks)
{
    parallel_env env = {NULL, parallel_tasks};
    (void)tasks;
    for (int task = 0; task < parallel_tasks; ++task)
        if (body(task, &env, closure) != 0) return -1;
    return 0;
}

static void touch(const float *data, int64_t bytes)
{
    float sum = 0;
    for (int64_t i = 0; i < bytes / 4; i += 16) sum += data[i];
    nincc_touched = sum;
}

#define AS(...) ((int32_t(*)(__VA_ARGS__))(uintptr_t)candidate)
typedef void *P;

static int32_t call(void **p, int32_t count)
{
    switch (count) {
    case 4: return AS(P, P, P, P)(p[0], p[1], p[2], p[3]);
    case 5: return AS(P, P, P, P, P)(p[0], p[1], p[2], p[3], p[4]);
    case 6: return AS(P, P, P, P, P, P)(p[0], p[1], p[2], p[3], p[4], p[5]);
    case 7: return AS(P, P, P, P, P, P, P)(p[0], p[1], p[2], p[3], p[4], p[5], p[6]);
    case 8: return AS(P, P, P, P, P, P, P, P)(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);
    case 9: return AS(P, P, P, P, P, P, P, P, P)(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8]);
    default: return -1;
    }
}

/* Runs the kernel on ``pointers`` (data, weight, bias, output, scratch …) ``runs`` times; 0 when each returned 0. */
int32_t nincc_measure(void **pointers, int32_t count, int32_t tasks, int64_t input_bytes, float *evicted,
                      int64_t evicted_bytes, double *seconds, int32_t runs);
int32_t nincc_measure(void **pointers, int32_t count, int32_t tasks, int64_t input_bytes, float *evicted,
                      int64_t evicted_bytes, double *seconds, int32_t runs)
{
    parallel_tasks = tasks;
    for (int32_t run = 0; run < runs; ++run) {
        touch(evicted, evicted_bytes);
        touch(pointers[0], input_bytes);
        double start = now();
        if (call(pointers, count) != 0) return -1;
        seconds[run] = now() - start;
    }
    return 0;
}

static int64_t bytes_of(const tensor *array)
{
    int64_t bytes = array->bits / 8;
    for (int32_t i = 0; i < array->dimensions; ++i) bytes *= array->shape[i];
    return bytes;
}

/* The same as a function of TVM's calling convention: tasks, the evicted array, the seconds, then the pointers. */
int32_t nincc_measure_packed(value *arguments, int32_t *codes, int32_t count, value *result, int32_t *code, void *self);
int32_t nincc_measure_packed(value *arguments, int32_t *codes, int32_t count, value *result, int32_t *code, void *self)
{
    void *pointers[MOST_POINTERS];
    (void)codes, (void)self;
    if (count < 3 || count - 3 > MOST_POINTERS) return -1;
    for (int32_t i = 3; i < count; ++i) pointers[i - 3] = data_of(arguments[i].array);
    tensor *evicted = arguments[1].array, *seconds = arguments[2].array;
    result->integer = nincc_measure(pointers, count - 3, (int32_t)arguments[0].integer, bytes_of(arguments[3].array),
                                    data_of(evicted), bytes_of(evicted), data_of(seconds), (int32_t)seconds->shape[0]);
    *code = 0; /* an integer */
    return 0;
}
