/* Stands in for the driver's thread pool: every task of a parallel loop in a thread of its own. */
#include <pthread.h>
#include <stdint.h>

#define MOST 8 /* TVM leaves the number to the pool */

typedef struct {
  void *sync;
  int32_t tasks;
} environment;

typedef struct {
  int (*body)(int, environment *, void *);
  void *closure;
  environment env;
  int task, status;
} job;

static void *run(void *argument) {
  job *own = argument;
  own->status = own->body(own->task, &own->env, own->closure);
  return 0;
}

int TVMBackendParallelLaunch(int (*body)(int, environment *, void *), void *closure, int tasks) {
  pthread_t threads[MOST];
  job jobs[MOST];
  int status = 0;
  if (tasks < 1 || tasks > MOST) tasks = MOST;
  for (int task = 0; task < tasks; ++task) {
    jobs[task] = (job){body, closure, {0, tasks}, task, 0};
    if (pthread_create(&threads[task], 0, run, &jobs[task])) return -1;
  }
  for (int task = 0; task < tasks; ++task) {
    pthread_join(threads[task], 0);
    status |= jobs[task].status;
  }
  return status;
}
