/* tiny_train.c -- the smallest whole thing: a program that trains a two-layer network to be a sine,
 * on whatever device the operator's configuration gives. It sees the public headers alone.
 *
 *   tiny_train            the configured device
 *   tiny_train cpu:0      that one
 *
 * One submit does forward, backward and update; weights and moments stay on the device. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <forge/program.h>

enum { POINTS = 256, WIDTH = 32, STEPS = 400 };

/* One weight with its two AdamW moments, all STATE: the update happens in place. */
typedef struct weight {
  const char *name, *m_name, *v_name;
  int64_t dim[2];
  forge_tid tensor, m, v;
} weight;

static int failed(const char *what) {
  fprintf(stderr, "tiny_train: %s: %s\n", what, forge_error_last()->msg);
  return 1;
}

static forge_status declare(forge_builder *b, weight *w) {
  forge_status st =
      forge_builder_tensor(b, FORGE_ROLE_STATE, w->name, FORGE_F32, 2, w->dim, NULL, &w->tensor);
  if (!st)
    st = forge_builder_tensor(b, FORGE_ROLE_STATE, w->m_name, FORGE_F32, 2, w->dim, NULL, &w->m);
  if (!st)
    st = forge_builder_tensor(b, FORGE_ROLE_STATE, w->v_name, FORGE_F32, 2, w->dim, NULL, &w->v);
  return st;
}

/* loss = mean((tanh(x a^T) b^T - y)^2), then its gradient, then one AdamW update of a and b. */
static forge_status build(forge_builder *b, weight *w) {
  const forge_attr_matmul by_rows = {FORGE_MATMUL_TRANS_B, 0};
  const forge_attr_kind act = {FORGE_UNARY_TANH, 0}, minus = {FORGE_BINARY_SUB, 0},
                        square = {FORGE_UNARY_SQUARE, 0};
  const forge_attr_reduce mean = {FORGE_REDUCE_MEAN, 3};
  uint32_t step_scalar;
  forge_tid x, y, h, p, e, loss, scalar_loss, gradient[2], updated[3];
  forge_status st;
#define DO(call)                                                                                   \
  do {                                                                                             \
    if ((st = (call))) return st;                                                                  \
  } while (0)
  DO(forge_builder_scalar(b, "step", STEPS, &step_scalar));
  DO(forge_builder_tensor(b, FORGE_ROLE_INPUT, "x", FORGE_F32, 2, (int64_t[]){POINTS, 2}, NULL,
                          &x));
  DO(forge_builder_tensor(b, FORGE_ROLE_INPUT, "y", FORGE_F32, 2, (int64_t[]){POINTS, 1}, NULL,
                          &y));
  DO(declare(b, &w[0]));
  DO(declare(b, &w[1]));
  DO(forge_builder_op(b, FORGE_OP_MATMUL, &by_rows, sizeof by_rows,
                      (forge_tid[]){x, w[0].tensor, FORGE_TID_NONE}, 3, &h, 1));
  DO(forge_builder_op(b, FORGE_OP_UNARY, &act, sizeof act, &h, 1, &h, 1));
  DO(forge_builder_op(b, FORGE_OP_MATMUL, &by_rows, sizeof by_rows,
                      (forge_tid[]){h, w[1].tensor, FORGE_TID_NONE}, 3, &p, 1));
  DO(forge_builder_op(b, FORGE_OP_BINARY, &minus, sizeof minus, (forge_tid[]){p, y}, 2, &e, 1));
  DO(forge_builder_op(b, FORGE_OP_UNARY, &square, sizeof square, &e, 1, &e, 1));
  DO(forge_builder_op(b, FORGE_OP_REDUCE, &mean, sizeof mean, &e, 1, &loss, 1));
  DO(forge_builder_view(b, loss, &(forge_tensor){.dtype = FORGE_F32, .rank = 0}, 0, &scalar_loss));
  DO(forge_builder_gradient(b, scalar_loss, (forge_tid[]){w[0].tensor, w[1].tensor}, 2, gradient));
  const forge_attr_adamw adamw = {.beta1 = 0.9,
                                  .beta2 = 0.99,
                                  .eps = 1e-8,
                                  .lr = {.value = 0.02},
                                  .step = {.scalar = step_scalar + 1}};
  for (int i = 0; i < 2; i++)
    DO(forge_builder_op(b, FORGE_OP_ADAMW, &adamw, sizeof adamw,
                        (forge_tid[]){w[i].tensor, w[i].m, w[i].v, gradient[i], FORGE_TID_NONE}, 5,
                        updated, 3));
  return forge_builder_output(b, scalar_loss, "loss");
#undef DO
}

