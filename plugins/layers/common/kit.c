/* kit.c -- see kit.h. */
#include "kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const forge_host *kit_host;

bool kit_greet(const forge_layer_hello *hello, forge_layer_reply *reply, const char *name,
               const forge_layer_v1 *table) {
  if (hello->minor_max < FORGE_ABI_MINOR) return false;
  kit_host = hello->host;
  reply->minor_min = FORGE_ABI_MINOR;
  reply->minor_max = FORGE_ABI_MINOR;
  reply->sanitizer = FORGE_SANITIZER_BUILT;
  reply->layout_id = FORGE_LAYOUT_ID;
  reply->name = name;
  reply->vendor = "Forge";
  reply->version = "1.0";
  reply->table = table;
  return true;
}

/* ---- memory ---- */

void *kit_zalloc(size_t bytes) {
  void *p = kit_host->alloc(kit_host->ctx, bytes, 0);
  if (p) memset(p, 0, bytes);
  return p;
}

void kit_free(void *p) { kit_host->free(kit_host->ctx, p); }

bool kit_grow(void **items, size_t *cap, size_t item_bytes, size_t need) {
  const size_t bigger = *cap * 2 > need ? *cap * 2 : need + 7;
  void *p = kit_zalloc(bigger * item_bytes);
  if (!p) return false;
  if (*items) memcpy(p, *items, *cap * item_bytes);
  kit_free(*items);
  *items = p;
  *cap = bigger;
  return true;
}

/* ---- words ---- */

forge_status kit_fail(const forge_host *host, forge_status status, const char *format, ...) {
  char msg[700];
  va_list args;
  va_start(args, format);
  vsnprintf(msg, sizeof msg, format, args);
  va_end(args);
  const forge_error error = {.size = sizeof error,
                             .scope = FORGE_SCOPE_CALL,
                             .code = status,
                             .msg = msg,
                             .op_index = FORGE_OP_INDEX_UNKNOWN};
  host->report(host->ctx, &error);
  return status;
}

void kit_log(const forge_host *host, int32_t level, const char *format, ...) {
  char msg[900];
  va_list args;
  va_start(args, format);
  vsnprintf(msg, sizeof msg, format, args);
  va_end(args);
  host->log(host->ctx, level, msg, strlen(msg));
}

/* ---- options ---- */

const char *kit_option(const char *const *options, const char *name, const char *fallback) {
  for (; options && options[0] && options[1]; options += 2)
    if (!strcmp(options[0], name)) return options[1];
  return fallback;
}

uint64_t kit_option_u64(const char *const *options, const char *name, uint64_t fallback) {
  const char *s = kit_option(options, name, NULL);
  return s ? strtoull(s, NULL, 10) : fallback;
}

bool kit_option_bool(const char *const *options, const char *name) {
  const char *s = kit_option(options, name, "no");
  return !strcmp(s, "yes") || !strcmp(s, "true") || !strcmp(s, "on") || !strcmp(s, "1");
}

uint64_t kit_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- ops ---- */

enum {
#define FACTS(op, number, cls, inputs, outputs, text) IN_##op = inputs, OUT_##op = outputs,
  FORGE_OP_MAP(FACTS)
#undef FACTS
};

#define OP(op)     .name = #op, .n_in = IN_##op, .n_out = OUT_##op
#define ATTR(type) .attr_bytes = sizeof(forge_attr_##type)

