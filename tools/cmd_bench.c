/* cmd_bench.c -- `forge bench`: Forge against the limits of this machine. Limits and Forge are
 * measured in turn, round by round, so that a machine whose speed drifts drifts for both. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <forge/infer.h>
#include <jansson.h>

#include "bench_cases.h"
#include "cli.h"
#include "limits.h"

enum { MAX_ROUNDS = 99, MAX_ITEMS = 16, CONTEXT = 64 };

/* What an item is held against. */
typedef enum yardstick { NO_LIMIT, FMA_RATE, READ_RATE } yardstick;

/* One line of the report: a figure of every round. */
typedef struct item {
  const char *name, *unit;
  yardstick limit;
  double scale; /* figure = scale / seconds per run, or seconds per run * scale for |direct| */
  bool direct, submit_only;
  bench_program program; /* or the model's decoder */
  forge_decode *decoder;
  uint32_t rounds;
  double figure[MAX_ROUNDS];
} item;

typedef struct bench {
  const cli *c;
  forge_runtime *runtime;
  forge_device *device, *null_device;
  forge_model *model;
  forge_decode *decoder;
  uint32_t threads;
  uint64_t rounds;
  double seconds;
  item items[MAX_ITEMS];
  uint32_t n_items;
  double best[3]; /* by yardstick: the highest rate of any round, per second */
} bench;

/* ---- what is measured ---- */

static item *add(bench *b, item it) {
  b->items[b->n_items] = it;
  return &b->items[b->n_items++];
}

static forge_status add_submits(bench *b) {
  static const struct {
    const char *name;
    uint32_t bindings;
  } cases[] = {{"submit, null backend, 1 op, 3 bindings", 3},
               {"submit, null backend, 17 ops, 19 bindings", 19}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    item *it = add(b, (item){.name = cases[i].name,
                             .unit = "ns",
                             .scale = 1e9,
                             .direct = true,
                             .submit_only = true});
    const forge_status st = bench_add(b->null_device, cases[i].bindings, &it->program);
    if (st) return st;
  }
  return FORGE_OK;
}

static forge_status add_matmuls(bench *b) {
  static const struct {
    const char *name;
    uint8_t dtype;
    yardstick limit;
    int64_t m, n, k;
  } cases[] = {
      {"f32 matmul 1024 x 1024 x 1024", FORGE_F32, FMA_RATE, 1024, 1024, 1024},
      {"f32 matmul 256 x 768 x 768", FORGE_F32, FMA_RATE, 256, 768, 768},
      {"q8_0 matmul 128 x 2048 x 2048", FORGE_Q8_0, FMA_RATE, 128, 2048, 2048},
      {"q8_0 matvec 16384 x 8192", FORGE_Q8_0, READ_RATE, 1, 16384, 8192},
      {"f32 matvec 8192 x 8192", FORGE_F32, READ_RATE, 1, 8192, 8192},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint64_t weights;
    const bool flops = cases[i].limit == FMA_RATE;
    item *it = add(
        b,
        (item){.name = cases[i].name, .unit = flops ? "GFLOP/s" : "GB/s", .limit = cases[i].limit});
    const forge_status st = bench_matmul(b->device, cases[i].dtype, cases[i].m, cases[i].n,
                                         cases[i].k, &it->program, &weights);
    if (st) return st;
    it->scale = 1e-9 * (flops ? (double)forge_program_flops(it->program.program) : (double)weights);
  }
  return FORGE_OK;
}

/* Bytes of weights a token reads: all but the embedding rows it does not look up. */
static forge_status weight_bytes(const char *path, double *out_bytes) {
  char *text = NULL;
  const forge_status st = forge_inspect(path, &text);
  if (st) return st;
  json_t *root = json_loads(text, 0, NULL), *tensor;
  size_t i;
  bool head = false;
  double embedding = 0;
  *out_bytes = 0;
  json_array_foreach(json_object_get(root, "tensors"), i, tensor) {
    const char *name = json_string_value(json_object_get(tensor, "name"));
    const double bytes = (double)json_integer_value(json_object_get(tensor, "bytes"));
    *out_bytes += bytes;
    if (name && !strcmp(name, "output.weight")) head = true;
    if (name && !strcmp(name, "token_embd.weight")) embedding = bytes;
  }
  if (head) *out_bytes -= embedding;
  json_decref(root);
  forge_text_free(text);
  return FORGE_OK;
}

