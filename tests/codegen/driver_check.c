/* Holds the toy net's API to its contract; prints the check that failed and ends with 1.
 *
 *     driver_check INPUT.f32 OUTPUT.f32 [no-fork]     the net's input and, to within 1e-6, its output
 *
 * Leak checkers want no-fork: a child holds the thread-local memory of threads that it does not have.
 */
#define _POSIX_C_SOURCE 200809L

#include "toy.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                         \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "line %d: %s; last error: %s\n", __LINE__, #condition, toy_last_error()); \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)
#define SAYS(text) (strstr(toy_last_error(), text) != NULL)

enum { INPUT = TOY_INPUT_ELEMENTS, OUTPUT = TOY_OUTPUT_ELEMENTS };

static float input[INPUT], expected[OUTPUT], first[OUTPUT];

static void read_floats(const char *path, float *values, size_t count)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fread(values, sizeof(float), count, file) == count);
    fclose(file);
}

static toy_context *open_with(int threads)
{
    toy_options options = {.size = sizeof options, .threads = threads};
    toy_context *context = NULL;
    CHECK(toy_open(&options, &context) == TOY_OK && context != NULL);
    return context;
}

static void check_result(toy_context *context)
{
    float output[OUTPUT];
    memset(output, 0xff, sizeof output);
    CHECK(toy_run(context, input, output) == TOY_OK);
    CHECK(memcmp(output, first, sizeof first) == 0);
}

static void check_values(void)
{
    toy_context *context = open_with(0);
    CHECK(toy_run(context, input, first) == TOY_OK);
    for (int i = 0; i < OUTPUT; ++i) CHECK(first[i] - expected[i] < 1e-6f && expected[i] - first[i] < 1e-6f);
    toy_close(context);
    toy_close(NULL);
    double error = -1.0;
    CHECK(toy_selftest(&error) == TOY_OK && error >= 0.0 && error < 1e-6);
    CHECK(toy_selftest(NULL) == TOY_OK);
    CHECK(strstr(toy_manifest(), "\"name\": \"toy\"") != NULL);
}

static void check_arguments(void)
{
    float output[OUTPUT];
    toy_context *context = open_with(1), *none = context;
    toy_options options = {.size = sizeof options, .threads = TOY_MAX_THREADS + 1};
    CHECK(toy_open(&options, &none) == TOY_ERROR_ARGUMENT && none == NULL && SAYS("5; this net was compiled for 1 to 4"));
    options.threads = -1;
    CHECK(toy_open(&options, &none) == TOY_ERROR_ARGUMENT);
    options.threads = 1;
    options.device = 1;
    CHECK(toy_open(&options, &none) == TOY_ERROR_UNSUPPORTED && SAYS("device"));
    options.device = 0;
    options.size = 3;
    CHECK(toy_open(&options, &none) == TOY_ERROR_ARGUMENT && SAYS("sizeof"));
    CHECK(toy_open(NULL, NULL) == TOY_ERROR_ARGUMENT);
    CHECK(toy_run(NULL, input, output) == TOY_ERROR_ARGUMENT && SAYS("context is NULL"));
    CHECK(toy_run(context, NULL, output) == TOY_ERROR_ARGUMENT && SAYS("input 0 is NULL"));
    CHECK(toy_run(context, input, NULL) == TOY_ERROR_ARGUMENT && SAYS("output 0 is NULL"));
    CHECK(toy_run(context, input, input + INPUT - 1) == TOY_ERROR_ARGUMENT && SAYS("overlaps"));
    toy_close(context);
    CHECK(strcmp(toy_strerror(TOY_OK), "no error") == 0);
    CHECK(strlen(toy_strerror(TOY_ERROR_INTERNAL)) > 0 && strlen(toy_strerror((toy_status)99)) > 0);
}

/* Weights from the library's file and from the copy that all other contexts share give the same bits. */
static void check_weights(void)
{
    toy_options options = {.size = sizeof options, .map_weights = 1};
    toy_context *copied = open_with(1), *mapped, *another = open_with(2);
    CHECK(toy_open(&options, &mapped) == TOY_OK);
    check_result(copied);
    check_result(mapped);
    toy_close(copied);
    check_result(another);
    toy_close(another);
    check_result(mapped);
    copied = open_with(1);
    check_result(copied);
    toy_close(copied);
    toy_close(mapped);
}

/* An option field that a later header adds is fine while it is zero. */
static void check_newer_options(void)
{
    struct {
        toy_options known;
        int newer, and_another;
    } options = {{.size = sizeof options, .threads = 2}, 0, 0};
    toy_context *context;
    CHECK(toy_open(&options.known, &context) == TOY_OK);
    toy_close(context);
    options.newer = 1;
    CHECK(toy_open(&options.known, &context) == TOY_ERROR_UNSUPPORTED && context == NULL);
}

static void check_failing_kernel(void)
{
    float poisoned[INPUT], output[OUTPUT];
    memcpy(poisoned, input, sizeof input);
    poisoned[0] = 12345.0f;
    toy_context *context = open_with(2);
    CHECK(toy_run(context, poisoned, output) == TOY_ERROR_INTERNAL && SAYS("layer conv1 \"*/ %s"));
    check_result(context);
    toy_close(context);
}

