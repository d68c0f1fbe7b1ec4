/* convert.c -- forge_convert: a model opened in one format and written in another, its matrices
 * rounded by CAST programs on a device. Rows pass in chunks: neither model is ever in memory. */
#include <inttypes.h>
#include <string.h>

#include "model_write.h"

/* One CAST program with its buffers, kept while the next chunk has the same shape. */
typedef struct caster {
  forge_device *device;
  forge_program *program;
  forge_buffer *in, *out;
  uint8_t from, to;
  int64_t rows, cols;
} caster;

typedef struct conversion {
  forge_model *model;
  const model_tensor **from; /* of each tensor written */
  model_tensor *to;
  uint32_t n;
  caster cast;
  uint8_t *staging;
  uint64_t staging_bytes;
} conversion;

static void caster_finish(caster *c) {
  forge_program_destroy(c->program);
  forge_buffer_destroy(c->in);
  forge_buffer_destroy(c->out);
  *c = (caster){.device = c->device};
}

static forge_status compile(caster *c, forge_builder *builder) {
  build b = {.builder = builder};
  const int64_t dim[] = {c->rows, c->cols};
  const bool two_steps = dtype_block_elems(c->from) > 1 && dtype_block_elems(c->to) > 1;
  forge_tid x = build_tensor(&b, FORGE_ROLE_INPUT, "in", c->from, 2, dim, NULL);
  if (two_steps) x = build_cast(&b, x, FORGE_F32);
  x = build_cast(&b, x, c->to);
  TRY(b.status);
  TRY(forge_builder_output(builder, x, "out"));
  TRY(forge_program_create(c->device, builder, NULL, &c->program));
  TRY(forge_program_bind(c->program, "in", c->in, 0));
  return forge_program_bind(c->program, "out", c->out, 0);
}

static forge_status caster_prepare(caster *c, uint8_t from, uint8_t to, int64_t rows,
                                   int64_t cols) {
  uint64_t in_bytes, out_bytes;
  forge_builder *builder = NULL;
  if (c->program && c->from == from && c->to == to && c->rows == rows && c->cols == cols)
    return FORGE_OK;
  caster_finish(c);
  *c = (caster){.device = c->device, .from = from, .to = to, .rows = rows, .cols = cols};
  if (!dtype_bytes(from, (uint64_t)rows * (uint64_t)cols, &in_bytes) ||
      !dtype_bytes(to, (uint64_t)rows * (uint64_t)cols, &out_bytes))
    return FAIL(FORGE_E_INTERNAL, "rows of %" PRId64 " do not fit %s", cols, dtype_name(to));
  TRY(forge_buffer_create(c->device, in_bytes, "convert", &c->in));
  TRY(forge_buffer_create(c->device, out_bytes, "convert", &c->out));
  TRY(forge_buffer_fill(c->in, 0, 0, in_bytes)); /* the last chunk does not fill it */
  TRY(forge_builder_create(&builder));
  const forge_status st = compile(c, builder);
  forge_builder_destroy(builder);
  return st;
}

static forge_status reserve(conversion *c, uint64_t bytes) {
  if (bytes <= c->staging_bytes) return FORGE_OK;
  mem_free(c->staging);
  c->staging_bytes = 0;
  c->staging = mem_alloc(bytes);
  if (!c->staging) return FAIL(FORGE_E_OOM, "no memory for %" PRIu64 " bytes of rows", bytes);
  c->staging_bytes = bytes;
  return FORGE_OK;
}

static forge_status converted_rows(void *ctx, uint32_t index, uint32_t rope_style, int64_t first,
                                   int64_t n, void *out) {
  conversion *c = ctx;
  const model_tensor *from = c->from[index], *to = &c->to[index];
  if (from->dtype == to->dtype || !n) {
    model_rows(from, &c->model->config, rope_style, first, n, out);
    return FORGE_OK;
  }
  const uint64_t in_bytes = (uint64_t)n * model_row_bytes(from);
  TRY(reserve(c, in_bytes + 1));
  TRY(caster_prepare(&c->cast, from->dtype, to->dtype, model_chunk_rows(to), model_row_elems(to)));
  model_rows(from, &c->model->config, rope_style, first, n, c->staging);
  TRY(forge_buffer_write(c->cast.in, 0, c->staging, in_bytes));
  TRY(forge_program_run(c->cast.program, NULL, 0));
  return forge_buffer_read(c->cast.out, 0, out, (uint64_t)n * model_row_bytes(to));
}

/* The type a matrix is stored in: what was asked for where its rows are whole blocks of it. Q4_K
 * and Q6_K (256) fall back to Q8_0 (32), that to F16. */
static uint8_t fitting_type(const model_tensor *from, uint8_t wanted) {
  const int64_t cols = model_row_elems(from);
  if (cols % dtype_block_elems(wanted) == 0) return wanted;
  return cols % dtype_block_elems(FORGE_Q8_0) == 0 ? FORGE_Q8_0 : FORGE_F16;
}

