/* rig.h -- what the tests of this folder stand on: devices by name, small models made on the spot,
 * text caught as it comes. */
#ifndef FORGE_INFER_RIG_H
#define FORGE_INFER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <forge/infer.h>

/* Fails the test with the library's own reason. */
#define OK(call) rig_ok(call, #call, __FILE__, __LINE__)
void rig_ok(forge_status status, const char *what, const char *file, int line);
/* The call must fail with |want| and a reason that has |says| in it. */
void rig_fails(forge_status is, forge_status want, const char *says);

/* Closes what rig_device() opened and removes the temporary folder. */
void rig_close(void);
/* An open device, kept until rig_close(). NULL when this machine or build has no such device. */
forge_device *rig_device(const char *name);

/* Variants of the CPU backend that are here; the first is always the portable one. */
enum { RIG_VARIANTS = 3 };
uint32_t rig_variants(forge_device *out[RIG_VARIANTS], const char *names[RIG_VARIANTS]);

/* A llama2.c model with random weights of a fixed seed, and its tokenizer: bytes and a few words.
 */
enum { RIG_VOCAB = 280, RIG_CTX = 96 };
typedef struct rig_shape {
  int32_t dim, hidden, layers, heads, kv_heads;
  uint32_t seed;
  int uniform;         /* 1: a head of zeros, so that all tokens are equally likely */
  int other_tokenizer; /* 1: the same weights, but pieces merge in another order */
} rig_shape;
extern const rig_shape rig_small;
/* Writes NAME.bin and NAME.tok into the temporary folder and opens them. Names: small, other,
 * uniform. */
forge_model *rig_model(const char *name, const rig_shape *shape);
/* A file of the data folder, NULL when that is absent. Kept until the next call. */
const char *rig_data(const char *relative);
/* A path in the temporary folder. Kept until the next call. */
const char *rig_temporary(const char *name);

/* A text as it came, for forge_generate_options.on_text with ctx pointing here. */
typedef struct rig_text {
  char s[16384];
  size_t n, calls, stop_after; /* calls after which it asks to stop, 0: never */
} rig_text;
int32_t rig_catch(void *ctx, const char *bytes, uint64_t n);

#endif