static forge_status add_decode(bench *b, const char *path) {
  double bytes;
  forge_status st = forge_model_open(path, NULL, &b->model);
  if (!st) st = weight_bytes(path, &bytes);
  if (!st) st = forge_decode_create(b->model, b->device, NULL, &b->decoder);
  if (st) return st;
  add(b,
      (item){
          .name = "token phase, tokens/s", .unit = "tokens/s", .scale = 1, .decoder = b->decoder});
  add(b, (item){.name = "token phase, weights read",
                .unit = "GB/s",
                .scale = bytes * 1e-9,
                .limit = READ_RATE,
                .decoder = b->decoder});
  return FORGE_OK;
}

/* ---- measuring ---- */

/* Seconds per token at contexts of CONTEXT tokens and a little more, like a short answer. */
static double decode_seconds(forge_decode *decoder, double seconds) {
  int32_t ids[CONTEXT];
  for (int i = 0; i < CONTEXT; i++) ids[i] = 1 + i % 100;
  uint64_t n = 0;
  double spent = 0;
  while (spent < seconds) {
    if (forge_decode_prompt(decoder, ids, CONTEXT, NULL)) return -1;
    const double begin = bench_now();
    for (int i = 0; i < CONTEXT; i++, n++)
      if (forge_decode_step(decoder, ids[i], NULL)) return -1;
    spent += bench_now() - begin;
  }
  return spent / (double)n;
}

/* A neighbour on the machine can only lower a limit, so the highest of all rounds is the limit. */
static void measure_limit(bench *b, yardstick limit) {
  const double rate = limit == FMA_RATE    ? limits_fma_flops(b->threads, b->seconds / 2)
                      : limit == READ_RATE ? limits_read_bandwidth(b->threads, b->seconds / 2)
                                           : 0;
  if (rate > b->best[limit]) b->best[limit] = rate;
}

static forge_status measure_round(bench *b, uint32_t round) {
  for (uint32_t i = 0; i < b->n_items; i++) {
    item *it = &b->items[i];
    measure_limit(b, it->limit);
    const double seconds = it->decoder
                               ? decode_seconds(it->decoder, b->seconds)
                               : bench_seconds_per_run(&it->program, b->seconds, it->submit_only);
    if (seconds < 0) return forge_error_last()->code;
    it->figure[round] = it->direct ? seconds * it->scale : it->scale / seconds;
    it->rounds = round + 1;
  }
  return FORGE_OK;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

typedef struct spread {
  double min, median, max;
} spread;

static spread spread_of(const double *values, uint32_t n) {
  double sorted[MAX_ROUNDS];
  memcpy(sorted, values, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, ascending);
  return (spread){sorted[0], (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[n - 1]};
}

/* ---- reporting ---- */

/* The figure's share of its limit; not for items without one. */
static spread share_of(const bench *b, const item *it) {
  const spread f = spread_of(it->figure, it->rounds);
  const double limit = b->best[it->limit] * 1e-9;
  return (spread){f.min / limit, f.median / limit, f.max / limit};
}

static json_t *spread_json(spread s) {
  return json_pack("{s:f, s:f, s:f}", "min", s.min, "median", s.median, "max", s.max);
}

static void print_json(const bench *b, const char *device) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < b->n_items; i++) {
    const item *it = &b->items[i];
    json_t *entry = json_pack("{s:s, s:s, s:o}", "name", it->name, "unit", it->unit, "figure",
                              spread_json(spread_of(it->figure, it->rounds)));
    if (it->limit != NO_LIMIT) {
      json_object_set_new(
          entry, "limit",
          json_string(it->limit == FMA_RATE ? "f32 multiply-add rate" : "read bandwidth"));
      json_object_set_new(entry, "share", spread_json(share_of(b, it)));
    }
    json_array_append_new(list, entry);
  }
  json_t *root =
      json_pack("{s:s, s:i, s:I, s:s, s:o}", "device", device, "threads", (int)b->threads, "rounds",
                (json_int_t)b->rounds, "isa", limits_isa(), "items", list);
  char *text = json_dumps(root, JSON_INDENT(2));
  if (text) puts(text);
  free(text);
  json_decref(root);
}

