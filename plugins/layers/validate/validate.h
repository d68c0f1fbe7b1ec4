/* validate.h -- what the files of the layer validate share.
 *
 * Every handle it gives out is the address of an |object|, which is kept, marked as dead, until the
 * device is closed; so a handle that was destroyed is told from one that never was, and nothing is
 * looked into before the registry knows it. One lock per device guards its books; no call below the
 * layer is made while it is held. */
#ifndef FORGE_VALIDATE_H
#define FORGE_VALIDATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "kit.h"

enum { OBJECT_DEVICE = 1, OBJECT_MEMORY, OBJECT_QUEUE, OBJECT_TIMELINE, OBJECT_PROGRAM };
enum { MAX_QUEUES = 16 }; /* of one device at once, whose order is followed */

typedef struct vdev vdev;

typedef struct object {
  uint32_t kind, number; /* OBJECT_*; counted per device and kind from 1 */
  uint64_t born, died;   /* numbers of the calls; died 0: alive */
  vdev *d;
  struct object *next; /* of the device, newest first */
} object;

typedef struct vmem {
  object o;
  forge_mem *inner;
  uint64_t bytes;
  bool imported, writable;
} vmem;

/* What was ordered before a piece of work: of each queue the number of its last piece. */
typedef struct clock_vector {
  uint64_t seq[MAX_QUEUES];
} clock_vector;

/* A stretch that work reads or writes; |mem| NULL: host memory, |lo| an address. */
typedef struct touch {
  const vmem *mem;
  uint64_t lo, hi;
  bool writes;
} touch;

typedef struct work work;
typedef struct vqueue {
  object o;
  forge_queue *inner;
  _Atomic uint32_t busy;
  uint32_t index;     /* in clocks; MAX_QUEUES: not followed */
  work *first, *last; /* not finished, or not yet known to be finished by the host */
  uint32_t n_works;
} vqueue;

enum { MAX_POINTS = 64 };
typedef struct vpoint {
  uint64_t value;
  clock_vector clock;
} vpoint;

typedef struct vtl {
  object o;
  forge_listener listener;
  forge_tl *inner;
  uint64_t cookie;
  uint64_t promised, seen; /* highest value some work is to signal; highest seen reached */
  forge_status failed;
  vpoint *points; /* the last MAX_POINTS signals, a ring; NULL once destroyed */
  uint64_t n_points;
} vtl;

/* A part of a binding that the program reads or writes. */
typedef struct access {
  uint32_t bind;
  bool writes;
  uint64_t lo, hi;
} access_range;

/* What a scalar used as an extent may be at most. */
typedef struct vprog {
  object o;
  forge_prog *inner;
  uint32_t n_bind, n_scalars, n_ops, n_access;
  uint64_t *need, *limit; /* bytes per binding; largest value per scalar, UINT64_MAX: any */
  uint32_t *align;        /* per binding */
  access_range *access;   /* sorted by binding and place, merged */
} vprog;

typedef struct signal_point {
  vtl *tl;
  uint64_t value;
} signal_point;

/* A submit or copy. */
struct work {
  work *next;
  vqueue *q;
  const vprog *prog; /* NULL: a copy */
  uint64_t call, seq;
  bool done, given; /* given: the call returned */
  clock_vector clock;
  touch *touches;
  signal_point *signals;
  uint32_t n_touches, n_signals;
};

struct vdev {
  object o;
  vdev *next; /* of all open devices */
  const forge_backend_v1 *inner;
  forge_dev *dev;
  const forge_host *host;
  uint64_t (*report_count)(void *ctx);
  const forge_block_hostreg_v0 *hostreg;
  const forge_block_testing_v0 *testing;
  bool refuses, races, lost;
  uint32_t n_queues; /* alive */
  bool several;      /* there was more than one queue at once */
  pthread_mutex_t lock;
  object *objects;
  uint32_t numbers[OBJECT_PROGRAM + 1];
  _Atomic uint64_t calls, problems;
  clock_vector known; /* what the host has been told is done */
  vqueue *by_index[MAX_QUEUES];
  uint64_t seq[MAX_QUEUES];
  char name[64];
};

