/* glue.h -- the objects behind the table of forge/backend.h, as the files of the glue share them.
 * Kernels see cpu.h alone. */
#ifndef FORGE_CPU_GLUE_H
#define FORGE_CPU_GLUE_H

#include <pthread.h>
#include <stdatomic.h>

#include "cpu.h"

/* ---- backend.c ---- */

/* The name of this variant, and why this processor cannot run it (NULL: it can). */
extern const char cpu_variant[];
const char *cpu_variant_missing(void);
/* Host memory, zeroed; reports when there is none. */
void *cpu_alloc(size_t bytes, size_t align);
void cpu_free(void *p);
/* Names the work in progress on this thread, so that cpu_fail() can say whose failure it is. */
typedef struct cpu_place {
  uint32_t op_index;
  uint64_t prog_id, tl_value;
} cpu_place;
void cpu_set_place(const cpu_place *place); /* NULL: none */

/* The row of op number |op|, NULL when no kernel file has it (gather.c). */
const cpu_op *cpu_find_op(uint16_t op);

/* ---- device.c ---- */

struct forge_dev {
  cpu_threads *threads;
  _Atomic bool lost; /* lose() of block TESTING: the hardware is to be taken for gone */
  pthread_mutex_t timelines_lock;
  pthread_cond_t told;  /* the host, of a timeline that was failed with the device */
  forge_tl *timelines;  /* all of the device */
  bool only_primitives; /* a test switch: composites are answered with NO */
};
struct forge_mem {
  uint8_t *base;
  uint64_t bytes;
  bool writable, imported;
};

forge_status cpu_dev_open(uint32_t ordinal, const char *const *options, forge_dev **out);
void cpu_dev_close(forge_dev *dev);
forge_status cpu_dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out);
forge_status cpu_mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                           forge_mem_out *info);
void cpu_mem_free(forge_dev *dev, forge_mem *mem);
extern const forge_block_hostreg_v0 cpu_hostreg;
extern const forge_block_testing_v0 cpu_testing;
/* E_DEVICE_LOST once lose() was called. */
forge_status cpu_dev_check(const forge_dev *dev);
/* Where |bind| begins; checks that it stays inside its memory. */
forge_status cpu_bind_address(const forge_bind *bind, bool write, uint8_t **out);

/* How many processors this process may use (threads.c). */
uint32_t cpu_processors(void);

/* ---- timeline.c ---- */

forge_status cpu_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out);
void cpu_tl_destroy(forge_tl *tl);
forge_status cpu_tl_query(forge_tl *tl, uint64_t *out_value);
forge_status cpu_tl_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns);
/* Every timeline of the device fails, and every sleeper on one wakes. */
void cpu_tl_fail_all(forge_dev *dev, forge_status status);
/* The points of |order| (NULL: none): waits for all; reaches or fails all. */
forge_status cpu_order_wait(const forge_submit *order);
void cpu_order_signal(const forge_submit *order, forge_status status);

/* ---- queue.c ---- */

forge_status cpu_queue_create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out);
void cpu_queue_destroy(forge_queue *queue);
forge_status cpu_submit(forge_queue *queue, forge_prog *prog, const forge_submit *submit);
forge_status cpu_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                      const forge_submit *order);

/* ---- program.c ---- */

/* One op record, checked: every id is in range, the attributes are as long as the op needs. */
typedef struct cpu_record {
  forge_op head;
  const uint32_t *ids; /* inputs, then outputs */
  const void *attr;
} cpu_record;
/* Reads record number |index| at byte |at| and moves on (record.c). */
forge_status cpu_read_record(const forge_prog_desc *desc, uint32_t index, uint64_t *at,
                             cpu_record *out);
/* Reads them all: the most tensors of one op, and of all together (each at least 1). */
forge_status cpu_scan_records(const forge_prog_desc *desc, uint32_t *out_most, uint64_t *out_total);
/* The slots of a record as the op table wants them: |out| has room for n_in + n_out. */
void cpu_record_tensors(const forge_prog_desc *desc, const cpu_record *r, const forge_tensor **out);
/* Why the op cannot run here: FORGE_REASON_*, NONE when it can. */
uint8_t cpu_record_reason(const forge_dev *dev, const cpu_record *r,
                          const forge_tensor *const *tensors);
forge_status cpu_op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out);
forge_status cpu_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                             forge_prog_out *info);
void cpu_prog_destroy(forge_prog *prog);
/* Whether |submit| fits the program: counts, sizes of bindings, scalars within their maxima. */
forge_status cpu_prog_check(const forge_prog *prog, const forge_submit *submit);
/* Runs on the calling thread and the device's. No allocation; the lock inside is waited for only
 * when two queues run one program at a time. */
forge_status cpu_prog_run(forge_prog *prog, cpu_threads *threads, const forge_submit *submit);

#endif
