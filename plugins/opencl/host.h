/* host.h -- the objects behind the table of forge/backend.h, as the files of the host half share
 * them. Files of ops see opencl.h alone. */
#ifndef FORGE_OPENCL_HOST_H
#define FORGE_OPENCL_HOST_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include <forge/timeline.h>

#include "cl.h"
#include "opencl.h"

extern const forge_host *ocl_host; /* set by the entry, alive until shutdown */

/* ---- failures and host memory (backend.c) ---- */

/* Reports the reason and returns |status|. */
forge_status ocl_fail(forge_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for a call of OpenCL that answered |code|. */
forge_status ocl_fail_cl(cl_int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
forge_status ocl_status_of(cl_int code); /* which of the ABI's that is */
/* Names the work in progress on this thread, for the reports above. */
typedef struct ocl_place {
  uint32_t op_index;
  uint64_t prog_id, tl_value;
} ocl_place;
void ocl_set_place(const ocl_place *place); /* NULL: none */
void ocl_log(int32_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *ocl_alloc(size_t bytes); /* zeroed; reports when there is none */
void ocl_free(void *p);

/* ---- devices (probe.c, device.c) ---- */

#define OCL_MAX_DEVICES 32

/* A device as found by a child process: OpenCL libraries start threads when they look for devices,
 * and a probe may not. */
typedef struct ocl_found {
  forge_dev_info info;
  char platform[64], driver[64];
} ocl_found;
forge_status ocl_probe(forge_probe *out);
forge_status ocl_dev_info(uint32_t ordinal, forge_dev_info *out);
/* Device |ordinal| in this process. */
forge_status ocl_find_device(uint32_t ordinal, cl_platform_id *platform, cl_device_id *device);

typedef struct ocl_build ocl_build;

struct forge_dev {
  ocl_caps caps;
  cl_platform_id platform;
  cl_device_id id;
  cl_context context;
  cl_command_queue own;          /* for what prog_create and mem_alloc do */
  cl_mem dummy;                  /* bound where a kernel is run to have it compiled */
  uint64_t max_alloc, mem_align; /* bytes */
  char name[128], driver[64], options[256], cache[512];
  bool only_primitives; /* a test switch: composites are answered with NO */
  atomic_bool lost;
  forge_timeline_source source;
  pthread_mutex_t lock; /* of the builds */
  pthread_cond_t built;
  ocl_build *builds;
};

forge_status ocl_dev_open(uint32_t ordinal, const char *const *options, forge_dev **out);
void ocl_dev_close(forge_dev *dev);
forge_status ocl_dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out);
/* E_DEVICE_LOST with a report when the device is gone. */
forge_status ocl_check_alive(const forge_dev *dev);
extern const forge_block_testing_v0 ocl_testing;

/* Drivers that bring a compiler (PoCL: LLVM) put their own handlers on the process's signals when
 * they first open a device or build something. Those belong to the program: they are noted before
 * and put back after. */
#define OCL_SIGNALS 32
typedef struct ocl_signals {
  struct sigaction action[OCL_SIGNALS];
} ocl_signals;
void ocl_signals_note(ocl_signals *out);
void ocl_signals_restore(const ocl_signals *noted);

/* ---- memory (memory.c) ---- */

#define OCL_SUBS 16
/* A stretch of a block as a buffer of its own, kept because bindings come again. */
typedef struct ocl_sub {
  uint64_t off, len;
  cl_mem mem;
} ocl_sub;
struct forge_mem {
  forge_dev *dev;
  uint64_t bytes;
  cl_mem mem;
  pthread_mutex_t lock;
  ocl_sub subs[OCL_SUBS];
  uint32_t next; /* sub to be replaced */
};
forge_status ocl_mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                           forge_mem_out *info);
void ocl_mem_free(forge_dev *dev, forge_mem *mem);
/* A buffer whose memory is there; NULL with the code. */
cl_mem ocl_new_buffer(forge_dev *dev, uint64_t bytes, cl_int *code);
forge_status ocl_bind_check(const forge_bind *bind);
/* The buffer to hand to a kernel for |bind|, held (clReleaseMemObject), and where in it the binding
 * begins: a sub-buffer where the driver's alignment allows, else the block. */
cl_mem ocl_bind_buffer(const forge_bind *bind, uint64_t *out_off);

/* ---- queues (queue.c) ---- */

struct forge_queue {
  forge_dev *dev;
  cl_command_queue queue;
  forge_watch *watch;
};
extern const forge_timeline_events ocl_events;
forge_status ocl_queue_create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out);
void ocl_queue_destroy(forge_queue *queue);
forge_status ocl_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out);
forge_status ocl_submit(forge_queue *queue, forge_prog *prog, const forge_submit *submit);
forge_status ocl_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                      const forge_submit *order);

/* ---- kernels (build.c, disk.c) ---- */

/* The texts in kernels/, embedded (generated). Ended by a NULL name; common.cl is the first. */
typedef struct ocl_source {
  const char *name;
  const char *text;
} ocl_source;
extern const ocl_source ocl_sources[];

/* A kernel that was run once with these work-groups. */
typedef struct ocl_warm {
  const char *name;
  size_t local[3];
  struct ocl_warm *next;
} ocl_warm;

