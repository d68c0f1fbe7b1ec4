/* attention.h -- what ATTENTION and its gradient share: rows of one head brought to a form the
 * inner loops like, and those loops. A "ready" row is f32, without gaps, |width| elements long: the
 * head dimension rounded up to a multiple of LANES with zeros behind it. */
#ifndef FORGE_CPU_ATTENTION_H
#define FORGE_CPU_ATTENTION_H

#include "span.h"

/* Keys are taken in blocks that begin at multiples of this, whatever else varies. */
#define KEYS 64

static inline int64_t attention_width(int64_t d) { return (d + LANES - 1) / LANES * LANES; }

/* Row at element |offset| of |v|, made ready: where it lies if it can be used there, else in
 * |copy|. */
const float *attention_row(const cpu_view *v, int64_t offset, int64_t d, float *copy);
/* The reverse: the first |d| elements of a ready row into the tensor. */
void attention_put(const cpu_view *v, int64_t offset, int64_t d, const float *from);

/* s[j] = scale * (q . k[j]) for j in [lo, hi), each product summed like cpu_dot(). */
void attention_scores(const float *q, const float *const *k, int64_t lo, int64_t hi, int64_t width,
                      float scale, float *s);
/* sum += p[j * step] v[j] for j in [lo, hi), in order of j. */
void attention_add(const float *p, int64_t step, const float *const *v, int64_t lo, int64_t hi,
                   int64_t width, float *sum);

uint8_t cpu_supports_attention_bwd(const forge_tensor *const *in, uint32_t n_in,
                                   const forge_tensor *const *out, uint32_t n_out,
                                   const void *attr);
uint64_t cpu_scratch_attention_bwd(const forge_tensor *const *in, uint32_t n_in,
                                   const forge_tensor *const *out, uint32_t n_out, const void *attr,
                                   uint32_t n_threads);
forge_status cpu_run_attention_bwd(const cpu_call *c);

#endif
