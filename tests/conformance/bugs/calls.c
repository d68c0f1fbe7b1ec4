/* calls.c -- bugs in what a call answers: statuses, reports, checks, promises. */
#include <stdlib.h>
#include <time.h>

#include "plant.h"

#if defined(BUG_LIES_NATIVE)
/* Answers NATIVE to everything; prog_create knows better. */
static forge_status support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out) {
  (void)dev;
  for (uint32_t i = 0; i < desc->n_ops; i++)
    out[i] = (forge_support){.answer = FORGE_SUPPORT_NATIVE, .rel_cost = 100};
  return FORGE_OK;
}
void plant(void) { planted.op_support = support; }

#elif defined(BUG_NO_REASON)
/* NO, and not why. */
static forge_status support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out) {
  const forge_status status = sound->op_support(dev, desc, out);
  for (uint32_t i = 0; !status && i < desc->n_ops; i++)
    if (out[i].answer != FORGE_SUPPORT_NATIVE) out[i].reason = FORGE_REASON_NONE;
  return status;
}
void plant(void) { planted.op_support = support; }

#elif defined(BUG_NO_REPORT)
/* The status alone. */
static void report(void *ctx, const forge_error *error) {
  (void)ctx;
  (void)error;
}
void plant(void) { given.report = report; }

#elif defined(BUG_REPORTS_TWICE)
/* The place that fails reports, and so does its caller. */
static void report(void *ctx, const forge_error *error) {
  host->report(ctx, error);
  host->report(ctx, error);
}
void plant(void) { given.report = report; }

#elif defined(BUG_REPORTS_LINES)
/* The compiler's whole log as the message. */
static void report(void *ctx, const forge_error *error) {
  forge_error longer = *error;
  longer.msg = "1 error:\nline 3: expected ';'\n";
  host->report(ctx, &longer);
}
void plant(void) { given.report = report; }

#elif defined(BUG_ABORTS)
/* assert() on an argument. */
static forge_status alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                          forge_mem_out *info) {
  if (desc->bytes > (uint64_t)1 << 62) abort();
  return sound->mem_alloc(dev, desc, out, info);
}
void plant(void) { planted.mem_alloc = alloc; }

#elif defined(BUG_EXITS)
/* A driver library that ends the process when it does not know what to do. */
static forge_status create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info) {
  const forge_status status = sound->prog_create(dev, desc, out, info);
  if (status) exit(0);
  return status;
}
void plant(void) { planted.prog_create = create; }

#elif defined(BUG_THROWS)
/* What a C++ driver's throw does where nobody catches: unwinding finds the end of the stack. */
#include <unwind.h>
static forge_status alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                          forge_mem_out *info) {
  static struct _Unwind_Exception exception;
  if (desc->bytes > (uint64_t)1 << 62) {
    _Unwind_RaiseException(&exception);
    abort(); /* std::terminate() */
  }
  return sound->mem_alloc(dev, desc, out, info);
}
void plant(void) { planted.mem_alloc = alloc; }

#elif defined(BUG_OOM_CRASHES)
/* An allocation nobody checks. */
static forge_status create(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out) {
  volatile uint32_t *ring = host->alloc(host->ctx, 256, 0);
  ring[0] = kind;
  host->free(host->ctx, (void *)(uintptr_t)ring);
  return sound->queue_create(dev, kind, priority, out);
}
void plant(void) { planted.queue_create = create; }

#elif defined(BUG_SUBMIT_FLAGS_IGNORED)
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  forge_submit plain = *order;
  plain.flags = 0;
  return sound->submit(queue, prog, &plain);
}
void plant(void) { planted.submit = submit; }

#elif defined(BUG_PROGRAM_FLAGS_IGNORED)
static forge_status create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info) {
  forge_prog_desc plain = *desc;
  plain.flags = 0;
  return sound->prog_create(dev, &plain, out, info);
}
void plant(void) { planted.prog_create = create; }

#elif defined(BUG_MEMORY_FLAGS_IGNORED)
static forge_status alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                          forge_mem_out *info) {
  forge_mem_desc plain = *desc;
  plain.flags = plain.export_caps = 0;
  return sound->mem_alloc(dev, &plain, out, info);
}
void plant(void) { planted.mem_alloc = alloc; }

#elif defined(BUG_SIZE_OVERFLOWS)
/* Adds a page for its own use without looking. */
static forge_status alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                          forge_mem_out *info) {
  forge_mem_desc longer = *desc;
  longer.bytes = desc->bytes + 65536;
  return sound->mem_alloc(dev, &longer, out, info);
}
void plant(void) { planted.mem_alloc = alloc; }

#elif defined(BUG_COPY_UNCHECKED)
/* Trusts the offsets of a copy to the host. */
static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  forge_copy shorter[64];
  for (uint32_t i = 0; i < n && i < 64; i++) {
    shorter[i] = copies[i];
    const shadow_block *from = shadow_of(copies[i].src.mem);
    if (copies[i].kind != FORGE_COPY_TO_HOST || !from) continue;
    if (shorter[i].src.off > from->bytes) shorter[i].src.off = from->bytes;
    if (shorter[i].src.len > from->bytes - shorter[i].src.off)
      shorter[i].src.len = from->bytes - shorter[i].src.off;
  }
  return sound->copy(queue, n <= 64 ? shorter : copies, n, order);
}
void plant(void) {
  shadow_watch();
  planted.copy = copy;
}

#elif defined(BUG_FILLS_WORDS)
/* Fills with the pattern's four bytes, not with its lowest one. */
static forge_status copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                         const forge_submit *order) {
  forge_submit quiet = {.size = sizeof quiet}, rest = quiet;
  if (n != 1 || copies[0].kind != FORGE_COPY_FILL) return sound->copy(queue, copies, n, order);
  if (order) quiet = rest = *order;
  quiet.n_signal = rest.n_wait = 0;
  const forge_status status = sound->copy(queue, copies, n, &quiet);
  const shadow_block *to = shadow_of(copies[0].dst.mem);
  if (status || !to) return status;
  for (uint64_t i = 0; i < copies[0].dst.len; i++)
    to->data[copies[0].dst.off + i] = (uint8_t)(copies[0].pattern >> 8 * (i % 4));
  return sound->copy(queue, NULL, 0, &rest);
}
void plant(void) {
  shadow_watch();
  planted.copy = copy;
}

#elif defined(BUG_ORDINAL_IGNORED)
/* Opens the first device whatever was asked for. */
static forge_status open_device(uint32_t ordinal, const char *const *options, forge_dev **out) {
  (void)ordinal;
  return sound->dev_open(0, options, out);
}
void plant(void) { planted.dev_open = open_device; }

#elif defined(BUG_OPTION_IGNORED)
/* Skips keys it does not know. */
static forge_status open_device(uint32_t ordinal, const char *const *options, forge_dev **out) {
  (void)options;
  return sound->dev_open(ordinal, NULL, out);
}
void plant(void) { planted.dev_open = open_device; }

#elif defined(BUG_NULL_CRASHES)
/* Looks into what it is to destroy. */
static void destroy(forge_prog *prog) {
  const uint8_t first = *(const volatile uint8_t *)prog;
  __asm__ volatile("" ::"r"(first));
  sound->prog_destroy(prog);
}
void plant(void) { planted.prog_destroy = destroy; }

#elif defined(BUG_SLOW_CALL)
/* Compiles for every device of the world while the core waits for a block. */
static forge_status alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                          forge_mem_out *info) {
  nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
  return sound->mem_alloc(dev, desc, out, info);
}
void plant(void) { planted.mem_alloc = alloc; }
#endif
