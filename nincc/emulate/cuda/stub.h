/* SPDX-License-Identifier: Apache-2.0
 *
 * A stand-in for NVIDIA's driver library: the part of the CUDA Driver API that nincc's libraries call.
 *
 * It keeps the books of a driver (contexts, streams, graphs, what is alive) and leaves memory and kernels to a
 * `stub_device`.  It is stricter than the real one where that finds mistakes: work on a stream is done only when someone waits
 * for it, a call without a current context fails, and whatever is not given back is counted.
 */
#ifndef NINCC_STUB_H
#define NINCC_STUB_H

#include <stddef.h>
#include <stdint.h>

/* The device's side; each function gives a CUresult.  `module` is the device's own number for a loaded module. */
typedef struct {
    int (*allocate)(uint64_t *pointer, size_t bytes);
    int (*release)(uint64_t pointer);
    int (*write)(uint64_t to, const void *from, size_t bytes);
    int (*read)(void *to, uint64_t from, size_t bytes);
    int (*load)(uint64_t *module, const char *ptx);
    int (*launch)(uint64_t module, const char *kernel, const unsigned *grid, const unsigned *block, unsigned shared_bytes,
                  const uint64_t *arguments, int count);
} stub_device;

/* How many GPUs there are, and their compute capability. */
void stub_configure(int devices, int major, int minor);

/* Who does the work; NULL: plain memory, and kernels that do nothing. */
void stub_attach(const stub_device *device);

/* The `nth` call of `symbol` from now on (1: the next) fails with `code`; only the last order counts. */
void stub_fail(const char *symbol, int code, int nth);

/* Contexts, modules, memory, streams, events and graphs that have not been given back. */
int stub_alive(void);

/* Calls of `symbol` so far. */
int stub_calls(const char *symbol);

#endif
