/* flops.c -- floating-point operations of matrix products and attention at maximal extents, a
 * multiply-add counted as two. Attention counts every query with every key, as MFU does. */
#include "rows.h"

double flops_matmul(const forge_tensor *const *in, const forge_tensor *const *out,
                    const void *attr) {
  const forge_attr_matmul *a = attr;
  const uint32_t k = in[0]->rank - (a->flags & FORGE_MATMUL_TRANS_A ? 2u : 1u);
  return 2.0 * (double)tensor_elements(out[0]) * (double)in[0]->dim[k];
}

double flops_qmatmul(const forge_tensor *const *in, const forge_tensor *const *out,
                     const void *attr) {
  (void)attr;
  return 2.0 * (double)tensor_elements(out[0]) * (double)in[1]->dim[1];
}

double flops_grouped(const forge_tensor *const *in, const forge_tensor *const *out,
                     const void *attr) {
  (void)attr;
  return 2.0 * (double)tensor_elements(out[0]) * (double)in[0]->dim[1];
}

double flops_grouped_dw(const forge_tensor *const *in, const forge_tensor *const *out,
                        const void *attr) {
  (void)out;
  (void)attr;
  return 2.0 * (double)tensor_elements(in[0]) * (double)in[1]->dim[1];
}

double flops_attention(const forge_tensor *const *in, const forge_tensor *const *out,
                       const void *attr) {
  (void)out;
  (void)attr;
  const bool paged = in[4];
  const double keys = (double)in[1]->dim[1] * (paged ? (double)in[4]->dim[1] : 1);
  return 4.0 * (double)tensor_elements(in[0]) * keys;
}

double flops_attention_bwd(const forge_tensor *const *in, const forge_tensor *const *out,
                           const void *attr) {
  (void)out;
  (void)attr;
  return 8.0 * (double)tensor_elements(in[0]) * (double)in[1]->dim[1];
}
