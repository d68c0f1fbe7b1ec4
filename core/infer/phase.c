/* phase.c -- making and ending a phase. See phase.h. */
#include "phase.h"

#include <string.h>

enum { DEFAULT_CHUNK = 64, DEFAULT_PAGE = 16, MAX_CHUNK = 1 << 16, ALIGN = 64 };

static uint64_t aligned(uint64_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

forge_status sized_in(void *ours, uint32_t bytes, const void *theirs, const char *what) {
  uint32_t size = 0;
  memset(ours, 0, bytes);
  if (!theirs) return FORGE_OK;
  memcpy(&size, theirs, sizeof size);
  if (size < sizeof size)
    return FAIL(FORGE_E_INVALID, "%s: size is %u; set it to sizeof the struct", what, size);
  for (uint32_t i = bytes; i < size; i++)
    if (((const uint8_t *)theirs)[i])
      return FAIL(FORGE_E_UNSUPPORTED, "%s: byte %u is set, which this library does not know", what,
                  i);
  memcpy(ours, theirs, size < bytes ? size : bytes);
  return FORGE_OK;
}

forge_status sized_out(void *theirs, const void *ours, uint32_t bytes, const char *what) {
  uint32_t size;
  memcpy(&size, theirs, sizeof size);
  if (size < sizeof size)
    return FAIL(FORGE_E_INVALID, "%s: size is %u; set it to sizeof the struct", what, size);
  if (bytes > size) bytes = size;
  memcpy((uint8_t *)theirs + sizeof size, (const uint8_t *)ours + sizeof size, bytes - sizeof size);
  return FORGE_OK;
}

phase_input phase_input_layout(const phase *p) {
  const uint64_t row = aligned((uint64_t)p->options.chunk * sizeof(int32_t));
  return (phase_input){.ids = 0,
                       .positions = row,
                       .slots = 2 * row,
                       .targets = 3 * row,
                       .starts = 4 * row,
                       .last = 4 * row + ALIGN,
                       .bytes = 4 * row + 2 * ALIGN};
}

static forge_status settle_options(phase *p, const forge_phase_options *options) {
  forge_phase_options *o = &p->options;
  TRY(sized_in(o, sizeof *o, options, "phase options"));
  if (!o->n_ctx) o->n_ctx = p->config.n_ctx;
  if (!o->chunk) o->chunk = DEFAULT_CHUNK;
  if (!o->page_tokens) o->page_tokens = DEFAULT_PAGE;
  if (!o->kv_dtype) o->kv_dtype = FORGE_F32;
  if (o->n_ctx > p->config.n_ctx)
    return FAIL(FORGE_E_INVALID, "phase options: n_ctx is %u; the model was made for at most %u",
                o->n_ctx, p->config.n_ctx);
  if (o->chunk > o->n_ctx) o->chunk = o->n_ctx;
  if (o->chunk > MAX_CHUNK || o->page_tokens > MAX_CHUNK)
    return FAIL(FORGE_E_INVALID, "phase options: chunk and page_tokens are at most %d", MAX_CHUNK);
  if (o->kv_dtype != FORGE_F32 && o->kv_dtype != FORGE_F16 && o->kv_dtype != FORGE_BF16)
    return FAIL(FORGE_E_INVALID, "phase options: keys and values are f32, f16 or bf16, not '%s'",
                o->kv_dtype < 256 ? dtype_name((uint8_t)o->kv_dtype) : "?");
  return FORGE_OK;
}

static forge_status size_pages(phase *p, uint64_t *out_bytes) {
  const uint64_t elem = p->options.kv_dtype == FORGE_F32 ? 4 : 2;
  uint64_t stride;
  p->n_pages = (p->options.n_ctx + p->options.page_tokens - 1) / p->options.page_tokens;
  p->kv_token_bytes = elem * p->config.n_kv_head * p->config.head_dim;
  if (MUL_OVERFLOWS((uint64_t)p->n_pages * p->options.page_tokens, p->kv_token_bytes, &stride) ||
      stride > UINT64_MAX - ALIGN ||
      MUL_OVERFLOWS(aligned(stride), 2 * (uint64_t)p->config.n_layer, out_bytes))
    return FAIL(FORGE_E_OOM, "keys and values of %u tokens do not fit any memory",
                p->options.n_ctx);
  p->kv_stride = aligned(stride);
  return FORGE_OK;
}

/* One sequence owns all pages, in order; the programs only ever see the table. */
static forge_status fill_table(phase *p) {
  const uint64_t bytes = (uint64_t)p->n_pages * sizeof *p->pages;
  if (!(p->pages = mem_zalloc(bytes))) return FAIL(FORGE_E_OOM, "table of %u pages", p->n_pages);
  for (uint32_t i = 0; i < p->n_pages; i++) p->pages[i] = (int32_t)i;
  TRY(forge_buffer_create(p->device, bytes, "kv", &p->table));
  return forge_buffer_write(p->table, 0, p->pages, bytes);
}

static forge_status reserve(phase *p) {
  const uint64_t input = phase_input_layout(p).bytes;
  uint64_t kv = 0;
  TRY(size_pages(p, &kv));
  if (!(p->staging = mem_zalloc(input))) return FAIL(FORGE_E_OOM, "inputs of a phase");
  TRY(fill_table(p));
  TRY(forge_buffer_create(p->device, kv, "kv", &p->kv));
  TRY(forge_buffer_create(p->device, input, "phase", &p->input));
  TRY(forge_buffer_create(p->device, PHASE_CHOICE_BYTES, "phase", &p->choice));
  TRY(forge_buffer_create(p->device, (uint64_t)p->config.n_vocab * sizeof(float), "phase",
                          &p->logits));
  /* Pages are read in whole rows by some kernels; what was never written must be finite. */
  TRY(forge_buffer_fill(p->kv, 0, 0, kv));
  return forge_buffer_fill(p->input, 0, 0, input);
}

static forge_status open_phase(phase *p, const forge_phase_options *options, uint32_t first) {
  p->config.size = sizeof p->config;
  TRY(forge_model_describe(p->model, &p->config));
  TRY(settle_options(p, options));
  TRY(placed_acquire(p->model, p->device, &p->weights));
  TRY(reserve(p));
  for (uint32_t kind = 0; kind < PHASE_PROGRAMS; kind++)
    if (first & 1u << kind) TRY(phase_need(p, kind));
  return FORGE_OK;
}

forge_status phase_create(forge_model *model, forge_device *device,
                          const forge_phase_options *options, uint32_t first, phase **out) {
  if (!model || !device) return FAIL(FORGE_E_INVALID, "a phase needs a model and a device");
  phase *p = mem_zalloc(sizeof *p);
  if (!p) return FAIL(FORGE_E_OOM, "phase");
  p->model = model;
  p->device = device;
  const forge_status st = open_phase(p, options, first);
  if (st)
    phase_destroy(p);
  else
    *out = p;
  return st;
}

void phase_destroy(phase *p) {
  if (!p) return;
  for (uint32_t i = 0; i < PHASE_PROGRAMS; i++) forge_program_destroy(p->programs[i]);
  forge_buffer_destroy(p->kv);
  forge_buffer_destroy(p->input);
  forge_buffer_destroy(p->table);
  forge_buffer_destroy(p->logits);
  forge_buffer_destroy(p->choice);
  placed_release(p->weights);
  mem_free(p->staging);
  mem_free(p->pages);
  mem_free(p);
}
