/* model_assemble.c -- configuration and tensors checked against each other; after this the rooms to
 * the right read both without a test. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model_parts.h"

static const char rope_freqs_name[] = "rope_freqs.weight";

forge_status model_own_map(forge_model *m, file_map *map) {
  if (!ARRAY_GROW(m->maps, m->n_maps, m->cap_maps)) {
    file_map_close(map);
    return FAIL(FORGE_E_OOM, "%s: no memory to open it", m->path);
  }
  m->maps[m->n_maps++] = *map;
  *map = (file_map){0};
  return FORGE_OK;
}

forge_status model_add(forge_model *m, const char *name, const char *source,
                       const model_tensor *tensor) {
  if (strlen(name) >= MODEL_NAME_BYTES)
    return FAIL(FORGE_E_UNSUPPORTED, "%s: tensor %.128s has no place in the model", m->path, name);
  if (!ARRAY_GROW(m->parts, m->n_parts, m->cap_parts))
    return FAIL(FORGE_E_OOM, "%s: no memory for its index", m->path);
  model_part *part = &m->parts[m->n_parts++];
  *part = (model_part){.source = source, .tensor = *tensor};
  strcpy(part->name, name);
  return FORGE_OK;
}

const model_part *model_part_find(const forge_model *m, const char *name) {
  for (size_t i = 0; i < m->n_parts; i++)
    if (!strcmp(m->parts[i].name, name)) return &m->parts[i];
  return NULL;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const model_part *)a)->name, ((const model_part *)b)->name);
}

static forge_status sort_parts(forge_model *m) {
  if (!m->n_parts)
    return FAIL(FORGE_E_UNSUPPORTED, "%s: holds no tensors (a vocabulary alone is no model)",
                m->path);
  qsort(m->parts, m->n_parts, sizeof *m->parts, by_name);
  for (size_t i = 1; i < m->n_parts; i++)
    if (!by_name(&m->parts[i - 1], &m->parts[i]))
      return FAIL(FORGE_E_CORRUPT, "%s: tensor %s is there twice", m->path, m->parts[i].name);
  return FORGE_OK;
}

static const model_part *find_sorted(const forge_model *m, const char *name) {
  model_part key = {.source = NULL};
  snprintf(key.name, sizeof key.name, "%s", name);
  return bsearch(&key, m->parts, m->n_parts, sizeof key, by_name);
}

/* What the configuration may leave to the tensors. */
static forge_status complete_config(forge_model *m) {
  const model_part *embedding = find_sorted(m, "token_embd.weight");
  if (!embedding || embedding->tensor.rank != 2)
    return FAIL(FORGE_E_CORRUPT, "%s: there is no token embedding matrix (token_embd.weight)",
                m->path);
  forge_model_config *c = &m->config;
  c->size = sizeof *c;
  if (!c->n_vocab && embedding->tensor.dim[0] > 0 && embedding->tensor.dim[0] <= UINT32_MAX)
    c->n_vocab = (uint32_t)embedding->tensor.dim[0];
  if (!find_sorted(m, "output.weight")) c->tied_head = 1;
  c->has_bias = c->family == FORGE_FAMILY_GPT2 && find_sorted(m, "output_norm.bias");
  if (c->family == FORGE_FAMILY_GPT2) c->rope_style = 0;
  return FORGE_OK;
}

static bool is_usable(uint8_t dtype, bool matrix) {
  if (dtype == FORGE_F32 || dtype == FORGE_F16 || dtype == FORGE_BF16) return true;
  return matrix && dtype_block_elems(dtype) > 1;
}

static const char *source_name(const model_part *part) {
  return part->source ? part->source : part->name;
}

static forge_status check_part(const forge_model *m, const model_part *part,
                               const arch_param *param) {
  const model_tensor *t = &part->tensor;
  uint64_t bytes = 0;
  if (t->rank != param->rank || model_row_count(t) != (param->rank == 2 ? param->dim[0] : 1) ||
      model_row_elems(t) != param->dim[param->rank - 1])
    return FAIL(FORGE_E_CORRUPT,
                "%s: tensor %.128s is %" PRId64 " x %" PRId64 " and the configuration says %" PRId64
                " x %" PRId64 ": they belong to different models or the file is damaged",
                m->path, source_name(part), t->rank ? t->dim[0] : 1, t->rank > 1 ? t->dim[1] : 1,
                param->dim[t->transposed ? 1 : 0],
                param->rank > 1 ? param->dim[t->transposed ? 0 : 1] : 1);
  if (!is_usable(t->dtype, param->rank == 2))
    return FAIL(FORGE_E_UNSUPPORTED,
                "%s: tensor %.128s has an element type Forge does not compute with; use F32, F16, "
                "BF16, Q8_0, Q4_0, Q4_K or Q6_K",
                m->path, source_name(part));
  if (!dtype_bytes(t->dtype, (uint64_t)model_row_elems(t) * (uint64_t)model_row_count(t), &bytes) ||
      bytes != t->bytes)
    return FAIL(FORGE_E_CORRUPT,
                "%s: tensor %.128s has %" PRIu64 " bytes where its shape needs %" PRIu64, m->path,
                source_name(part), t->bytes, bytes);
  return FORGE_OK;
}

