/* global_norm.cl -- GLOBAL_NORM: squares of pieces of 16384 elements summed in sixteen lanes, then
 * the pieces' sums in order. */

#ifdef OCL_FP64
typedef double wide;
typedef double16 wide16;
#define WIDEN convert_double16
#else
typedef float wide;
typedef float16 wide16;
#define WIDEN
#endif

/* Sums of the pieces of one input. */
__kernel GROUP(1, 1) void squares(TENSOR(x), TENSOR(sums), const nd shape) {
  const long piece = get_global_id(0), first = piece * 16384, end = min(first + 16384, shape.n);
  if (first >= shape.n) return;
  __global const float *x = (__global const float *)BASE(x);
  wide16 sum = 0;
  for (long i = first; i < end; i += 16) {
    float16 v;
    if (shape.dense && i + 16 <= end) {
      v = vload16(0, x + i);
    } else {
      float some[16];
      for (int l = 0; l < 16; l++) some[l] = i + l < end ? x[ND_AT(shape, 0, i + l)] : 0.0f;
      v = vload16(0, some);
    }
    sum += WIDEN(v) * WIDEN(v);
  }
  wide lanes[16], total = 0;
  vstore16(sum, 0, lanes);
  for (int l = 0; l < 16; l++) total += lanes[l];
  ((__global wide *)BASE(sums))[piece] = total;
}

typedef struct finish {
  long pieces;
  int has_norm, has_factor;
  float limit;
} finish;

__kernel GROUP(1, 1) void finish_norm(TENSOR(sums), TENSOR(norm), TENSOR(factor), const finish a) {
  if (get_global_id(0) > 0 || !(a.has_norm || a.has_factor)) return;
  wide total = 0;
  for (long i = 0; i < a.pieces; i++) total += ((__global const wide *)BASE(sums))[i];
  const float norm = (float)sqrt(total);
  float factor = a.limit > 0.0f && norm > a.limit ? a.limit / norm : 1.0f;
  if (!isfinite(norm)) factor = 0.0f;
  if (a.has_norm) *(__global float *)BASE(norm) = norm;
  if (a.has_factor) *(__global float *)BASE(factor) = factor;
}
