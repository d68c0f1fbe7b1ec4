/* cmd_perplexity.c -- `forge perplexity`: how well a model predicts a text. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <forge/infer.h>

#include "cli.h"

static const cli_option options[] = {
    {"text", "FILE", "the text, any bytes", false},
    {"ctx", "N", "window in tokens (default: the model's context)", false},
    {"stride", "N", "tokens from window to window (default: the window)", false},
    {"chunk", "N", "tokens per run of the program (default 64)", false},
    {"device", "D", "where it runs (default: the configuration's first)", false},
    {"threads", "N", "computing threads of the CPU backend", false},
    {"tokenizer", "FILE", "tokenizer to use instead of the model's own", false},
    {NULL, NULL, NULL, false}};

typedef struct measurement {
  cli *c;
  char *text;
  size_t bytes;
  int32_t *ids;
  uint64_t n;
  forge_runtime *runtime;
  forge_model *model;
  forge_device *device;
  cli_progress progress;
} measurement;

static int read_text(measurement *m, const char *path) {
  FILE *in = fopen(path, "rb");
  if (!in) return cli_usage(m->c, "--text %s: %s", path, strerror(errno));
  size_t room = 0, n;
  do {
    char *grown = realloc(m->text, room += 1 << 20);
    if (!grown) break;
    m->text = grown;
    n = fread(m->text + m->bytes, 1, room - m->bytes, in);
    m->bytes += n;
  } while (m->bytes == room);
  const bool whole = feof(in) && !ferror(in);
  fclose(in);
  return whole ? CLI_OK : cli_usage(m->c, "--text %s: reading it failed", path);
}

static int open_all(measurement *m) {
  cli_threads threads;
  if (!cli_take_threads(m->c, &threads)) return CLI_USAGE;
  if (!(m->runtime = cli_runtime(m->c, threads.extra))) return CLI_FAILED;
  if (forge_model_open(cli_arg(m->c, 0), cli_text(m->c, "tokenizer", NULL), &m->model))
    return cli_failed(m->c, cli_arg(m->c, 0));
  m->device = cli_device(m->runtime, cli_text(m->c, "device", NULL));
  return m->device ? CLI_OK : CLI_FAILED;
}

static int encode(measurement *m) {
  forge_tokenizer *t;
  if (forge_model_tokenizer(m->model, &t)) return cli_failed(m->c, "tokenizer");
  const uint32_t flags = FORGE_ENCODE_AUTO;
  const forge_status st = forge_tokenizer_encode(t, m->text, m->bytes, flags, NULL, 0, &m->n);
  if (st && st != FORGE_E_INVALID) return cli_failed(m->c, "tokenizing the text");
  if (!(m->ids = calloc(m->n + 1, sizeof *m->ids))) return cli_usage(m->c, "out of memory");
  if (forge_tokenizer_encode(t, m->text, m->bytes, flags, m->ids, m->n, &m->n))
    return cli_failed(m->c, "tokenizing the text");
  return CLI_OK;
}

static void advance(void *ctx, const char *what, uint64_t done, uint64_t total) {
  cli_progress *p = ctx;
  (void)what;
  (void)total;
  cli_progress_step(p, done, NULL);
}

static int print(const measurement *m, const forge_perplexity_result *r) {
  forge_device_info info = {.size = sizeof info};
  const double speed = r->ns ? (double)r->scored / ((double)r->ns * 1e-9) : 0;
  forge_device_describe(m->device, &info);
  if (!cli_json(m->c)) {
    printf("perplexity %.4f over %llu tokens (mean loss %.5f), window %u, stride %u\n",
           r->perplexity, (unsigned long long)r->scored, r->nll / (double)r->scored, r->n_ctx,
           r->stride);
    cli_note(m->c, "%.1f tokens/s on %s", speed, info.name);
    return CLI_OK;
  }
  json_t *o = json_pack("{s:f, s:f, s:I, s:i, s:i, s:f, s:s}", "perplexity", r->perplexity,
                        "mean_loss", r->nll / (double)r->scored, "tokens", (json_int_t)r->scored,
                        "window", (int)r->n_ctx, "stride", (int)r->stride, "tokens_per_second",
                        speed, "device", info.name);
  if (!o) return cli_usage(m->c, "out of memory");
  json_dumpf(o, stdout, JSON_INDENT(2));
  putchar('\n');
  json_decref(o);
  return CLI_OK;
}

static int measure(measurement *m) {
  uint64_t window, stride, chunk;
  if (!cli_u64(m->c, "ctx", 1, UINT32_MAX, 0, &window) ||
      !cli_u64(m->c, "stride", 1, UINT32_MAX, 0, &stride) ||
      !cli_u64(m->c, "chunk", 1, 65536, 64, &chunk))
    return CLI_USAGE;
  const forge_phase_options phase = {.size = sizeof phase, .chunk = (uint32_t)chunk};
  const forge_perplexity_options o = {.size = sizeof o,
                                      .n_ctx = (uint32_t)window,
                                      .stride = (uint32_t)stride,
                                      .phase = &phase,
                                      .progress = advance,
                                      .progress_ctx = &m->progress};
  forge_perplexity_result r = {.size = sizeof r};
  cli_progress_start(&m->progress, "perplexity", "tokens", 0, m->n ? m->n - 1 : 0);
  if (forge_perplexity(m->model, m->device, m->ids, m->n, &o, &r))
    return cli_failed(m->c, "perplexity");
  cli_progress_end(&m->progress, NULL);
  return print(m, &r);
}

static int run(cli *c) {
  measurement m = {.c = c};
  const char *text = cli_text(c, "text", NULL);
  if (!text) return cli_usage(c, "give --text FILE");
  int rc = read_text(&m, text);
  if (!rc) rc = open_all(&m);
  if (!rc) rc = encode(&m);
  if (!rc) rc = measure(&m);
  forge_model_close(m.model);
  forge_device_close(m.device);
  forge_runtime_destroy(m.runtime);
  free(m.text);
  free(m.ids);
  return rc;
}

const cli_command cmd_perplexity = {
    .name = "perplexity",
    .summary = "measure how well a model predicts a text",
    .usage = "MODEL --text FILE [options]",
    .examples =
        "  forge perplexity model.gguf --text valid.txt\n"
        "  forge perplexity model.gguf --text valid.txt --ctx 512 --stride 256  # longer context\n",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