static forge_status take_part(forge_model *m, const arch_param *param) {
  const model_part *part = find_sorted(m, param->name);
  if (!part)
    return FAIL(FORGE_E_CORRUPT,
                "%s: tensor %s is missing; a shard is absent or the file is damaged", m->path,
                param->name);
  TRY(check_part(m, part, param));
  m->tensors[m->n_tensors] = part->tensor;
  m->tensors[m->n_tensors++].name = param->name;
  return FORGE_OK;
}

static forge_status take_rope_freqs(forge_model *m) {
  arch_param param = {.rank = 1, .dim = {m->config.head_dim / 2, 0}};
  const model_part *part = find_sorted(m, rope_freqs_name);
  model_tensor *t = &m->tensors[m->n_tensors];
  if (m->config.family != FORGE_FAMILY_LLAMA || (!part && !m->rope_freqs)) return FORGE_OK;
  if (m->rope_freqs) {
    *t = (model_tensor){.dtype = FORGE_F32,
                        .rank = 1,
                        .dim = {m->n_rope_freqs},
                        .data = m->rope_freqs,
                        .bytes = m->n_rope_freqs * sizeof(float)};
  } else {
    strcpy(param.name, rope_freqs_name);
    TRY(check_part(m, part, &param));
    *t = part->tensor;
  }
  if (t->dtype != FORGE_F32 || t->dim[0] != param.dim[0])
    return FAIL(FORGE_E_CORRUPT, "%s: %s is no vector of %" PRId64 " F32 factors", m->path,
                rope_freqs_name, param.dim[0]);
  t->name = rope_freqs_name;
  m->n_tensors++;
  return FORGE_OK;
}

static int by_tensor_name(const void *a, const void *b) {
  return strcmp((*(const model_tensor *const *)a)->name, (*(const model_tensor *const *)b)->name);
}

/* Every part has found its place; one that has not is something this family does not compute. */
static forge_status check_leftovers(forge_model *m) {
  if (m->n_parts <= m->n_tensors) {
    size_t owned = m->rope_freqs != NULL;
    if (m->n_parts + owned == m->n_tensors) return FORGE_OK;
  }
  for (size_t i = 0; i < m->n_parts; i++)
    if (!model_find(m, m->parts[i].name))
      return FAIL(
          FORGE_E_UNSUPPORTED,
          "%s: tensor %.128s has no place in a %s model: Forge would compute something else",
          m->path, source_name(&m->parts[i]),
          m->config.family == FORGE_FAMILY_GPT2 ? "gpt2" : "llama");
  return FORGE_OK;
}

static void drop_parts(forge_model *m) {
  mem_free(m->parts);
  m->parts = NULL;
  m->n_parts = m->cap_parts = 0;
}

forge_status model_assemble(forge_model *m) {
  uint32_t n;
  TRY(sort_parts(m));
  TRY(complete_config(m));
  if (m->config.n_layer > m->n_parts) /* before a list of what is missing is made */
    return FAIL(FORGE_E_CORRUPT,
                "%s: its configuration says n_layer %" PRIu32 " and it holds %zu tensors in all",
                m->path, m->config.n_layer, m->n_parts);
  const forge_status st = arch_params(&m->config, &m->params, &n);
  if (st) return base_fail_in(st == FORGE_E_INVALID ? FORGE_E_CORRUPT : st, "%s", m->path);
  m->tensors = mem_zalloc_array((size_t)n + 1, sizeof *m->tensors);
  m->by_name = mem_zalloc_array((size_t)n + 1, sizeof(void *));
  if (!m->tensors || !m->by_name) return FAIL(FORGE_E_OOM, "%s: no memory for its index", m->path);
  for (uint32_t i = 0; i < n; i++) TRY(take_part(m, &m->params[i]));
  TRY(take_rope_freqs(m));
  for (uint32_t i = 0; i < m->n_tensors; i++) m->by_name[i] = &m->tensors[i];
  qsort(m->by_name, m->n_tensors, sizeof(void *), by_tensor_name);
  TRY(check_leftovers(m));
  drop_parts(m);
  return FORGE_OK;
}

const model_tensor *model_find(const forge_model *m, const char *name) {
  const model_tensor key = {.name = name}, *wanted = &key;
  const model_tensor **found =
      bsearch(&wanted, m->by_name, m->n_tensors, sizeof(void *), by_tensor_name);
  return found ? *found : NULL;
}

uint32_t model_tensor_count(const forge_model *m) { return m->n_tensors; }

const model_tensor *model_tensor_at(const forge_model *m, uint32_t index) {
  return index < m->n_tensors ? &m->tensors[index] : NULL;
}
