/* later.c -- the sound plugin made asynchronous: each queue has a thread that runs what was handed
 * to it some milliseconds ago. What the call borrowed is copied, unless the bug is to read it late.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "plant.h"

enum { QUEUES = 16, COPIES = 64, POINTS = 32, BINDS = 64, SCALARS = 16, DELAY_MS = 5 };

typedef struct job {
  struct job *next;
  forge_prog *prog; /* NULL: copies */
  uint32_t n_copies;
  const forge_copy *copies;
  forge_submit order;
  forge_copy copy_space[COPIES];
  forge_bind bind[BINDS];
  uint64_t scalar[SCALARS];
  forge_point wait[POINTS], signal[POINTS];
} job;

typedef struct worker {
  forge_queue *queue;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  job *first, **last;
  bool leaving;
} worker;

static worker workers[QUEUES];
static pthread_mutex_t workers_lock = PTHREAD_MUTEX_INITIALIZER;
static later_wrong wrong;

/* Work that was called done rests longest: on a busy machine too it is looked at before it begins.
 */
static void rest_a_while(void) {
  const long ms = wrong.signals_first ? 20 * DELAY_MS : DELAY_MS;
  nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static void signal_points(const job *j, forge_queue *queue) {
  const forge_submit rest = {
      .size = sizeof rest, .n_signal = j->order.n_signal, .signal = j->order.signal};
  sound->copy(queue, NULL, 0, &rest);
}

static void run_job(const job *j, forge_queue *queue) {
  forge_submit quiet = j->order;
  for (uint32_t i = 0; i < j->order.n_wait && !wrong.ignores_waits; i++)
    sound->tl_wait(j->order.wait[i].tl, j->order.wait[i].value, FORGE_WAIT_FOREVER);
  if (wrong.signals_first) signal_points(j, queue);
  if (!wrong.ignores_waits || !j->order.n_wait) rest_a_while();
  quiet.n_wait = quiet.n_signal = 0;
  if (j->prog)
    sound->submit(queue, j->prog, &quiet);
  else
    sound->copy(queue, j->copies, j->n_copies, &quiet);
  if (!wrong.signals_first) signal_points(j, queue);
}

static job *take(worker *w) {
  pthread_mutex_lock(&w->lock);
  while (!w->first && !w->leaving) pthread_cond_wait(&w->wake, &w->lock);
  job *j = w->first;
  if (j && !(w->first = j->next)) w->last = &w->first;
  pthread_mutex_unlock(&w->lock);
  return j;
}

static void *work(void *arg) {
  worker *w = arg;
  for (job *j; (j = take(w));) {
    run_job(j, w->queue);
    free(j);
  }
  return NULL;
}

static worker *worker_of(const forge_queue *queue) {
  worker *found = NULL;
  pthread_mutex_lock(&workers_lock);
  for (int i = 0; i < QUEUES && !found; i++)
    if (workers[i].queue == queue) found = &workers[i];
  pthread_mutex_unlock(&workers_lock);
  return found;
}

static forge_status create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out) {
  const forge_status status = sound->queue_create(dev, kind, priority, out);
  worker *w = status ? NULL : worker_of(NULL);
  if (!w) return status; /* more queues than threads: those are synchronous */
  *w = (worker){.queue = *out, .last = &w->first};
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->wake, NULL);
  if (pthread_create(&w->thread, NULL, work, w)) w->queue = NULL;
  return FORGE_OK;
}

static void destroy(forge_queue *queue) {
  worker *w = queue ? worker_of(queue) : NULL;
  if (w) {
    pthread_mutex_lock(&w->lock);
    w->leaving = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->queue = NULL;
  }
  sound->queue_destroy(queue);
}

/* What fits is kept by value, the way a backend has to. */
static job *keep(const forge_submit *order) {
  job *j = calloc(1, sizeof *j);
  if (!j) return NULL;
  if (order) j->order = *order;
  j->order.size = sizeof j->order;
  if (wrong.reads_arrays_late) return j;
#define KEEP(array, n)                                                                             \
  do {                                                                                             \
    if (j->order.n) memcpy(j->array, order->array, j->order.n * sizeof *j->array);                 \
    j->order.array = j->array;                                                                     \
  } while (0)
  KEEP(bind, n_bind);
  KEEP(scalar, n_scalar);
  KEEP(wait, n_wait);
  KEEP(signal, n_signal);
#undef KEEP
  return j;
}

static bool fits(const forge_submit *o) {
  return !o || (!o->flags && o->n_bind <= BINDS && o->n_scalar <= SCALARS && o->n_wait <= POINTS &&
                o->n_signal <= POINTS);
}

static void hand_over(worker *w, job *j) {
  pthread_mutex_lock(&w->lock);
  *w->last = j;
  w->last = &j->next;
  pthread_cond_signal(&w->wake);
  pthread_mutex_unlock(&w->lock);
}

static bool is_inside(const forge_bind *b) {
  const shadow_block *s = shadow_of(b->mem);
  return s && b->off <= s->bytes && b->len <= s->bytes - b->off;
}

static bool has_good_extents(const shadow_program *p, const forge_submit *order) {
  for (uint32_t s = 0; s < p->n_slots; s++) {
    const forge_tensor *t = &p->slot[s].tensor;
    for (int k = 0; k < t->rank; k++)
      if (t->dim_scalar[k] && order->scalar[t->dim_scalar[k] - 1] > (uint64_t)t->dim[k])
        return false;
  }
  return true;
}

/* What the sound plugin would refuse, it refuses at once. */
static bool is_good(const shadow_program *p, const forge_submit *order) {
  if (order->n_bind != p->n_bind || order->n_scalar != p->n_scalars) return false;
  for (uint32_t i = 0; i < order->n_bind; i++)
    if (!is_inside(&order->bind[i])) return false;
  return has_good_extents(p, order);
}

static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  worker *w = worker_of(queue);
  const shadow_program *p = shadow_program_of(prog);
  if (!w || !p || !fits(order) || !is_good(p, order)) return sound->submit(queue, prog, order);
  job *j = keep(order);
  if (!j) return refuse(FORGE_E_OOM, "no memory for a job");
  j->prog = prog;
  hand_over(w, j);
  return FORGE_OK;
}

static bool is_sound(const forge_copy *c) {
  switch (c->kind) {
  case FORGE_COPY_TO_DEVICE: return c->host && is_inside(&c->dst);
  case FORGE_COPY_TO_HOST: return c->host && is_inside(&c->src);
  case FORGE_COPY_ON_DEVICE:
    return is_inside(&c->dst) && is_inside(&c->src) && c->dst.len == c->src.len;
  case FORGE_COPY_FILL: return is_inside(&c->dst);
  default: return false;
  }
}

static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  worker *w = worker_of(queue);
  bool good = w && n <= COPIES && fits(order);
  for (uint32_t i = 0; good && i < n; i++) good = is_sound(&copies[i]);
  job *j = good ? keep(order) : NULL;
  if (!j) return sound->copy(queue, copies, n, order);
  j->n_copies = n;
  j->copies = wrong.reads_arrays_late ? copies : j->copy_space;
  if (n && !wrong.reads_arrays_late) memcpy(j->copy_space, copies, n * sizeof *copies);
  hand_over(w, j);
  return FORGE_OK;
}

void later_watch(later_wrong how) {
  wrong = how;
  shadow_watch();
  planted.queue_create = create;
  planted.queue_destroy = destroy;
  planted.submit = submit;
  planted.copy = copy;
}
