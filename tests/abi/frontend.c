/* frontend.c -- what a program on top of Forge does, in small: a program of its own with a
 * gradient, a training run, and text from the model it made. tests/abi/binaries keeps it as it was
 * compiled against each recorded ABI; what it prints is the same number for number whatever
 * libforge.so and backend of the same arithmetic it meets.
 *
 *   frontend DEVICE FOLDER    FOLDER exists and is empty
 *   frontend DEVICE           the program alone: for backends that do not compute */
#include <stdio.h>
#include <string.h>

#include <forge/infer.h>
#include <forge/train.h>

static int failed(const char *what) {
  fprintf(stderr, "frontend: %s: %s\n", what, forge_error_last()->msg);
  return 1;
}

/* d/dx sum(x * x) = 2 x, on the device. */
static forge_status build(forge_builder *b) {
  const forge_attr_kind times = {FORGE_BINARY_MUL, 0};
  const forge_attr_reduce sum = {FORGE_REDUCE_SUM, 1};
  forge_tid x, square, loss, gradient;
  forge_status st =
      forge_builder_tensor(b, FORGE_ROLE_INPUT, "x", FORGE_F32, 1, (int64_t[]){4}, NULL, &x);
  if (!st)
    st = forge_builder_op(b, FORGE_OP_BINARY, &times, sizeof times, (forge_tid[]){x, x}, 2, &square,
                          1);
  if (!st) st = forge_builder_op(b, FORGE_OP_REDUCE, &sum, sizeof sum, &square, 1, &loss, 1);
  if (!st)
    st = forge_builder_view(b, loss, &(forge_tensor){.dtype = FORGE_F32, .rank = 0}, 0, &loss);
  if (!st) st = forge_builder_gradient(b, loss, &x, 1, &gradient);
  return st ? st : forge_builder_output(b, gradient, "gradient");
}

static int run_program(forge_device *device, int computes) {
  const float x[4] = {1, -2, 3, 0.5f};
  float g[4] = {0};
  forge_builder *b = NULL;
  forge_program *p = NULL;
  forge_buffer *in = NULL, *out = NULL;
  int rc = 0;
  if (forge_builder_create(&b) || build(b) || forge_program_create(device, b, NULL, &p) ||
      forge_buffer_create(device, sizeof x, "x", &in) ||
      forge_buffer_create(device, sizeof g, "gradient", &out) ||
      forge_buffer_write(in, 0, x, sizeof x) || forge_buffer_fill(out, 0, 0, sizeof g) ||
      forge_program_bind(p, "x", in, 0) || forge_program_bind(p, "gradient", out, 0) ||
      forge_program_run(p, NULL, 0) || forge_buffer_read(out, 0, g, sizeof g))
    rc = failed("program");
  for (int i = 0; i < 4 && computes && !rc; i++)
    if (g[i] != 2 * x[i]) {
      fprintf(stderr, "frontend: gradient %d is %g, not %g\n", i, (double)g[i], 2.0 * (double)x[i]);
      rc = 1;
    }
  forge_program_destroy(p);
  forge_builder_destroy(b);
  forge_buffer_destroy(in);
  forge_buffer_destroy(out);
  if (!rc) puts("program ok");
  return rc;
}

/* A text with something to learn in it. */
static int write_text(const char *folder, char path[512]) {
  snprintf(path, 512, "%s/text.txt", folder);
  FILE *f = fopen(path, "w");
  if (!f) return 1;
  for (int i = 0; i < 400; i++) fprintf(f, "%d times %d is %d.\n", i % 10, i % 7, i % 10 * (i % 7));
  return fclose(f);
}

static int train(forge_device *device, const char *folder, char model[640]) {
  char text[512], text_key[600], out_key[600];
  forge_trainer *t = NULL;
  forge_train_report report = {.size = sizeof report};
  if (write_text(folder, text)) return failed("writing the text");
  snprintf(text_key, sizeof text_key, "text=%s", text);
  snprintf(out_key, sizeof out_key, "out=%s/run", folder);
  const char *settings[] = {text_key,         out_key,          "tokenizer=char", "family=llama",
                            "n_layer=2",      "n_head=2",       "n_embd=32",      "context=32",
                            "batch=4",        "steps=10",       "warmup=2",       "lr=0.01",
                            "log_interval=1", "peak_flops=1e9", "eval_batches=1", NULL};
  const forge_trainer_options options = {.size = sizeof options, .overrides = settings};
  int rc = forge_trainer_create(device, &options, &t) ? failed("trainer") : 0;
  while (!rc && !(report.flags & FORGE_TRAIN_DONE)) {
    report.flags = 0;
    if (forge_trainer_step(t, &report)) rc = failed("step");
    if (!rc) printf("step %llu loss %a\n", (unsigned long long)report.step, report.loss);
  }
  snprintf(model, 640, "%s/model.safetensors", folder);
  if (!rc && forge_trainer_export(t, model)) rc = failed("export");
  forge_trainer_destroy(t);
  return rc;
}

static int32_t print_text(void *ctx, const char *bytes, uint64_t n) {
  (void)ctx;
  fwrite(bytes, 1, n, stdout);
  return 0;
}

static int generate(forge_device *device, const char *path) {
  const forge_sampling sampling = {
      .size = sizeof sampling, .temperature = 0.8, .top_k = 20, .seed = 7};
  const forge_generate_options options = {
      .size = sizeof options, .max_tokens = 24, .sampling = &sampling, .on_text = print_text};
  forge_generate_result result = {.size = sizeof result};
  forge_model *model = NULL;
  forge_generator *g = NULL;
  int rc = 0;
  printf("text ");
  if (forge_model_open(path, NULL, &model) ||
      forge_generator_create(model, device, device, NULL, &g) ||
      forge_generate(g, "3 times ", 8, &options, &result))
    rc = failed("generate");
  printf("\n%llu tokens\n", (unsigned long long)result.new_tokens);
  forge_generator_destroy(g);
  forge_model_close(model);
  return rc;
}

int main(int argc, char **argv) {
  char model[640];
  forge_runtime *runtime = NULL;
  forge_device *device = NULL;
  if (argc < 2) return failed("usage: frontend DEVICE [FOLDER]");
  if (forge_runtime_create(NULL, &runtime)) return failed("configuration");
  int rc = forge_device_open(runtime, argv[1], &device) ? failed("device") : 0;
  if (!rc) rc = run_program(device, argc > 2);
  if (!rc && argc > 2) rc = train(device, argv[2], model);
  if (!rc && argc > 2) rc = generate(device, model);
  forge_device_close(device);
  forge_runtime_destroy(runtime);
  return rc;
}
