/* Holds the GPU toy net's API to its contract on the stub driver; prints the check that failed and ends with 1.
 *
 *     cuda_check STUB INPUT.f32 OUTPUT.f32 [no-fork]
 *
 * The kernels run here, in C, on the stub's plain memory.
 */
#define _POSIX_C_SOURCE 200809L

#include "stub.h"
#include "toy.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda_check.h"

/* ---- Checks ------------------------------------------------------------------------------------------- */

static toy_context *open_one(void)
{
    toy_context *context = NULL;
    CHECK(toy_open(NULL, &context) == TOY_OK && context != NULL);
    return context;
}

static void refuses_to_open(toy_status status, const char *why)
{
    toy_context *context = (toy_context *)input;
    CHECK(toy_open(NULL, &context) == status && context == NULL);
    CHECK(SAYS(why));
    CHECK(stub == NULL || alive() == 0);
}

static void is_right(const float *output)
{
    for (int i = 0; i < OUTPUT; ++i) CHECK(output[i] - expected[i] < 1e-6f && expected[i] - output[i] < 1e-6f);
}

static void check_start(const char *path)
{
    int real_driver = dlopen("libcuda.so.1", RTLD_NOW) != NULL;
    if (!real_driver) refuses_to_open(TOY_ERROR_DEVICE, "no CUDA driver: libcuda.so.1");
    load_stub(path);
    order_failure("cuInit", 3, 1);
    refuses_to_open(TOY_ERROR_DEVICE, "cuInit: CUDA_ERROR_NOT_INITIALIZED (3): initialization error");
    configure(0, 8, 0);
    refuses_to_open(TOY_ERROR_DEVICE, "cuInit: CUDA_ERROR_NO_DEVICE (100): no CUDA-capable device is detected");
    configure(1, 7, 5);
    refuses_to_open(TOY_ERROR_DEVICE, "GPU 0 (stand-in GPU) has compute capability 7.5; this net needs 8.0 or newer");
    configure(0, 8, 0); /* gone since the driver started */
    refuses_to_open(TOY_ERROR_DEVICE, "the CUDA driver finds no GPU");
    configure(1, 12, 0);
}

static void check_arguments(void)
{
    float output[OUTPUT], memory[16];
    toy_options options = {.size = sizeof options, .device = 1};
    toy_context *context;
    struct {
        toy_options known;
        int unknown;
    } larger = {.known = {.size = sizeof larger}, .unknown = 1};
    CHECK(toy_open(&options, &context) == TOY_ERROR_ARGUMENT && SAYS("device is 1; this machine has 1"));
    options = (toy_options){.size = sizeof options, .threads = 2};
    CHECK(toy_open(&options, &context) == TOY_ERROR_ARGUMENT && SAYS("threads is 2"));
    options = (toy_options){.size = 4};
    CHECK(toy_open(&options, &context) == TOY_ERROR_ARGUMENT && SAYS("sizeof(toy_options)"));
    CHECK(toy_open(&larger.known, &context) == TOY_ERROR_UNSUPPORTED && SAYS("does not know"));
    CHECK(toy_open(NULL, NULL) == TOY_ERROR_ARGUMENT);
    CHECK(toy_open_in(memory, sizeof memory, NULL, &context) == TOY_ERROR_UNSUPPORTED && context == NULL);
    CHECK(alive() == 0);
    context = open_one();
    CHECK(toy_run(NULL, input, output) == TOY_ERROR_ARGUMENT && SAYS("context is NULL"));
    CHECK(toy_run(context, NULL, output) == TOY_ERROR_ARGUMENT && SAYS("input 0 is NULL"));
    CHECK(toy_run(context, input, input + 3) == TOY_ERROR_ARGUMENT && SAYS("output 0 overlaps input 0"));
    CHECK(toy_run_device(context, input, NULL, NULL) == TOY_ERROR_ARGUMENT && SAYS("output 0 is NULL"));
    toy_close(context);
    toy_close(NULL);
    CHECK(alive() == 0);
}

