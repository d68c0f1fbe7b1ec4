/* placed.c -- see placed.h. Mapped tensors are imported, so that on a device which shares the
 * host's memory a weight is never copied. */
#include "placed.h"

#include <pthread.h>

#include "file.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static placed *all;

static forge_status check_shape(const model_tensor *t, const arch_param *want) {
  const int64_t rows = want->dim[t->transposed ? 1 : 0], cols = want->dim[t->transposed ? 0 : 1];
  if (t->rank == want->rank && t->dim[0] == (want->rank == 2 ? rows : want->dim[0]) &&
      (want->rank == 1 || t->dim[1] == cols))
    return FORGE_OK;
  return FAIL(FORGE_E_MISMATCH,
              "tensor '%s' has shape [%lld, %lld] (rank %u) in the file; this model's "
              "configuration needs [%lld, %lld]",
              want->name, (long long)t->dim[0], (long long)t->dim[1], t->rank, (long long)rows,
              (long long)cols);
}

static forge_status place_one(placed *w, uint32_t i) {
  const arch_param *want = &w->params[i];
  const model_tensor *t = model_find(w->model, want->name);
  if (!t && text_ends_with(want->name, ".bias")) return FORGE_OK;
  if (!t)
    return FAIL(FORGE_E_NOT_FOUND, "the model has no tensor '%s', which its family needs",
                want->name);
  TRY(check_shape(t, want));
  w->stored[i] = t;
  return forge_buffer_import(w->device, t->data, t->bytes, "weights", &w->buffers[i]);
}

static forge_status place_freqs(placed *w, const forge_model_config *config) {
  const model_tensor *t = model_find(w->model, "rope_freqs.weight");
  if (!t || config->family != FORGE_FAMILY_LLAMA) return FORGE_OK;
  if (t->dtype != FORGE_F32 || t->rank != 1 || t->dim[0] != config->head_dim / 2)
    return FAIL(FORGE_E_MISMATCH, "tensor 'rope_freqs.weight' must be %u f32 factors",
                config->head_dim / 2);
  w->rope_freqs = t;
  return forge_buffer_import(w->device, t->data, t->bytes, "weights", &w->rope_freqs_buffer);
}

static void placed_destroy(placed *w) {
  for (uint32_t i = 0; w->buffers && i < w->n; i++) forge_buffer_destroy(w->buffers[i]);
  forge_buffer_destroy(w->rope_freqs_buffer);
  mem_free(w->params);
  mem_free(w->stored);
  mem_free(w->buffers);
  mem_free(w);
}

static forge_status placed_create(forge_model *model, forge_device *device, placed **out) {
  forge_model_config config = {.size = sizeof config};
  placed *w = mem_zalloc(sizeof *w);
  if (!w) return FAIL(FORGE_E_OOM, "weights on a device");
  w->model = model;
  w->device = device;
  forge_status st = forge_model_describe(model, &config);
  if (!st) st = arch_params(&config, &w->params, &w->n);
  if (st) goto fail;
  w->stored = mem_zalloc_array(w->n, sizeof(void *));
  w->buffers = mem_zalloc_array(w->n, sizeof(void *));
  if (!w->stored || !w->buffers) st = FAIL(FORGE_E_OOM, "%u weights", w->n);
  for (uint32_t i = 0; !st && i < w->n; i++) st = place_one(w, i);
  if (!st) st = place_freqs(w, &config);
  if (st) goto fail;
  *out = w;
  return FORGE_OK;
fail:
  placed_destroy(w);
  return st;
}

static forge_status acquire_locked(forge_model *model, forge_device *device, placed **out) {
  for (placed *w = all; w; w = w->next)
    if (w->model == model && w->device == device) {
      w->users++;
      *out = w;
      return FORGE_OK;
    }
  TRY(placed_create(model, device, out));
  (*out)->users = 1;
  (*out)->next = all;
  all = *out;
  return FORGE_OK;
}

forge_status placed_acquire(forge_model *model, forge_device *device, placed **out) {
  pthread_mutex_lock(&lock);
  const forge_status st = acquire_locked(model, device, out);
  pthread_mutex_unlock(&lock);
  return st;
}

void placed_release(placed *w) {
  if (!w) return;
  pthread_mutex_lock(&lock);
  const bool last = --w->users == 0;
  for (placed **at = &all; last && *at; at = &(*at)->next)
    if (*at == w) {
      *at = w->next;
      break;
    }
  pthread_mutex_unlock(&lock);
  if (last) placed_destroy(w);
}