struct ocl_build {
  const char *file; /* of ocl_sources */
  char *options;
  cl_program program; /* once ready */
  enum { OCL_WANTED, OCL_BUILDING, OCL_READY } state;
  ocl_warm *warm;
  ocl_build *next;
};
/* The build of |file| with |options|, made known to the device; not built yet. */
forge_status ocl_build_find(forge_dev *dev, const char *file, const char *options, ocl_build **out);
/* Builds it, from disk if it is there; *from_source says which. Waits for another thread's. */
forge_status ocl_build_make(forge_dev *dev, ocl_build *build, bool *from_source);
void ocl_builds_free(forge_dev *dev);

/* Where binaries are kept: |dir|, empty: the user's cache folder. */
void ocl_disk_folder(const char *dir, char *out, size_t room);
/* A kept binary, to be freed; NULL: none, or not usable. */
uint8_t *ocl_disk_load(const forge_dev *dev, const char *key, size_t *bytes);
/* Keeps it. Failing to is not an error. */
void ocl_disk_save(const forge_dev *dev, const char *key, const void *binary, size_t bytes);
uint64_t ocl_hash(uint64_t seed, const void *p, size_t n);

/* ---- programs (record.c, program.c, launch.c) ---- */

/* One op record, checked. */
typedef struct ocl_record {
  forge_op head;
  const uint32_t *ids; /* inputs, then outputs */
  const void *attr;
} ocl_record;
forge_status ocl_read_record(const forge_prog_desc *desc, uint32_t index, uint64_t *at,
                             ocl_record *out);
/* Reads them all: the most tensors of one op, and of all together (each at least 1). */
forge_status ocl_scan_records(const forge_prog_desc *desc, uint32_t *most, uint64_t *total);
/* Views of a record's slots, without memory; |out| has room for n_in + n_out. */
void ocl_record_views(const forge_prog_desc *desc, const ocl_record *r, ocl_view *out);
/* The row that has the op; NULL with the reason: none. */
const ocl_op *ocl_find_row(const forge_dev *dev, const ocl_call *call, uint8_t *reason);
extern const ocl_op *const ocl_op_tables[]; /* gather.c; ended by NULL */
forge_status ocl_op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out);

/* A kernel as ops asked for it. */
typedef struct ocl_wanted {
  ocl_build *build;
  const char *name;
  cl_kernel kernel; /* made once the build is ready */
} ocl_wanted;

struct ocl_plan {
  forge_dev *dev;
  forge_prog *prog;
  uint32_t n;                    /* wants of this op */
  uint16_t wants[OCL_MAX_WANTS]; /* numbers in prog->kernels */
  uint64_t scratch;
};

typedef struct ocl_step {
  const ocl_op *row;
  ocl_call call;
  uint16_t wants[OCL_MAX_WANTS];
  uint32_t n_wants;
} ocl_step;

/* Where the view of the same number comes from. */
typedef struct ocl_operand {
  uint64_t offset;
  uint32_t bind; /* FORGE_SLOT_NONE: absent */
  bool moving;   /* some extent is a scalar */
} ocl_operand;

typedef struct ocl_bound {
  uint64_t bytes; /* that the slots reach */
  cl_mem mem;     /* of the running submit, held */
  uint64_t off;
} ocl_bound;

struct forge_prog {
  forge_dev *dev;
  pthread_mutex_t lock; /* one submit at a time sets arguments */
  uint64_t id;
  uint32_t n_bind, n_scalars, n_steps;
  uint64_t n_views;
  ocl_step *steps;
  ocl_view *views;
  ocl_operand *operands;
  uint8_t *ops; /* the records: attributes stay there */
  ocl_bound *bounds;
  uint64_t *maximum; /* per scalar, that extents allow */
  uint64_t *scalar;  /* of the running submit */
  ocl_wanted *kernels;
  uint32_t n_kernels, room;
  cl_mem scratch;
  uint64_t scratch_bytes;
  cl_command_queue last_queue; /* scratch is used by one queue at a time */
  cl_event last;
};

struct ocl_launch {
  forge_prog *prog;
  cl_command_queue queue;
  const ocl_step *step;
  const ocl_wanted *kernel;
  cl_uint arg;
  bool warm; /* run to have kernels compiled: extents are 0, one work-group */
  forge_status status;
  cl_event event; /* of what was enqueued last */
};

forge_status ocl_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                             forge_prog_out *info);
void ocl_prog_destroy(forge_prog *prog);
/* Whether |submit| fits the program. */
forge_status ocl_prog_check(const forge_prog *prog, const forge_submit *submit);
/* Enqueues all of it; *event is the last command's, NULL if there was none. */
forge_status ocl_prog_run(forge_prog *prog, cl_command_queue queue, const forge_submit *submit,
                          cl_event *event);
/* Makes the kernels of a planned program: builds what is not built, runs each once (launch.c). */
forge_status ocl_prog_build(forge_prog *prog);
/* Runs |step|; OCL launches are noted in |l|. */
forge_status ocl_step_run(ocl_launch *l, const ocl_step *step);

#endif
