/* SPDX-License-Identifier: MIT-0
 *
 * Proves a compiled net on the board it runs on, and times it there.
 *
 *     ./main [threads [inferences]]
 */
#define _POSIX_C_SOURCE 200809L

#include "nin.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static float input[NIN_INPUT_ELEMENTS];
static float output[NIN_OUTPUT_ELEMENTS];

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static int complain(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nin_last_error());
    return 1;
}

int main(int argc, char **argv)
{
    nin_options options = {.size = sizeof options, .threads = argc > 1 ? atoi(argv[1]) : 1};
    int count = argc > 2 ? atoi(argv[2]) : 100;
    double error = 0, *times = malloc((size_t)(count > 0 ? count : 1) * sizeof *times);
    nin_context *context;

    if (count < 1 || times == NULL) return 2;
    if (nin_selftest(&error) != NIN_OK) return complain("selftest");
    printf("selftest passed, largest error %.3g\n", error);

    for (int i = 0; i < NIN_INPUT_ELEMENTS; ++i) input[i] = (float)(i % 256) / 255.0f;
    if (nin_open(&options, &context) != NIN_OK) return complain("open");
    if (nin_run(context, input, output) != NIN_OK) return complain("run"); /* the first one warms the caches */
    for (int i = 0; i < count; ++i) {
        double start = milliseconds();
        if (nin_run(context, input, output) != NIN_OK) return complain("run");
        times[i] = milliseconds() - start;
    }
    nin_close(context);

    qsort(times, (size_t)count, sizeof *times, by_value);
    printf("%d threads, %d inferences: median %.3f ms, fastest %.3f ms\n", options.threads, count, times[count / 2], times[0]);
    free(times);
    return 0;
}