static void check_values(void)
{
    float output[OUTPUT], odd[INPUT + 1];
    toy_context *first = open_one(), *second = open_one();
    int bound = calls("cuGraphExecKernelNodeSetParams");
    for (int turn = 0; turn < 3; ++turn) {
        memset(output, 0xff, sizeof output);
        CHECK(toy_run(turn == 1 ? second : first, input, output) == TOY_OK);
        is_right(output);
    }
    CHECK(calls("cuGraphExecKernelNodeSetParams") == bound);
    char *misaligned = (char *)odd + 1;
    memcpy(misaligned, input, sizeof input);
    CHECK(toy_run(first, (const float *)(const void *)misaligned, output) == TOY_OK);
    is_right(output);
    toy_close(first);
    CHECK(toy_run(second, input, output) == TOY_OK);
    toy_close(second);
    double error = 1.0;
    CHECK(toy_selftest(&error) == TOY_OK && error < 1e-5);
    CHECK(alive() == 0);
}

/* ---- Device memory ------------------------------------------------------------------------------------ */

static int (*retain)(void **, int), (*give_back)(int), (*push)(void *), (*pop)(void **), (*synchronize)(void);
static int (*cuda_allocate)(uint64_t *, size_t), (*cuda_free)(uint64_t);

struct tensors {
    uint64_t input, output;
};

static struct tensors device_tensors(void)
{
    struct tensors made;
    CHECK(cuda_allocate(&made.input, sizeof input) == 0 && cuda_allocate(&made.output, sizeof expected) == 0);
    memcpy((void *)(uintptr_t)made.input, input, sizeof input);
    memset((void *)(uintptr_t)made.output, 0xff, sizeof expected);
    return made;
}

static toy_status run_on(toy_context *context, struct tensors *t, size_t shift)
{
    return toy_run_device(context, (void *)(uintptr_t)(t->input + shift), (void *)(uintptr_t)t->output, NULL);
}

static void free_tensors(struct tensors *t)
{
    CHECK(cuda_free(t->input) == 0 && cuda_free(t->output) == 0);
}

static void check_device_run(void)
{
    float output[OUTPUT];
    void *context, *popped;
    BIND(retain, "cuDevicePrimaryCtxRetain");
    BIND(give_back, "cuDevicePrimaryCtxRelease_v2");
    BIND(push, "cuCtxPushCurrent_v2");
    BIND(pop, "cuCtxPopCurrent_v2");
    BIND(synchronize, "cuCtxSynchronize");
    BIND(cuda_allocate, "cuMemAlloc_v2");
    BIND(cuda_free, "cuMemFree_v2");
    toy_context *net = open_one();
    CHECK(retain(&context, 0) == 0 && push(context) == 0);
    struct tensors first = device_tensors(), second = device_tensors();
    int bound = calls("cuGraphExecKernelNodeSetParams");
    CHECK(run_on(net, &first, 0) == TOY_OK && run_on(net, &second, 0) == TOY_OK && run_on(net, &second, 0) == TOY_OK);
    CHECK(calls("cuGraphExecKernelNodeSetParams") == bound + 4);
    CHECK(synchronize() == 0);
    is_right((const float *)(uintptr_t)first.output);
    is_right((const float *)(uintptr_t)second.output);
    CHECK(toy_run(net, input, output) == TOY_OK);
    is_right(output);
    CHECK(run_on(net, &first, 4) == TOY_ERROR_ARGUMENT && SAYS("input 0 is not aligned to 16 bytes"));
    _Alignas(16) float on_host[OUTPUT];
    CHECK(toy_run_device(net, (void *)(uintptr_t)first.input, on_host, NULL) == TOY_ERROR_ARGUMENT);
    CHECK(SAYS("output 0 is no device memory"));
    CHECK(run_on(net, &first, 0) == TOY_OK);
    toy_close(net); /* waits for what is under way */
    is_right((const float *)(uintptr_t)first.output);
    free_tensors(&first);
    free_tensors(&second);
    CHECK(pop(&popped) == 0 && popped == context && give_back(0) == 0 && alive() == 0);
}

/* ---- Every call that can fail, at each of its places ---------------------------------------------------- */

/* Open, run on the host, run on the device, close: the first status that is not OK. */
static toy_status whole_life(struct tensors *t)
{
    float output[OUTPUT];
    toy_context *context = (toy_context *)input;
    toy_status status = toy_open(NULL, &context);
    if (status != TOY_OK) {
        CHECK(context == NULL);
        return status;
    }
    status = toy_run(context, input, output);
    if (status == TOY_OK) status = run_on(context, t, 0);
    toy_close(context);
    return status;
}