/* A buffer of |n| floats starting with |values| (NULL: zeros), bound to |name|; it ends with the
 * process. */
static forge_status bind(forge_device *device, forge_program *p, const char *name,
                         const float *values, int64_t n, forge_buffer **keep) {
  const uint64_t bytes = (uint64_t)n * sizeof(float);
  forge_status st = forge_buffer_create(device, bytes, name, keep);
  if (!st)
    st = values ? forge_buffer_write(*keep, 0, values, bytes)
                : forge_buffer_fill(*keep, 0, 0, bytes);
  return st ? st : forge_program_bind(p, name, *keep, 0);
}

static forge_status bind_all(forge_device *device, forge_program *p, const weight *w,
                             forge_buffer **buffers) {
  float x[POINTS * 2], y[POINTS], start[WIDTH * 2];
  for (int i = 0; i < POINTS; i++) {
    x[2 * i] = 6.2832f * ((float)i / POINTS - 0.5f);
    x[2 * i + 1] = 1; /* the bias */
    y[i] = sinf(x[2 * i]);
  }
  for (int i = 0; i < WIDTH * 2; i++)
    start[i] = sinf(12.9898f * (float)(i + 1)); /* any spread will do */
  forge_status st = bind(device, p, "x", x, POINTS * 2, buffers++);
  if (!st) st = bind(device, p, "y", y, POINTS, buffers++);
  if (!st) st = bind(device, p, "loss", NULL, 1, buffers++);
  for (int i = 0; i < 2 && !st; i++) {
    const int64_t n = w[i].dim[0] * w[i].dim[1];
    st = bind(device, p, w[i].name, start, n, buffers++);
    if (!st) st = bind(device, p, w[i].m_name, NULL, n, buffers++);
    if (!st) st = bind(device, p, w[i].v_name, NULL, n, buffers++);
  }
  return st;
}

int main(int argc, char **argv) {
  enum { BUFFERS = 9, LOSS = 2 };
  weight w[2] = {{.name = "a", .m_name = "a.m", .v_name = "a.v", .dim = {WIDTH, 2}},
                 {.name = "b", .m_name = "b.m", .v_name = "b.v", .dim = {1, WIDTH}}};
  forge_runtime *runtime = NULL;
  forge_device *device = NULL;
  forge_builder *b = NULL;
  forge_program *p = NULL;
  forge_buffer *buffers[BUFFERS] = {NULL};
  float loss = 0;
  int rc = 1;
  if (forge_runtime_create(NULL, &runtime)) return failed("configuration");
  if (forge_device_open(runtime, argc > 1 ? argv[1] : NULL, &device)) {
    rc = failed("device");
  } else if (forge_builder_create(&b) || build(b, w) || forge_program_create(device, b, NULL, &p) ||
             bind_all(device, p, w, buffers)) {
    rc = failed("building");
  } else {
    rc = 0;
    for (int step = 1; step <= STEPS && !rc; step++) {
      const double number = step; /* attribute numbers travel as the bits of a double */
      uint64_t scalar;
      memcpy(&scalar, &number, sizeof scalar);
      if (forge_program_run(p, &scalar, 1) ||
          forge_buffer_read(buffers[LOSS], 0, &loss, sizeof loss))
        rc = failed("running");
      else if (step == 1 || step % 100 == 0)
        printf("step %3d  loss %.6f\n", step, (double)loss);
    }
  }
  forge_program_destroy(p);
  forge_builder_destroy(b);
  for (int i = 0; i < BUFFERS; i++) forge_buffer_destroy(buffers[i]);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
  return rc;
}
