/* random.cl -- RNG_PHILOX: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011). A work-item makes
 * the four elements of one counter. */

inline uint4 philox(uint4 c, uint2 k) {
  for (int round = 0; round < 10; round++) {
    const uint high0 = mul_hi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
    const uint high1 = mul_hi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
    c = (uint4)(high1 ^ c.y ^ k.x, low1, high0 ^ c.w ^ k.y, low0);
    k += (uint2)(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}

inline float fraction(uint word) { return (float)(word >> 8) * 0x1p-24f; }

inline float2 normal_pair(uint w0, uint w1) {
  const float radius = sqrt(-2.0f * log((float)((w0 >> 8) + 1u) * 0x1p-24f));
  const float t = 6.28318530718f * fraction(w1);
  return (float2)(radius * cos(t), radius * sin(t));
}

inline float4 numbers(int kind, uint4 w, float a, float b) {
  if (kind == 1) {
    const float4 u = (float4)(fraction(w.x), fraction(w.y), fraction(w.z), fraction(w.w));
    return a + (b - a) * u;
  }
  return a + b * (float4)(normal_pair(w.x, w.y), normal_pair(w.z, w.w));
}

/* |columns| elements in each row numbered from 0; rows walks y (0) and, if there are keys, them
 * (1). Without keys all of y is one row, of elements walked by |all|. */
__kernel void random(const nd rows, const nd all, const long columns, const int kind,
                     const int stream, const float a, const float b, const int key0, const int key1,
                     const int offset, const long y_step, const long key_step, TENSOR(y),
                     TENSOR(keys)) {
  const long group = (long)get_global_id(0), row = (long)get_global_id(1);
  if (group * 4 >= columns) return;
  uint2 key = (uint2)((uint)key0, (uint)key1);
  uint last = (uint)offset;
  if (keys_base) {
    __global const uint *k = (__global const uint *)BASE(keys) + ND_AT(rows, 1, row);
    key = (uint2)(k[0], k[key_step]);
    last = k[2 * key_step];
  }
  const uint4 counter = (uint4)((uint)group, (uint)(group >> 32), (uint)stream, last);
  const float4 v = numbers(kind, philox(counter, key), a, b);
  const float element[4] = {v.x, v.y, v.z, v.w};
  __global float *to = (__global float *)BASE(y) + (keys_base ? ND_AT(rows, 0, row) : 0);
  for (int j = 0; j < 4 && group * 4 + j < columns; j++) {
    const long i = group * 4 + j;
    to[keys_base ? i * y_step : ND_AT(all, 0, i)] = element[j];
  }
}