static const kit_op ops[] = {
    [FORGE_OP_COPY_STRIDED] = {OP(COPY_STRIDED)},
    [FORGE_OP_CAST] = {OP(CAST)},
    [FORGE_OP_FILL] = {OP(FILL), ATTR(fill)},
    [FORGE_OP_BINARY] = {OP(BINARY), ATTR(kind)},
    [FORGE_OP_UNARY] = {OP(UNARY), ATTR(kind)},
    [FORGE_OP_AXPBY] = {OP(AXPBY), ATTR(axpby)},
    [FORGE_OP_REDUCE] = {OP(REDUCE), ATTR(reduce)},
    [FORGE_OP_MATMUL] = {OP(MATMUL), ATTR(matmul), .optional_in = 4},
    [FORGE_OP_GATHER_ROWS] = {OP(GATHER_ROWS)},
    [FORGE_OP_SCATTER_ROWS] = {OP(SCATTER_ROWS), ATTR(scatter), .optional_in = 1},
    [FORGE_OP_SOFTMAX] = {OP(SOFTMAX), ATTR(softmax)},
    [FORGE_OP_TOPK] = {OP(TOPK), ATTR(topk)},
    [FORGE_OP_RNG_PHILOX] = {OP(RNG_PHILOX), ATTR(rng), .optional_in = 1},
    [FORGE_OP_MASK] = {OP(MASK), ATTR(mask), .optional_in = 2},
    [FORGE_OP_RMSNORM] = {OP(RMSNORM), ATTR(norm)},
    [FORGE_OP_RMSNORM_BWD] = {OP(RMSNORM_BWD), ATTR(norm)},
    [FORGE_OP_LAYERNORM] = {OP(LAYERNORM), ATTR(norm), .optional_in = 4},
    [FORGE_OP_LAYERNORM_BWD] = {OP(LAYERNORM_BWD), ATTR(norm)},
    [FORGE_OP_ROPE] = {OP(ROPE), ATTR(rope), .optional_in = 4},
    [FORGE_OP_SWIGLU] = {OP(SWIGLU)},
    [FORGE_OP_SWIGLU_BWD] = {OP(SWIGLU_BWD)},
    [FORGE_OP_UNARY_BWD] = {OP(UNARY_BWD), ATTR(kind)},
    [FORGE_OP_ATTENTION] = {OP(ATTENTION), ATTR(attention), .optional_in = 8 | 16,
                            .optional_out = 2},
    [FORGE_OP_ATTENTION_BWD] = {OP(ATTENTION_BWD), ATTR(attention)},
    [FORGE_OP_KV_WRITE] = {OP(KV_WRITE), .inplace = 1},
    [FORGE_OP_CROSS_ENTROPY] = {OP(CROSS_ENTROPY)},
    [FORGE_OP_CROSS_ENTROPY_BWD] = {OP(CROSS_ENTROPY_BWD)},
    [FORGE_OP_ADAMW] = {OP(ADAMW), ATTR(adamw), .optional_in = 16, .inplace = 7},
    [FORGE_OP_GLOBAL_NORM] = {OP(GLOBAL_NORM), ATTR(global_norm)},
    [FORGE_OP_SAMPLE] = {OP(SAMPLE)},
    [FORGE_OP_QMATMUL] = {OP(QMATMUL), .optional_in = 4},
    [FORGE_OP_MOE_ROUTE] = {OP(MOE_ROUTE), ATTR(moe)},
    [FORGE_OP_MOE_ROUTE_BWD] = {OP(MOE_ROUTE_BWD), ATTR(moe)},
    [FORGE_OP_GROUPED_MATMUL] = {OP(GROUPED_MATMUL), ATTR(matmul)},
    [FORGE_OP_GROUPED_MATMUL_DW] = {OP(GROUPED_MATMUL_DW), ATTR(matmul)},
};

const kit_op *kit_op_find(uint16_t op) {
  return op < KIT_COUNT(ops) && ops[op].name ? &ops[op] : NULL;
}

const char *kit_op_name(uint16_t op) {
  const kit_op *row = kit_op_find(op);
  return row ? row->name : "no op";
}

const uint32_t *kit_op_ids(const forge_op *op) { return (const uint32_t *)(op + 1); }

const forge_op *kit_op_next(const forge_op *op) {
  return (const forge_op *)((const char *)op + op->bytes);
}

/* ---- views ---- */

static const struct {
  uint32_t elems, bytes;
  const char *name;
} dtypes[FORGE_DTYPE_LIMIT] = {
#define DTYPE(name, number, block_elems, block_bytes, text)                                        \
  [number] = {block_elems, block_bytes, #name},
    FORGE_DTYPE_MAP(DTYPE)
#undef DTYPE
};

uint32_t kit_block_elems(uint8_t dtype) { return dtypes[dtype].elems; }
uint32_t kit_block_bytes(uint8_t dtype) { return dtypes[dtype].bytes; }
const char *kit_dtype_name(uint8_t dtype) {
  return dtypes[dtype].name ? dtypes[dtype].name : "no type";
}

uint32_t kit_dtype_align(uint8_t dtype) {
  return dtypes[dtype].elems == 1 ? dtypes[dtype].bytes : 2; /* blocks begin with an f16, or do not
                                                                 care */
}

bool kit_view_elems(const forge_tensor *t, uint64_t *out) {
  uint64_t n = 1;
  for (uint32_t k = 0; k < t->rank; k++)
    if (__builtin_mul_overflow(n, (uint64_t)t->dim[k], &n)) return false;
  *out = n;
  return true;
}

bool kit_view_span(const forge_tensor *t, uint64_t *out_bytes) {
  uint64_t last = 0, step;
  const uint32_t elems = kit_block_elems(t->dtype);
  *out_bytes = 0;
  if (!elems) return false;
  for (uint32_t k = 0; k < t->rank; k++) {
    if (!t->dim[k]) return true;
    if (__builtin_mul_overflow((uint64_t)t->dim[k] - 1, (uint64_t)t->stride[k], &step) ||
        __builtin_add_overflow(last, step, &last))
      return false;
  }
  return !__builtin_mul_overflow(last / elems + 1, (uint64_t)kit_block_bytes(t->dtype), out_bytes);
}
