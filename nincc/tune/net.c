/* Runs a whole net and times it: linked to its static library, for a board behind TVM's RPC.

   NET is the prefix of the library's functions; the file that includes this one defines it. */
#include "packed.h"

#define JOIN(a, b) a##b
#define NAME(a, b) JOIN(a, b)
#define OPEN NAME(NET, _open)
#define RUN NAME(NET, _run)
#define CLOSE NAME(NET, _close)

int32_t OPEN(const void *options, void **context);
int32_t RUN(void); /* in truth it takes the context and a pointer for each tensor */
void CLOSE(void *context);

#define AS(...) ((int32_t(*)(__VA_ARGS__))(uintptr_t)RUN)
typedef void *P;

static int32_t run(void *c, void **p, int32_t count)
{
    switch (count) {
    case 2: return AS(P, P, P)(c, p[0], p[1]);
    case 3: return AS(P, P, P, P)(c, p[0], p[1], p[2]);
    case 4: return AS(P, P, P, P, P)(c, p[0], p[1], p[2], p[3]);
    case 5: return AS(P, P, P, P, P, P)(c, p[0], p[1], p[2], p[3], p[4]);
    case 6: return AS(P, P, P, P, P, P, P)(c, p[0], p[1], p[2], p[3], p[4], p[5]);
    default: return -1;
    }
}

#define MOST_TENSORS 6

static int32_t timed(void *context, void **pointers, int32_t count, const tensor *seconds)
{
    double *times = data_of(seconds);
    for (int64_t i = -1; i < seconds->shape[0]; ++i) { /* the first run only warms up */
        double start = now();
        int32_t status = run(context, pointers, count);
        if (status != 0) return status;
        if (i >= 0) times[i] = now() - start;
    }
    return 0;
}

/* A function of TVM's calling convention: the seconds, a place for each run, then inputs and outputs. */
int32_t nincc_net_packed(value *arguments, int32_t *codes, int32_t count, value *result, int32_t *code, void *self);
int32_t nincc_net_packed(value *arguments, int32_t *codes, int32_t count, value *result, int32_t *code, void *self)
{
    void *pointers[MOST_TENSORS], *context = NULL;
    (void)codes, (void)self;
    if (count < 3 || count - 1 > MOST_TENSORS) return -1;
    for (int32_t i = 1; i < count; ++i) pointers[i - 1] = data_of(arguments[i].array);
    int32_t status = OPEN(NULL, &context);
    if (status == 0) {
        status = timed(context, pointers, count - 1, arguments[0].array);
        CLOSE(context);
    }
    result->integer = status;
    *code = 0; /* an integer */
    return 0;
}
