/* fuzz_capsule.c -- a capsule of any bytes is opened and described. So that mutations reach beyond
 * the first digest, every input is tried a second time with its digests made right. */
#include <string.h>

#include "capsule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void try_bytes(const uint8_t *bytes, size_t n) {
  forge_capsule *c = NULL;
  forge_capsule_info info = {.size = sizeof info};
  if (forge_capsule_open(bytes, n, &c)) return;
  forge_capsule_describe(c, &info);
  forge_capsule_destroy(c);
}

/* Computes digests and root where the sizes allow it. */
static void mend(uint8_t *bytes, size_t n) {
  capsule_header h;
  capsule_plan plan;
  capsule_chunk chunk;
  memcpy(&h, bytes, sizeof h);
  if (capsule_plan_of(&h, &plan) || plan.total_bytes != n) return;
  for (uint32_t stream = 0; stream < 2 * h.n_layers; stream++)
    for (uint64_t i = 0; i < plan.chunks; i++) {
      uint8_t *at = bytes + capsule_chunk_at(&plan, &h, stream / 2, stream % 2, i, &chunk);
      capsule_digest(&h, &chunk, at + sizeof chunk, at + offsetof(capsule_chunk, digest));
    }
  capsule_root(bytes, &plan, bytes + n - sizeof(capsule_tail) + offsetof(capsule_tail, root));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  try_bytes(data, n);
  if (n < sizeof(capsule_header) + sizeof(capsule_tail)) return 0;
  uint8_t *copy = mem_alloc(n);
  if (!copy) return 0;
  memcpy(copy, data, n);
  mend(copy, n);
  try_bytes(copy, n);
  mem_free(copy);
  return 0;
}