static void print_table(const bench *b, const char *device) {
  printf("%s, %u threads, limits measured with %s; median (min - max) of %llu rounds\n\n", device,
         b->threads, limits_isa(), (unsigned long long)b->rounds);
  printf(
      "  limits: multiply-add %.1f GFLOP/s, read bandwidth %.1f GB/s, the best of all rounds\n\n",
      b->best[FMA_RATE] * 1e-9, b->best[READ_RATE] * 1e-9);
  printf("  %-42s %28s   %s\n", "", "figure", "share of the limit");
  for (uint32_t i = 0; i < b->n_items; i++) {
    const item *it = &b->items[i];
    const spread f = spread_of(it->figure, it->rounds), s = share_of(b, it);
    char figure[64], share[64] = "";
    snprintf(figure, sizeof figure, "%.1f (%.1f - %.1f) %s", f.median, f.min, f.max, it->unit);
    if (it->limit != NO_LIMIT)
      snprintf(share, sizeof share, "%3.0f%% (%.0f - %.0f) of %s", 100 * s.median, 100 * s.min,
               100 * s.max, it->limit == FMA_RATE ? "multiply-add" : "read bandwidth");
    printf("  %-42s %28s   %s\n", it->name, figure, share);
  }
}

/* ---- the command ---- */

static int run_rounds(bench *b) {
  cli_progress progress;
  cli_progress_start(&progress, "bench", "rounds", 0, b->rounds);
  for (uint32_t r = 0; r < b->rounds; r++) {
    if (measure_round(b, r)) return cli_failed(b->c, "measuring");
    cli_progress_step(&progress, r + 1, NULL);
  }
  cli_progress_end(&progress, NULL);
  return CLI_OK;
}

static int measure(bench *b) {
  forge_device_info info = {.size = sizeof info};
  if (forge_device_describe(b->device, &info)) return cli_failed(b->c, "device");
  b->threads = info.threads ? info.threads : limits_threads();
  if (add_submits(b)) return cli_failed(b->c, "null backend");
  if (add_matmuls(b)) return cli_failed(b->c, "matrix products");
  if (cli_arg(b->c, 0) && add_decode(b, cli_arg(b->c, 0)))
    return cli_failed(b->c, cli_arg(b->c, 0));
  const int rc = run_rounds(b);
  if (rc) return rc;
  if (cli_json(b->c))
    print_json(b, info.name);
  else
    print_table(b, info.name);
  return CLI_OK;
}

static int run(cli *c) {
  bench b = {.c = c};
  cli_threads threads;
  if (!cli_u64(c, "rounds", 1, MAX_ROUNDS, 5, &b.rounds) ||
      !cli_f64(c, "seconds", 0.01, 60, 0.4, &b.seconds) || !cli_take_threads(c, &threads))
    return CLI_USAGE;
  int rc = CLI_FAILED;
  if ((b.runtime = cli_runtime(c, threads.extra)) &&
      (b.device = cli_device(b.runtime, cli_text(c, "device", NULL))) &&
      (b.null_device = cli_device(b.runtime, "null:0")))
    rc = measure(&b);
  for (uint32_t i = 0; i < b.n_items; i++) bench_program_finish(&b.items[i].program);
  forge_decode_destroy(b.decoder);
  forge_model_close(b.model);
  forge_device_close(b.null_device);
  forge_device_close(b.device);
  forge_runtime_destroy(b.runtime);
  return rc;
}

static const cli_option options[] = {
    {"device", "D", "what to measure (default: the configuration's first)", false},
    {"threads", "N", "computing threads of the cpu backend", false},
    {"rounds", "N", "rounds of limits and figures in turn (default 5)", false},
    {"seconds", "S", "time for each figure in a round (default 0.4)", false},
    {NULL, NULL, NULL, false}};

const cli_command cmd_bench = {
    .name = "bench",
    .summary = "measure submits, matrix products and the token phase against this machine's limits",
    .usage = "[MODEL] [--device D] [--threads N] [--rounds N] [--seconds S] [--json]",
    .examples =
        "  forge bench                          # the core's own cost and matrix products\n"
        "  forge bench small.gguf --threads 1   # and the token phase of a model, one thread\n",
    .options = options,
    .max_args = 1,
    .run = run,
};
