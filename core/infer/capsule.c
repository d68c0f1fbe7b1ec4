/* capsule.c -- the public face of capsules. See forge/infer.h and capsule.h. */

#include "capsule.h"
#include "file.h"
#include "phase.h"

void capsule_read_header(const forge_capsule *c, capsule_header *out) {
  memcpy(out, c->bytes, sizeof *out);
}

void capsule_read_tail(const forge_capsule *c, capsule_tail *out) {
  memcpy(out, c->bytes + c->n - sizeof *out, sizeof *out);
}

/* Checks |c|, whose bytes are its own by now; ends it where it is not sound. */
static forge_status admit(forge_capsule *c, forge_capsule **out_capsule) {
  const forge_status st = capsule_check(c->bytes, c->n);
  if (st)
    forge_capsule_destroy(c);
  else
    *out_capsule = c;
  return st;
}

forge_status forge_capsule_open(const void *bytes, uint64_t n, forge_capsule **out_capsule) {
  if (!bytes) return FAIL(FORGE_E_INVALID, "capsule: no bytes given");
  /* Checked in our own copy: what the sender does to its bytes afterwards changes nothing. */
  forge_capsule *c = mem_zalloc(sizeof *c);
  if (!c || !(c->bytes = mem_alloc(n ? n : 1))) {
    mem_free(c);
    return FAIL(FORGE_E_OOM, "a capsule of %llu bytes", (unsigned long long)n);
  }
  c->n = n;
  memcpy(c->bytes, bytes, n);
  return admit(c, out_capsule);
}

forge_status forge_capsule_load(const char *path, forge_capsule **out_capsule) {
  char *bytes = NULL;
  forge_capsule *c = mem_zalloc(sizeof *c);
  if (!c) return FAIL(FORGE_E_OOM, "%s: no memory", path);
  forge_status st = file_read(path, UINT64_MAX - 1, &bytes, &c->n);
  if (st) {
    mem_free(c);
    return st;
  }
  c->bytes = (uint8_t *)bytes;
  st = admit(c, out_capsule);
  return st ? base_fail_in(st, "%s", path) : FORGE_OK;
}

forge_status forge_capsule_save(const forge_capsule *capsule, const char *path) {
  file_writer w;
  TRY(file_writer_open_private(path, &w));
  if (fwrite(capsule->bytes, 1, capsule->n, w.stream) != capsule->n) {
    const forge_status st = base_fail_errno(FORGE_E_IO, "writing capsule %s", path);
    file_writer_abandon(&w);
    return st;
  }
  return file_writer_commit(&w);
}

void forge_capsule_destroy(forge_capsule *capsule) {
  if (!capsule) return;
  if (capsule->bytes) explicit_bzero(capsule->bytes, capsule->n);
  mem_free(capsule->bytes);
  mem_free(capsule);
}

const void *forge_capsule_data(const forge_capsule *capsule) { return capsule->bytes; }

uint64_t forge_capsule_bytes(const forge_capsule *capsule) { return capsule->n; }

static void describe_identity(const capsule_header *h, forge_capsule_info *info) {
  memcpy(info->request_id, h->request_id, sizeof info->request_id);
  memcpy(info->model_hash, h->model_hash, sizeof info->model_hash);
  memcpy(info->tokenizer_hash, h->tokenizer_hash, sizeof info->tokenizer_hash);
  memcpy(info->adapter_hash, h->adapter_hash, sizeof info->adapter_hash);
  memcpy(info->prefix_hash, h->prefix_hash, sizeof info->prefix_hash);
}

forge_status forge_capsule_describe(const forge_capsule *capsule, forge_capsule_info *info) {
  capsule_header h;
  capsule_tail t;
  capsule_plan plan;
  capsule_read_header(capsule, &h);
  capsule_read_tail(capsule, &t);
  TRY(capsule_plan_of(&h, &plan));
  forge_capsule_info ours = {
      .version = h.version,
      .bytes = capsule->n,
      .epoch = h.epoch,
      .n_tokens = h.n_tokens,
      .n_layers = h.n_layers,
      .kv_heads = h.kv_heads,
      .head_dim = h.head_dim,
      .kv_dtype = h.dtype,
      .n_chunks = (uint32_t)(plan.chunks * 2 * h.n_layers),
      .rope_style = h.rope_style,
      .rope_base = h.rope_base,
      .rope_scale = h.rope_scale,
      .temperature = t.temperature,
      .top_p = t.top_p,
      .min_p = t.min_p,
      .seed = t.seed,
      .counter = t.counter,
      .top_k = t.top_k,
      .first_token = t.first_token,
  };
  describe_identity(&h, &ours);
  return sized_out(info, &ours, sizeof ours, "capsule info");
}

forge_status forge_capsule_verify(const forge_capsule *capsule, forge_model *model,
                                  const int32_t *ids, uint64_t n, const forge_request *request) {
  capsule_header is, want;
  forge_request r;
  TRY(sized_in(&r, sizeof r, request, "request"));
  capsule_read_header(capsule, &is);
  TRY(capsule_expect(model, is.dtype, ids, n, request ? &r : NULL, &want));
  return capsule_compare(&is, &want, request ? &r : NULL);
}