/* One call as messages name it: "submit (call 12)". */
typedef struct call {
  vdev *d;
  const char *name;
  uint64_t number, reports;
} call;

/* ---- objects.c ---- */

/* Says what is wrong: a failure if the operator wants calls refused, else a line and FORGE_OK. */
forge_status wrong(const call *c, const char *format, ...) KIT_PRINTF(2, 3);
/* The same where the call cannot be passed on: always E_INVALID. */
forge_status refuse(const call *c, const char *format, ...) KIT_PRINTF(2, 3);
/* The same where nothing can be answered: a line. */
void complain(const call *c, const char *format, ...) KIT_PRINTF(2, 3);

/* Begins a call on |dev|; false: it is no open device, which was said. */
bool begin(forge_dev *dev, const char *name, call *out);
/* Begins a call on an object: finds its device. */
bool begin_on(const void *handle, uint32_t kind, const char *name, call *out, object **object_out);
/* The object behind a handle that belongs to the call's device and lives; NULL: it was said. */
object *find(const call *c, const void *handle, uint32_t kind, const char *what);
/* The same without words: for the path on which all is well. */
object *known(const call *c, const void *handle, uint32_t kind);
const char *kind_name(uint32_t kind);

/* A success must have made something, a failure must have been reported. */
forge_status judge_made(const call *c, forge_status st, const void *made);
forge_status judge(const call *c, forge_status st);

/* A new object in the registry; NULL: no memory, reported. */
void *object_create(const call *c, uint32_t kind, size_t bytes);
/* Makes it known; before that nobody can find it. */
bool object_publish(const call *c, object *o);
void object_bury(const call *c, object *o);
/* Before a device is added. A child of fork() begins with none: a thread of its parent's may have
 * held the lock and been at work in the registry. */
void registry_open(void);
void registry_forget(const vdev *d); /* all objects of a device that is closed */
bool registry_add(object *o);

/* ---- device.c, time.c, program.c, work.c: the slots ---- */

forge_status v_open(const forge_layer_open *in, forge_layer_device *out);
forge_status v_block(forge_dev *dev, uint32_t id, uint32_t minor, const void *inner,
                     const void **out_table);

forge_status v_queue_create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out);
void v_queue_destroy(forge_queue *queue);
forge_status v_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out);
void v_tl_destroy(forge_tl *tl);
forge_status v_tl_query(forge_tl *tl, uint64_t *out_value);
forge_status v_tl_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns);

forge_status v_op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out_per_op);
forge_status v_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info);
void v_prog_destroy(forge_prog *prog);
/* Says so when unfinished work uses an object; |verb|: what happens to it. */
bool object_in_use(const call *c, const object *o, const char *verb);
void prog_release(vprog *p);
void tl_release(vtl *tl);

forge_status v_submit(forge_queue *queue, forge_prog *prog, const forge_submit *order);
forge_status v_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                    const forge_submit *order);

/* ---- description.c ---- */

forge_status description_check(const call *c, const forge_prog_desc *desc);

/* ---- order.c: what runs, what is done and what is ordered. Under the device's lock. ---- */

/* A piece of work of |n_touches| and |n_signals|; NULL: no memory. */
work *work_create(vqueue *q, uint64_t number, uint32_t n_touches, uint32_t n_signals);
/* Gives it its place behind what it waits for, and promises its signals. */
void work_place(work *w, const forge_submit *order);
/* The call returned: well, or with a failure, so that the work never was. */
void work_given(work *w);
void work_withdraw(work *w);
/* Says which work of another queue touches the same bytes without order; false: none. */
bool work_races(const work *w, char *out, size_t size);

/* A timeline has this value, or failed. |told|: the host knows from now on. */
void time_reached(vtl *tl, uint64_t value, forge_status failed, bool told);
/* The unfinished work that uses an object, NULL if none. */
const work *work_using(vdev *d, const object *o);
/* All works of a queue that ends. */
void works_end(vqueue *q);

#endif
