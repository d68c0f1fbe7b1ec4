/* rig.h -- the device under test, straight through its plugin's table: no core between.
 *
 *   rig *r = rig_open();                        the device of the command line; the test fails if
 * it does not open, and is skipped if there is none rig_tensor *x = rig_make(FORGE_F32, 2,
 * (int64_t[]){3, 7}), *y = rig_make(..); rig_random(x, 1, -1.0, 1.0); const forge_attr_kind exp =
 * {FORGE_UNARY_EXP, 0}; const rig_op op = RIG_OP(FORGE_OP_UNARY, &exp, sizeof exp, ((rig_tensor
 * *[]){x}), 1,
 *                            ((rig_tensor *[]){y}), 1);
 *   rig_require(r, &op, 1);                     NO or DECOMPOSED ends the test as `unsupported`
 *   rig_must(r, &op, 1);
 *   rig_get(y, 5);                              element 5 in row-major order, as a double
 *   rig_close(r);                               looks at the red zones of host memory
 *
 * What rig_must() and rig_run() watch, so that no test has to:
 *   - tensors lie in one block of device memory between canaries (every canary a NaN, no two words
 *     alike); after the run canaries, inputs and the holes of strided outputs are as they were;
 *   - outputs that are not inputs too start as NaN, so what is not written shows;
 *   - descriptions and arrays lie at the end of pages that can no longer be read when the call has
 *     returned;
 *   - work is done when its timeline says so, and not before the host's memory was read.
 * A tensor that stands among inputs and outputs (the same pointer) is one binding: that is how
 * inplace is said. Tensors of several ops with the same pointer are one slot: that is how ops are
 * chained. NULL is an absent optional tensor.
 *
 * Calls through rig_table() are watched: the place is noted for crash reports, a failing status
 * must have been reported (rig_last()), arguments are borrowed as said above, time is taken. */
#ifndef FORGE_CONFORMANCE_RIG_H
#define FORGE_CONFORMANCE_RIG_H

#include <forge/backend.h>

#include "ref64.h"
#include "tensor.h"
#include "test.h"

typedef struct rig rig;

#define RIG_MOST_OPTIONS 64 /* keys and values together */

/* Loads the plugin (once per process), opens the device with the options of the command line, and
 * makes one COMPUTE queue and one timeline. */
rig *rig_open(void);
/* The same with |more| options (key, value, .. NULL) after those of the command line. */
rig *rig_open_with(const char *const *more);
void rig_close(rig *r);

const forge_backend_v1 *rig_table(void); /* the plugin's table, watched; loads the plugin */
forge_dev *rig_device(const rig *r);
forge_queue *rig_queue(const rig *r);

/* ---- ops ---- */

typedef struct rig_op {
  uint16_t op;
  const void *attr;
  uint32_t attr_bytes;
  rig_tensor *const *in;
  uint32_t n_in;
  rig_tensor *const *out;
  uint32_t n_out;
} rig_op;
#define RIG_OP(number, attributes, attribute_bytes, inputs, input_count, outputs, output_count)    \
  ((rig_op){.op = (number),                                                                        \
            .attr = (attributes),                                                                  \
            .attr_bytes = (attribute_bytes),                                                       \
            .in = (inputs),                                                                        \
            .n_in = (input_count),                                                                 \
            .out = (outputs),                                                                      \
            .n_out = (output_count)})

/* How a program is run. All zero is the usual. */
typedef struct rig_how {
  const uint64_t *scalar; /* a tensor's dim_scalar and attributes may name them */
  uint32_t n_scalar;
  uint32_t flags;    /* FORGE_PROGRAM_* */
  uint32_t skew;     /* each tensor begins this many elements (blocks) into its binding */
  bool keep_outputs; /* outputs start as the host tensor is, not as NaN */
  uint32_t times;    /* submits of the program one after another, 0: one */
} rig_how;

/* What op_support says of each op. The test fails if the call itself fails, or if an answer other
 * than NATIVE has no reason. */
void rig_support(rig *r, const rig_op *ops, uint32_t n, forge_support *out_per_op);
void rig_support_how(rig *r, const rig_op *ops, uint32_t n, const rig_how *how,
                     forge_support *out_per_op);
/* Ends the test as `unsupported`, naming op and reason, unless all are NATIVE. */
void rig_require(rig *r, const rig_op *ops, uint32_t n);

/* Builds a program of the ops, runs it, copies everything back, destroys it. The status of the
 * first call that fails; a test that goes on after a failure is judging that status. */
forge_status rig_run_how(rig *r, const rig_op *ops, uint32_t n, const rig_how *how);
forge_status rig_run(rig *r, const rig_op *ops, uint32_t n);
/* rig_run that fails the test, with the plugin's words, when it does not succeed. */
void rig_must(rig *r, const rig_op *ops, uint32_t n);
void rig_must_how(rig *r, const rig_op *ops, uint32_t n, const rig_how *how);
/* Seconds per submit of the program in each of |rounds| rounds, host copies outside, about
 * |seconds| in all; rounds that are too short hold several submits. */
void rig_time(rig *r, const rig_op *ops, uint32_t n, double seconds, double *round,
              uint32_t rounds);

const char *rig_op_name(uint16_t op);
const char *rig_reason_name(uint8_t reason);
const char *rig_status_name(forge_status status);

/* ---- a program built by hand: what rig_run() is made of ---- */

#define RIG_MOST_TENSORS      64
#define RIG_MOST_RECORD_BYTES 8192

/* One slot and one binding per tensor, in order of appearance. |desc| points into it. */
typedef struct rig_program {
  forge_slot slot[RIG_MOST_TENSORS];
  rig_tensor *tensor[RIG_MOST_TENSORS];
  uint8_t written[RIG_MOST_TENSORS]; /* 1: an op writes it first, 2: it is read, then written */
  uint32_t n;
  uint64_t record[RIG_MOST_RECORD_BYTES / 8];
  forge_prog_desc desc;
} rig_program;
void rig_describe(rig_program *p, const rig_op *ops, uint32_t n, const rig_how *how);

/* ---- memory and copies, each fails the test when it does not succeed ---- */

forge_mem *rig_alloc(rig *r, uint64_t bytes); /* DEVICE memory */
void rig_free_mem(rig *r, forge_mem *mem);
void rig_put(rig *r, forge_mem *mem, uint64_t off, const void *host, uint64_t bytes);
void rig_fetch(rig *r, forge_mem *mem, uint64_t off, void *host, uint64_t bytes);
/* Waits until all that was submitted by this rig's own functions is done. */
void rig_finish(rig *r);
forge_tl *rig_timeline(rig *r);
uint64_t rig_next_value(rig *r); /* the next value to signal on rig_timeline() */

/* ---- what the last watched call of this thread did ---- */

typedef struct rig_last_call {
  const char *function; /* "mem_alloc" */
  forge_status status;
  double seconds;
  uint32_t reports;  /* calls of host->report() during it */
  forge_status code; /* of the last report */
  char msg[512];     /* of the last report */
} rig_last_call;
const rig_last_call *rig_last(void);
/* The plugin's words for the last failure, or a sentence saying that it gave none. */
const char *rig_words(void);

#endif
