/* results.c -- bugs of kernels: what an op leaves in memory is not what it should. */
#include <math.h>

#include "plant.h"

static __attribute__((unused)) uint32_t kind_of(const done_op *op) {
  uint32_t kind;
  memcpy(&kind, op->attr, sizeof kind);
  return kind;
}

/* Output 0 is F32 and there is an element to spoil. */
static __attribute__((unused)) bool has_f32(const done_op *op) {
  return op->data[op->n_in] && output_of(op)->dtype == FORGE_F32 && elements_of(output_of(op)) > 0;
}

static __attribute__((unused)) float *last_of(const done_op *op, uint32_t k) {
  return f32_at(op, k, elements_of(&op->t[k]) - 1);
}

#if defined(BUG_WRONG_AT_ONE_SHAPE)
/* A kernel for one row and 127 columns that forgets the last one's last product. */
static void spoil(done_op *op) {
  const forge_tensor *y = output_of(op);
  if (op->op != FORGE_OP_MATMUL || !has_f32(op)) return;
  if (y->rank == 2 && y->dim[0] == 1 && y->dim[1] == 127) *last_of(op, op->n_in) += 1;
}
#elif defined(BUG_PARTIAL_TILE)
/* Tiles of 64 by 64, K by 256: what is left of K is forgotten in the tile that is cut. */
static void spoil(done_op *op) {
  if (op->op != FORGE_OP_MATMUL || !has_f32(op) || kind_of(op) || op->t[0].dtype != FORGE_F32)
    return;
  const forge_tensor *a = &op->t[0], *y = output_of(op);
  const int64_t k = a->dim[a->rank - 1], n = y->dim[y->rank - 1];
  if (k > 256 && k % 256 && n > 64 && n % 64) *last_of(op, op->n_in) += 1;
}
#elif defined(BUG_WRITES_PAST_END)
/* "<=" in the loop of an elementwise kernel. */
static void spoil(done_op *op) {
  if (op->op == FORGE_OP_UNARY && has_f32(op)) last_of(op, op->n_in)[1] = 1;
}
#elif defined(BUG_READS_PAST_END)
/* A dot product that takes one element more, times zero. */
static void spoil(done_op *op) {
  if (op->op == FORGE_OP_AXPBY && has_f32(op)) *last_of(op, op->n_in) += 0 * last_of(op, 0)[1];
}
#elif defined(BUG_MODIFIES_INPUT)
/* Scales its input in place before it uses it. */
static void spoil(done_op *op) {
  if (op->op == FORGE_OP_SOFTMAX && has_f32(op)) *f32_at(op, 0, 0) *= 2;
}
#elif defined(BUG_FILLS_GAPS)
/* Writes a strided output as whole rows. */
static void spoil(done_op *op) {
  const forge_tensor *y = output_of(op);
  if (op->op != FORGE_OP_COPY_STRIDED || !has_f32(op) || y->rank < 1) return;
  const int last = y->rank - 1;
  if (y->stride[last] == 2 && y->dim[last] > 1) f32_at(op, op->n_in, 0)[1] = 0;
}
#elif defined(BUG_DROPS_NAN)
/* fmaxf(): the maximum of a NaN and a number is the number. */
static void spoil(done_op *op) {
  if (op->op != FORGE_OP_BINARY || kind_of(op) != FORGE_BINARY_MAX || !has_f32(op)) return;
  for (int64_t i = 0; i < elements_of(output_of(op)); i++)
    *f32_at(op, op->n_in, i) = fmaxf(*f32_at(op, 0, i), *f32_at(op, 1, i));
}
#elif defined(BUG_ADDS_IN_F16)
static float to_f16(float x) {
  int power;
  const float mantissa = frexpf(x, &power);
  return ldexpf(rintf(mantissa * 2048), power - 11);
}
/* Sums a matrix product in half precision. */
static void spoil(done_op *op) {
  const forge_tensor *a = &op->t[0], *b = &op->t[1];
  const uint32_t flags = op->op == FORGE_OP_MATMUL ? kind_of(op) : 0;
  if (op->op != FORGE_OP_MATMUL || !has_f32(op) || a->rank != 2 || flags || op->data[2]) return;
  if (a->dtype != FORGE_F32 || b->dtype != FORGE_F32) return;
  const int64_t n = b->dim[1], k = a->dim[1];
  for (int64_t i = 0; i < a->dim[0] * n; i++) {
    float sum = 0;
    for (int64_t j = 0; j < k; j++)
      sum = to_f16(sum + *f32_at(op, 0, i / n * k + j) * *f32_at(op, 1, j * n + i % n));
    *f32_at(op, op->n_in, i) = sum;
  }
}
#elif defined(BUG_NOT_DETERMINISTIC)
/* Partial sums that arrive in another order now and then. */
static void spoil(done_op *op) {
  static unsigned times;
  if (op->op != FORGE_OP_REDUCE || kind_of(op) != FORGE_REDUCE_SUM || !has_f32(op)) return;
  for (int64_t i = 0; times % 2 && i < elements_of(output_of(op)); i++)
    *f32_at(op, op->n_in, i) = nextafterf(*f32_at(op, op->n_in, i), INFINITY);
  times++;
}
#elif defined(BUG_LEAVES_TAIL)
/* Vectors of four, and no loop for the rest. */
static void spoil(done_op *op) {
  if (op->op != FORGE_OP_FILL || !has_f32(op)) return;
  const int64_t n = elements_of(output_of(op));
  for (int64_t i = n / 4 * 4; i < n; i++) *f32_at(op, op->n_in, i) = NAN;
}
#elif defined(BUG_IGNORES_STRIDES)
/* Reads its input as if it were dense. */
static void spoil(done_op *op) {
  forge_tensor *x = &op->t[0];
  if (op->op != FORGE_OP_UNARY || kind_of(op) != FORGE_UNARY_NEG || !has_f32(op)) return;
  for (int64_t i = 0; x->dtype == FORGE_F32 && i < elements_of(x); i++)
    *f32_at(op, op->n_in, i) = -((const float *)(const void *)op->data[0])[i];
}
#elif defined(BUG_TRUNCATES)
/* F32 to BF16 by cutting off the lower half. */
static void spoil(done_op *op) {
  const forge_tensor *y = output_of(op);
  if (op->op != FORGE_OP_CAST || op->t[0].dtype != FORGE_F32 || y->dtype != FORGE_BF16) return;
  for (int64_t i = 0; i < elements_of(y); i++) {
    uint32_t bits;
    memcpy(&bits, f32_at(op, 0, i), sizeof bits);
    const uint16_t upper = (uint16_t)(bits >> 16);
    memcpy(op->data[1] + place_of(y, i), &upper, sizeof upper);
  }
}
#elif defined(BUG_BAD_IDS_ARE_ZERO)
/* Takes the first row for an id outside the table. */
static void spoil(done_op *op) {
  const forge_tensor *ids = &op->t[1], *y = output_of(op);
  if (op->op != FORGE_OP_GATHER_ROWS || !has_f32(op) || op->t[0].dtype != FORGE_F32 ||
      !op->t[0].dim[0])
    return;
  for (int64_t i = 0; i < elements_of(y); i++) {
    const int64_t columns = y->dim[y->rank - 1], row = i / columns;
    int32_t id;
    memcpy(&id, op->data[1] + place_of(ids, row), sizeof id);
    if (id < 0 || id >= op->t[0].dim[0]) *f32_at(op, 2, i) = *f32_at(op, 0, i % columns);
  }
}
#elif defined(BUG_ORDER_BY_ROWS)
/* A faster kernel for many rows that sums K in another order. */
static void spoil(done_op *op) {
  const forge_tensor *y = output_of(op);
  if (op->op != FORGE_OP_MATMUL || !has_f32(op) || y->rank != 2 || y->dim[0] < 2) return;
  for (int64_t i = 0; i < elements_of(y); i++)
    *f32_at(op, op->n_in, i) = nextafterf(*f32_at(op, op->n_in, i), INFINITY);
}
#elif defined(BUG_IGNORES_SCALAR_EXTENTS)
/* Computes over the largest extent, whatever the submit says. */
static forge_status submit_largest(forge_queue *queue, forge_prog *prog,
                                   const forge_submit *order) {
  uint64_t scalar[16] = {0};
  const shadow_program *p = shadow_program_of(prog);
  forge_submit largest = *order;
  if (p && order->n_scalar && order->n_scalar <= 16) {
    memcpy(scalar, order->scalar, order->n_scalar * sizeof *scalar);
    for (uint32_t s = 0; s < p->n_slots; s++)
      for (int k = 0; k < p->slot[s].tensor.rank; k++)
        if (p->slot[s].tensor.dim_scalar[k])
          scalar[p->slot[s].tensor.dim_scalar[k] - 1] = (uint64_t)p->slot[s].tensor.dim[k];
    largest.scalar = scalar;
  }
  return sound->submit(queue, prog, &largest);
}
#elif defined(BUG_FIRST_BINDINGS)
/* Resolves addresses at the first submit and keeps them. */
static forge_status submit_first(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  static forge_prog *known;
  static forge_bind first[64];
  forge_submit stale = *order;
  if (known != prog && order->n_bind <= 64) {
    known = prog;
    memcpy(first, order->bind, order->n_bind * sizeof *first);
  }
  if (known == prog) stale.bind = first;
  return sound->submit(queue, prog, &stale);
}
#endif

void plant(void) {
#if defined(BUG_IGNORES_SCALAR_EXTENTS)
  shadow_watch();
  planted.submit = submit_largest;
#elif defined(BUG_FIRST_BINDINGS)
  planted.submit = submit_first;
#else
  after_each_op(spoil);
#endif
}
