/* fuzz_safetensors.c -- a safetensors file of any bytes is parsed and described, both ends of every
 * tensor read, its names translated. */
#include <stdlib.h>

#include "hf_names.h"
#include "inspect.h"
#include "open_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile uint64_t sink;

static void translate(const char *name) {
  char canonical[MODEL_NAME_BYTES], back[128];
  for (int convention = HF_NAMES_LLAMA; convention <= HF_NAMES_GPT2; convention++) {
    if (hf_to_canonical(convention, name, canonical) != HF_NAME_KNOWN) continue;
    if (!hf_from_canonical(convention, canonical, back)) abort();
    sink += hf_is_transposed(convention, canonical) + (uint64_t)back[0];
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  safetensors s;
  if (safetensors_parse("fuzz", data, n, &s)) return 0;
  json_t *o = json_object(), *tensors = json_array();
  for (uint32_t i = 0; i < s.n_tensors; i++) {
    const safetensors_tensor *t = &s.tensors[i];
    if (t->bytes) sink += t->data[0] + t->data[t->bytes - 1];
    translate(t->name);
  }
  inspect_safetensors(&s, NULL, o, tensors);
  inspect_set(o, "tensors", tensors);
  char *encoded = json_dumps(o, JSON_COMPACT);
  if (!encoded) abort(); /* what was made must be JSON */
  free(encoded);
  json_decref(o);
  safetensors_close(&s);
  sink += open_model(data, n);
  return 0;
}