/* One line for all tensors that fell back to |to|. */
static void report_fallback(const conversion *c, uint8_t wanted, uint8_t to) {
  uint32_t n = 0;
  const model_tensor *first = NULL;
  for (uint32_t i = 0; i < c->n; i++) {
    const model_tensor *t = &c->to[i];
    if (t->rank < 2 || t->dtype != to || fitting_type(t, wanted) == wanted) continue;
    if (!n++) first = t;
  }
  if (n)
    log_line(FORGE_LOG_WARN,
             "%" PRIu32 " matrices are stored as %s: their rows (of %" PRId64
             " in %s) are no whole blocks of %s, which has %" PRIu32,
             n, dtype_name(to), model_row_elems(first), first->name, dtype_name(wanted),
             dtype_block_elems(wanted));
}

/* Vectors and gpt2's table of positions are small and added as they are: F32 unless a plain type is
 * asked for the table. */
static uint8_t stored_type(const model_tensor *from, uint8_t wanted) {
  if (from->rank < 2) return FORGE_F32;
  if (!wanted) return from->dtype;
  if (!strcmp(from->name, "position_embd.weight") && dtype_block_elems(wanted) > 1)
    return FORGE_F32;
  return fitting_type(from, wanted);
}

static forge_status plan(conversion *c, uint8_t wanted) {
  c->n = model_tensor_count(c->model);
  c->from = mem_zalloc_array((size_t)c->n + 1, sizeof(void *));
  c->to = mem_zalloc_array((size_t)c->n + 1, sizeof *c->to);
  if (!c->from || !c->to) return FAIL(FORGE_E_OOM, "no memory for a list of %u tensors", c->n);
  for (uint32_t i = 0; i < c->n; i++) {
    const model_tensor *from = c->from[i] = model_tensor_at(c->model, i);
    c->to[i] = *from;
    c->to[i].dtype = stored_type(from, wanted);
    c->to[i].transposed = 0;
    c->to[i].data = NULL;
    if (from->rank < 2) continue;
    c->to[i].dim[0] = model_row_count(from);
    c->to[i].dim[1] = model_row_elems(from);
  }
  if (dtype_block_elems(wanted) > 1) {
    report_fallback(c, wanted, FORGE_Q8_0);
    report_fallback(c, wanted, FORGE_F16);
  }
  return FORGE_OK;
}

static bool needs_device(const conversion *c) {
  for (uint32_t i = 0; i < c->n; i++)
    if (c->from[i]->dtype != c->to[i].dtype) return true;
  return false;
}

/* A model without a tokenizer is converted without one. */
static forge_status find_tokenizer(forge_model *model, const forge_tokenizer **out) {
  forge_tokenizer *tokenizer = NULL;
  forge_status st = forge_model_tokenizer(model, &tokenizer);
  if (st == FORGE_E_NOT_FOUND && !model->tokenizer_path) {
    log_line(FORGE_LOG_WARN, "%s has no tokenizer; the result will have none", model->path);
    st = FORGE_OK;
  }
  *out = tokenizer;
  return st;
}

static forge_status wanted_type(const char *out, const forge_convert_options *o, uint8_t *dtype) {
  uint32_t format;
  TRY(model_format_of(out, &format));
  *dtype = o && o->dtype < FORGE_DTYPE_LIMIT ? (uint8_t)o->dtype : 0;
  if (o && o->dtype && (!dtype_block_elems(*dtype) || *dtype == FORGE_I32 || *dtype == FORGE_I8))
    return FAIL(FORGE_E_INVALID, "forge_convert: type %u holds no weights", o->dtype);
  if (!*dtype && format == MODEL_FORMAT_LLAMA2C) *dtype = FORGE_F32; /* it has no other */
  return FORGE_OK;
}

/* What was rounded cannot be got back, so a source is never replaced by its conversion. */
static forge_status check_apart(const char *in, const char *out) {
  char *folder = file_parent(out);
  if (!folder) return FAIL(FORGE_E_OOM, "no memory for a path");
  const bool same = file_is_same(in, out) || (file_exists(out) && file_is_same(in, folder));
  mem_free(folder);
  if (!same) return FORGE_OK;
  return FAIL(FORGE_E_INVALID, "%s: is what is to be converted; name another place", out);
}

static forge_status convert(conversion *c, const char *in, const char *out,
                            const forge_convert_options *o) {
  uint8_t dtype;
  TRY(wanted_type(out, o, &dtype));
  TRY(check_apart(in, out));
  TRY(forge_model_open(in, o ? o->tokenizer_path : NULL, &c->model));
  TRY(plan(c, dtype));
  if (needs_device(c) && !c->cast.device)
    return FAIL(FORGE_E_INVALID, "forge_convert: types change, so a device is needed");
  model_source s = {.config = &c->model->config,
                    .tensors = c->to,
                    .n = c->n,
                    .rows = converted_rows,
                    .ctx = c,
                    .progress = o ? o->progress : NULL,
                    .progress_ctx = o ? o->progress_ctx : NULL};
  TRY(find_tokenizer(c->model, &s.tokenizer));
  return model_write_source(out, &s);
}

forge_status forge_convert(forge_device *device, const char *in, const char *out,
                           const forge_convert_options *options) {
  conversion c = {.cast.device = device};
  if (!in || !out || (options && options->size < sizeof options->size))
    return FAIL(FORGE_E_INVALID, "forge_convert: a path is NULL or options->size is not set");
  forge_convert_options o = {.size = sizeof o};
  if (options) memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
  const forge_status st = convert(&c, in, out, &o);
  caster_finish(&c.cast);
  mem_free(c.staging);
  mem_free((void *)c.from);
  mem_free(c.to);
  forge_model_close(c.model);
  return st;
}
