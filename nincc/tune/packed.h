/* What the timers share: TVM's calling convention, and the clock.  Comes first in a file, for the clock's sake. */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* What a TVM function gets for a tensor: the start of dlpack.h's DLTensor. */
typedef struct {
    void *data;
    int32_t device[2];
    int32_t dimensions;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} tensor;

typedef union {
    int64_t integer;
    double number;
    tensor *array;
} value;

static void *data_of(const tensor *array)
{
    return (char *)array->data + array->byte_offset;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}