static void check_failures(void)
{
    static const char *const symbols[] = {
        "cuDeviceGetCount",      "cuDeviceGet",           "cuDeviceGetName",
        "cuDeviceGetAttribute",  "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent_v2",
        "cuModuleLoadDataEx",    "cuModuleGetFunction",   "cuFuncSetAttribute",
        "cuMemAlloc_v2",         "cuStreamCreate",        "cuMemcpyHtoDAsync_v2",
        "cuMemcpyDtoHAsync_v2",  "cuStreamSynchronize",   "cuGraphCreate",
        "cuGraphAddKernelNode",  "cuGraphInstantiateWithFlags", "cuGraphExecKernelNodeSetParams",
        "cuGraphLaunch",
    };
    void *context, *popped;
    CHECK(retain(&context, 0) == 0 && push(context) == 0);
    struct tensors t = device_tensors();
    int before = alive(), injected = 0;
    for (size_t s = 0; s < sizeof symbols / sizeof symbols[0]; ++s) {
        char name[64];
        int had = calls(symbols[s]);
        CHECK(whole_life(&t) == TOY_OK && alive() == before);
        int count = calls(symbols[s]) - had;
        /* The last push is toy_close's, which has nobody to tell. */
        if (strcmp(symbols[s], "cuCtxPushCurrent_v2") == 0) --count;
        CHECK(count > 0);
        strcpy(name, symbols[s]);
        if (strstr(name, "_v2")) *strstr(name, "_v2") = 0;
        /* Where machine code comes first, that it does not load is no failure. */
        int first = strcmp(symbols[s], "cuModuleLoadDataEx") == 0 ? count : 1;
        for (int nth = first; nth <= count; ++nth, ++injected) {
            int memory = nth % 2 == 0;
            order_failure(symbols[s], memory ? OUT_OF_MEMORY : CODE, nth);
            CHECK(whole_life(&t) == (memory ? TOY_ERROR_MEMORY : TOY_ERROR_DEVICE));
            CHECK(strncmp(toy_last_error(), name, strlen(name)) == 0);
            CHECK(SAYS(memory ? "CUDA_ERROR_OUT_OF_MEMORY (2): out of memory" : "CUDA_ERROR_LAUNCH_FAILED (719)"));
            CHECK(alive() == before);
        }
    }
    free_tensors(&t);
    CHECK(pop(&popped) == 0 && give_back(0) == 0 && alive() == 0);
    printf("%d failures injected\n", injected);
}

static void check_rebinding_after_failure(void)
{
    void *context, *popped;
    toy_context *net = open_one();
    CHECK(retain(&context, 0) == 0 && push(context) == 0);
    struct tensors t = device_tensors();
    order_failure("cuGraphExecKernelNodeSetParams", CODE, 1);
    CHECK(run_on(net, &t, 0) == TOY_ERROR_DEVICE);
    CHECK(run_on(net, &t, 0) == TOY_OK && synchronize() == 0);
    is_right((const float *)(uintptr_t)t.output);
    toy_close(net);
    free_tensors(&t);
    CHECK(pop(&popped) == 0 && give_back(0) == 0 && alive() == 0);
}

static int refuse(uint64_t *module, const char *ptx)
{
    (void)module;
    (void)ptx;
    return 218;
}

static void check_compiler_message(void)
{
    device.load = refuse;
    refuses_to_open(TOY_ERROR_DEVICE, "CUDA_ERROR_INVALID_PTX (218): a PTX JIT compilation failed: ptxas fatal");
    device.load = load;
}

static void check_fork(void)
{
    float output[OUTPUT];
    toy_context *context = open_one();
    pid_t child = fork();
    if (child == 0) {
        int refused = toy_run(context, input, output) == TOY_ERROR_DEVICE && SAYS("forked");
        toy_close(context);
        _exit(refused ? 0 : 1);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(toy_run(context, input, output) == TOY_OK);
    is_right(output);
    toy_close(context);
    CHECK(alive() == 0);
}

static void read_floats(const char *path, float *values, size_t count)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fread(values, sizeof(float), count, file) == count);
    fclose(file);
}

int main(int argc, char **argv)
{
    CHECK(argc >= 4);
    read_floats(argv[2], input, INPUT);
    read_floats(argv[3], expected, OUTPUT);
    check_start(argv[1]);
    check_arguments();
    check_values();
    check_device_run();
    check_failures();
    check_rebinding_after_failure();
    check_compiler_message();
    if (argc == 4) check_fork();
    puts("all checks passed");
    return 0;
}
