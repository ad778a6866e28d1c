/* Stands in for the driver's thread pool: runs the tasks of a parallel loop last to first, in this thread. */
#include <stdint.h>

typedef struct {
  void *sync;
  int32_t tasks;
} environment;

int TVMBackendParallelLaunch(int (*body)(int, environment *, void *), void *closure, int tasks) {
  environment env = {0, tasks > 0 ? tasks : 3};
  for (int task = env.tasks; task-- > 0;) {
    int status = body(task, &env, closure);
    if (status) return status;
  }
  return 0;
}
