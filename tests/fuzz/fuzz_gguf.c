/* fuzz_gguf.c -- a GGUF of any bytes is parsed, every key and array walked, both ends of every
 * tensor read. The data is in a block of its own size, so that a sanitizer sees a byte too many. */
#include <stdlib.h>

#include "gguf.h"
#include "inspect.h"
#include "open_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile uint64_t sink;

static void touch(const void *bytes, uint64_t n) {
  if (n) sink += ((const uint8_t *)bytes)[0] + ((const uint8_t *)bytes)[n - 1];
}

static void walk(const gguf *g, const gguf_key *key) {
  char name[64];
  gguf_items items;
  gguf_string s;
  int64_t i;
  double f;
  const size_t n = key->name.n < sizeof name ? (size_t)key->name.n : sizeof name - 1;
  for (size_t k = 0; k < n; k++) name[k] = key->name.s[k];
  name[n] = 0;
  if (!gguf_get_items(g, name, GGUF_STRING, &items))
    while (gguf_next_string(&items, &s)) touch(s.s, s.n);
  if (!gguf_get_items(g, name, GGUF_I64, &items))
    while (gguf_next_int(&items, &i)) sink += (uint64_t)i;
  if (!gguf_get_items(g, name, GGUF_F64, &items))
    while (gguf_next_float(&items, &f)) sink += f > 0;
  touch(key->value.data, key->value.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  gguf g;
  if (gguf_parse("fuzz", data, n, &g)) return 0;
  for (uint32_t i = 0; i < g.n_keys; i++) walk(&g, &g.keys[i]);
  for (uint32_t i = 0; i < g.n_tensors; i++) touch(g.tensors[i].data, g.tensors[i].bytes);
  json_t *o = json_object();
  inspect_gguf(&g, o);
  char *encoded = json_dumps(o, JSON_COMPACT);
  if (!encoded) abort(); /* what was made must be JSON */
  free(encoded);
  json_decref(o);
  gguf_close(&g);
  sink += open_model(data, n);
  return 0;
}