static void check_misaligned(void)
{
    char from[sizeof input + 64], to[sizeof first + 64];
    toy_context *context = open_with(2);
    for (int shift = 0; shift < 64; shift += 4) {
        memcpy(from + shift, input, sizeof input);
        memset(to, 0xff, sizeof to);
        CHECK(toy_run(context, (const float *)(void *)(from + shift), (float *)(void *)(to + shift)) == TOY_OK);
        CHECK(memcmp(to + shift, first, sizeof first) == 0);
    }
    toy_close(context);
}

static void check_open_in(void)
{
    static unsigned char memory[TOY_CONTEXT_BYTES + 8];
    toy_options options = {.size = sizeof options, .threads = 2};
    toy_context *context;
    memset(memory, 0xff, sizeof memory);
    CHECK(toy_open_in(memory, TOY_CONTEXT_BYTES - 1, NULL, &context) == TOY_ERROR_MEMORY && context == NULL);
    CHECK(toy_open_in(NULL, TOY_CONTEXT_BYTES, NULL, &context) == TOY_ERROR_ARGUMENT);
    CHECK(toy_open_in(memory, TOY_CONTEXT_BYTES, &options, &context) == TOY_ERROR_UNSUPPORTED);
    for (int shift = 0; shift < 8; ++shift) {
        CHECK(toy_open_in(memory + shift, TOY_CONTEXT_BYTES, NULL, &context) == TOY_OK);
        CHECK((unsigned char *)context >= memory + shift);
        check_result(context);
        toy_close(context);
    }
    CHECK(memory[TOY_CONTEXT_BYTES + 7] == 0xff);
}

static void pause_a_moment(int nanoseconds)
{
    struct timespec time = {0, nanoseconds};
    nanosleep(&time, NULL);
}

/* Workers are met spinning, yielding and asleep. */
static void check_thread_counts(void)
{
    for (int threads = 1; threads <= TOY_MAX_THREADS; ++threads) {
        toy_context *context = open_with(threads);
        for (int turn = 0; turn < 50; ++turn) {
            check_result(context);
            if (turn % 8 == 0) pause_a_moment(turn * 10000);
        }
        toy_close(context);
    }
}

static void *use_a_context(void *threads)
{
    toy_context *context = open_with(*(int *)threads);
    for (int turn = 0; turn < 100; ++turn) check_result(context);
    toy_close(context);
    return NULL;
}

static void check_contexts_at_once(void)
{
    pthread_t users[4];
    int threads[4] = {1, 2, 3, 4};
    for (int user = 0; user < 4; ++user) CHECK(pthread_create(&users[user], NULL, use_a_context, &threads[user]) == 0);
    for (int user = 0; user < 4; ++user) pthread_join(users[user], NULL);
}

struct shared_use {
    toy_context *context;
    int served, refused;
};

static void *share_a_context(void *argument)
{
    struct shared_use *use = argument;
    for (int turn = 0; turn < 200; ++turn) {
        float output[OUTPUT];
        toy_status status = toy_run(use->context, input, output);
        if (status == TOY_OK) {
            CHECK(memcmp(output, first, sizeof first) == 0);
            ++use->served;
        } else {
            CHECK(status == TOY_ERROR_ARGUMENT && SAYS("in use"));
            ++use->refused;
        }
    }
    return NULL;
}

/* Against the rules: a refusal, never a wrong result. */
static void check_shared_context(void)
{
    toy_context *context = open_with(2);
    struct shared_use uses[2] = {{context, 0, 0}, {context, 0, 0}};
    pthread_t other;
    CHECK(pthread_create(&other, NULL, share_a_context, &uses[0]) == 0);
    share_a_context(&uses[1]);
    pthread_join(other, NULL);
    CHECK(uses[0].served + uses[1].served > 0);
    CHECK(uses[0].served + uses[0].refused == 200);
    check_result(context);
    toy_close(context);
}

static void *read_last_error(void *text)
{
    strcpy(text, toy_last_error());
    return NULL;
}

static void check_last_error_is_of_this_thread(void)
{
    pthread_t other;
    char text[256] = "unset";
    CHECK(toy_run(NULL, input, first) == TOY_ERROR_ARGUMENT && SAYS("context"));
    CHECK(pthread_create(&other, NULL, read_last_error, text) == 0);
    pthread_join(other, NULL);
    CHECK(text[0] == '\0');
}

/* A forked child has a context's memory but none of its threads. */
static void check_fork(void)
{
    toy_context *context = open_with(4);
    check_result(context);
    for (int asleep = 0; asleep < 2; ++asleep) {
        if (asleep) pause_a_moment(20000000);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            check_result(context);
            toy_close(context);
            _exit(0);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        check_result(context);
    }
    toy_close(context);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3 || argc == 4);
    read_floats(argv[1], input, INPUT);
    read_floats(argv[2], expected, OUTPUT);
    check_values();
    check_arguments();
    check_weights();
    check_newer_options();
    check_failing_kernel();
    check_misaligned();
    check_open_in();
    check_thread_counts();
    check_contexts_at_once();
    check_shared_context();
    check_last_error_is_of_this_thread();
    if (argc == 3) check_fork();
    puts("all checks passed");
    return 0;
}
