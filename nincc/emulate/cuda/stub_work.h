/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams, launches, graphs and events.  Included by stub_api.h. */

static int destroy(object *o)
{
    if (o == NULL) return INVALID_HANDLE;
    drain(NULL, 1);
    drop_owned(o);
    return drop(o), 0;
}

static int synchronize(void *stream)
{
    if (stream != NULL && find(STREAM, stream) == NULL) return INVALID_HANDLE;
    return drain(stream, 0);
}

API(cuStreamCreate, (void **stream, unsigned flags), flags > 1 ? INVALID_VALUE : broken ? broken : (*stream = make(STREAM), 0))
API(cuStreamDestroy_v2, (void *stream), destroy(find(STREAM, stream)))
API(cuStreamSynchronize, (void *stream), synchronize(stream))

/* Takes the launch over: the values of its arguments are those of now. */
static int fill_node(object *node, const kernel_node *given)
{
    object *f = find(FUNCTION, given->function);
    uint64_t threads = 1, blocks = 1;
    if (f == NULL) return INVALID_HANDLE;
    for (int d = 0; d < 3; ++d) {
        threads *= node->block[d] = given->block[d];
        blocks *= node->grid[d] = given->grid[d];
    }
    if (threads == 0 || threads > 1024 || blocks == 0 || given->shared_bytes > f->shared_limit) return INVALID_VALUE;
    node->function = f;
    node->shared_bytes = given->shared_bytes;
    for (int a = 0; a < f->parameters; ++a) memcpy(&node->arguments[a], given->arguments[a], sizeof node->arguments[a]);
    return 0;
}

static int enqueue_node(const object *node, void *stream)
{
    if (broken) return broken;
    if (stream != NULL && find(STREAM, stream) == NULL) return INVALID_HANDLE;
    work *w = enqueue(stream);
    w->what = LAUNCH;
    w->node = *node;
    w->node.value = node->function->owner->value;
    w->node.parameters = node->function->parameters;
    return w->node.text = strdup(node->function->text), 0;
}

static int add_node(void **made, object *graph, void *const *before, size_t count, const kernel_node *given)
{
    object shape = {.kind = NODE};
    if (graph == NULL) return INVALID_HANDLE;
    /* A chain: each node waits for the one before it. */
    if (count != (graph->count > 0) || (count && before[0] != (void *)graph->nodes[graph->count - 1])) return INVALID_VALUE;
    int code = fill_node(&shape, given);
    if (code) return code;
    object *node = make(NODE), *next = node->next;
    int number = node->device;
    *node = shape;
    node->next = next;
    node->device = number;
    node->owner = graph;
    graph->nodes = realloc(graph->nodes, sizeof(object *) * (size_t)(graph->count + 1));
    graph->nodes[graph->count++] = node;
    return *made = node, 0;
}

/* An executable has nodes of its own, found by the graph's. */
static int instantiate(void **made, object *graph)
{
    if (graph == NULL) return INVALID_HANDLE;
    object *executable = make(EXECUTABLE);
    executable->nodes = calloc((size_t)graph->count + 1, sizeof(object *));
    for (; executable->count < graph->count; ++executable->count) {
        object *from = graph->nodes[executable->count], *node = make(NODE), *next = node->next;
        *node = *from;
        node->next = next;
        node->owner = executable;
        node->value = (uintptr_t)from;
        executable->nodes[executable->count] = node;
    }
    return *made = executable, 0;
}

static int set_node(object *executable, void *node, const kernel_node *given)
{
    if (executable == NULL) return INVALID_HANDLE;
    for (int n = 0; n < executable->count; ++n)
        if (executable->nodes[n]->value == (uintptr_t)node) return fill_node(executable->nodes[n], given);
    return INVALID_VALUE;
}

static int launch_graph(object *executable, void *stream)
{
    int code = executable ? 0 : INVALID_HANDLE;
    for (int n = 0; !code && n < executable->count; ++n) code = enqueue_node(executable->nodes[n], stream);
    return code;
}

static int launch_one(const kernel_node *given, void *stream)
{
    object node = {.kind = NODE};
    int code = fill_node(&node, given);
    return code ? code : enqueue_node(&node, stream);
}

API(cuGraphCreate, (void **graph, unsigned flags), flags ? INVALID_VALUE : broken ? broken : (*graph = make(GRAPH), 0))
API(cuGraphDestroy, (void *graph), destroy(find(GRAPH, graph)))
API(cuGraphAddKernelNode, (void **made, void *graph, void *const *before, size_t count, const kernel_node *given),
    add_node(made, find(GRAPH, graph), before, count, given))
API(cuGraphInstantiateWithFlags, (void **made, void *graph, unsigned long long flags),
    flags ? INVALID_VALUE : instantiate(made, find(GRAPH, graph)))
API(cuGraphExecKernelNodeSetParams, (void *executable, void *node, const kernel_node *given),
    set_node(find(EXECUTABLE, executable), node, given))
API(cuGraphLaunch, (void *executable, void *stream), launch_graph(find(EXECUTABLE, executable), stream))
API(cuGraphExecDestroy, (void *executable), destroy(find(EXECUTABLE, executable)))
API(cuLaunchKernel,
    (void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared_bytes,
     void *stream, void **arguments, void **extra),
    launch_one(&(kernel_node){f, {gx, gy, gz}, {bx, by, bz}, shared_bytes, arguments, extra}, stream))

static int record(object *event, void *stream)
{
    if (event == NULL) return INVALID_HANDLE;
    work *w = enqueue(stream);
    w->what = RECORD;
    return w->event = event, broken;
}

/* A tick is a microsecond: events are apart by the launches between them. */
static int elapsed(float *milliseconds, object *start, object *end)
{
    if (start == NULL || end == NULL || start->value == 0 || end->value == 0) return INVALID_HANDLE;
    return *milliseconds = (float)(end->value - start->value) * 1e-3f, 0;
}

API(cuEventCreate, (void **event, unsigned flags), flags ? INVALID_VALUE : broken ? broken : (*event = make(EVENT), 0))
API(cuEventRecord, (void *event, void *stream), record(find(EVENT, event), stream))
API(cuEventSynchronize, (void *event), find(EVENT, event) ? drain(NULL, 1) : INVALID_HANDLE)
API(cuEventElapsedTime, (float *milliseconds, void *start, void *end),
    elapsed(milliseconds, find(EVENT, start), find(EVENT, end)))
API(cuEventDestroy_v2, (void *event), destroy(find(EVENT, event)))
