/* cmd_generate.c -- `forge generate`: a prompt and its continuation on standard output, all else on
 * standard error. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <forge/infer.h>

#include "cli.h"

static const cli_option options[] = {
    {"prompt", "TEXT", "the text to continue (default: none, a new text)", false},
    {"prompt-file", "FILE", "the same from a file, - for standard input", false},
    {"max-tokens", "N", "new tokens at most (default 256)", false},
    {"temperature", "T", "0: always the most likely token (default 0.8)", false},
    {"top-k", "K", "choose among the K most likely, 0: all (default 40)", false},
    {"top-p", "P", "choose among the most likely that make up P (default 0.95)", false},
    {"min-p", "P", "choose among those at least P times as likely as the first (default 0)", false},
    {"seed", "S", "the same seed gives the same text (default: from the clock, printed)", false},
    {"stop", "TEXT", "end before this text; may be repeated", true},
    {"ignore-end", NULL, "go on after the end-of-text token", false},
    {"special", NULL, "special tokens written in the prompt count (trusted prompts only)", false},
    {"device", "D", "device of both phases (default: the configuration's first)", false},
    {"prefill-on", "D", "device that reads the prompt", false},
    {"decode-on", "D", "device that makes the tokens", false},
    {"threads", "N", "computing threads of the CPU backend", false},
    {"tokenizer", "FILE", "tokenizer to use instead of the model's own", false},
    {"kv-type", "TYPE", "how keys and values are kept: f32, f16 or bf16 (default f32)", false},
    {"chunk", "N", "prompt tokens read at once (default 64)", false},
    {"deadline", "SECONDS", "give up after that time", false},
    {NULL, NULL, NULL, false}};

enum { MAX_STOPS = 64, MAX_PROMPT = 1 << 26 };

typedef struct generation {
  cli *c;
  char *prompt;
  size_t prompt_bytes;
  const char *stops[MAX_STOPS];
  forge_sampling sampling;
  forge_generate_options options;
  forge_phase_options phase;
  forge_runtime *runtime;
  forge_model *model;
  forge_device *prefill_on, *decode_on;
  forge_generator *generator;
  bool fits;  /* the prompt into the context */
  char *text; /* the continuation, kept for --json only */
  size_t text_bytes, text_room;
} generation;

/* ---- what the options say ---- */

static int read_stream(generation *g, FILE *in, const char *name) {
  size_t room = 0, n;
  do {
    if (g->prompt_bytes + 4096 > room) {
      char *grown = realloc(g->prompt, room = room ? 2 * room : 8192);
      if (!grown) return cli_usage(g->c, "out of memory reading %s", name);
      g->prompt = grown;
    }
    n = fread(g->prompt + g->prompt_bytes, 1, room - g->prompt_bytes, in);
    g->prompt_bytes += n;
    if (g->prompt_bytes > MAX_PROMPT)
      return cli_usage(g->c, "%s is over %d bytes, too much for a prompt", name, MAX_PROMPT);
  } while (n);
  return ferror(in) ? cli_usage(g->c, "reading %s failed", name) : CLI_OK;
}

static int take_prompt(generation *g) {
  const char *prompt = cli_text(g->c, "prompt", NULL);
  const char *path = cli_text(g->c, "prompt-file", NULL);
  if (prompt && path) return cli_usage(g->c, "give --prompt or --prompt-file, not both");
  if (!path) {
    g->prompt = strdup(prompt ? prompt : "");
    g->prompt_bytes = g->prompt ? strlen(g->prompt) : 0;
    return g->prompt ? CLI_OK : cli_usage(g->c, "out of memory");
  }
  if (!strcmp(path, "-")) return read_stream(g, stdin, "standard input");
  FILE *in = fopen(path, "rb");
  if (!in) return cli_usage(g->c, "--prompt-file %s: %s", path, strerror(errno));
  const int rc = read_stream(g, in, path);
  fclose(in);
  return rc;
}

static bool take_numbers(generation *g) {
  const cli *c = g->c;
  uint64_t top_k, chunk;
  double seconds;
  forge_sampling *s = &g->sampling;
  if (!cli_u64(c, "max-tokens", 0, UINT32_MAX, 256, &g->options.max_tokens) ||
      !cli_f64(c, "temperature", 0, 1000, 0.8, &s->temperature) ||
      !cli_u64(c, "top-k", 0, INT32_MAX, 40, &top_k) ||
      !cli_f64(c, "top-p", 0, 1, 0.95, &s->top_p) || !cli_f64(c, "min-p", 0, 1, 0, &s->min_p) ||
      !cli_u64(c, "seed", 0, UINT64_MAX, (uint64_t)time(NULL), &s->seed) ||
      !cli_u64(c, "chunk", 1, 65536, 64, &chunk) || !cli_f64(c, "deadline", 0, 1e9, 0, &seconds))
    return false;
  s->size = sizeof *s;
  s->top_k = (uint32_t)top_k;
  g->phase.chunk = (uint32_t)chunk;
  g->options.deadline_ns = (uint64_t)(seconds * 1e9);
  return true;
}

static int take_kv_type(generation *g) {
  static const struct {
    const char *name;
    uint32_t dtype;
  } types[] = {{"f32", FORGE_F32}, {"f16", FORGE_F16}, {"bf16", FORGE_BF16}};
  const char *name = cli_text(g->c, "kv-type", "f32");
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (!strcmp(name, types[i].name)) g->phase.kv_dtype = types[i].dtype;
  return g->phase.kv_dtype ? CLI_OK
                           : cli_usage(g->c, "--kv-type '%s' is none of f32, f16, bf16", name);
}

static int take_options(generation *g) {
  const cli *c = g->c;
  int rc = take_prompt(g);
  if (rc) return rc;
  if (!take_numbers(g)) return CLI_USAGE;
  if ((rc = take_kv_type(g))) return rc;
  if (cli_flag(c, "device") && (cli_flag(c, "prefill-on") || cli_flag(c, "decode-on")))
    return cli_usage(c, "--device names one device for both phases; leave it out with --prefill-on "
                        "and --decode-on");
  for (uint32_t i = 0; cli_text_at(c, "stop", i); i++) {
    if (i == MAX_STOPS) return cli_usage(c, "more than %d --stop", MAX_STOPS);
    g->stops[i] = cli_text_at(c, "stop", i);
    g->options.n_stops = i + 1;
  }
  g->options.stops = g->stops;
  g->options.flags = (cli_flag(c, "ignore-end") ? FORGE_GENERATE_IGNORE_END : 0u) |
                     (cli_flag(c, "special") ? FORGE_GENERATE_SPECIAL : 0u);
  return CLI_OK;
}

/* ---- opening ---- */

static int open_runtime(generation *g) {
  cli_threads threads;
  if (!cli_take_threads(g->c, &threads)) return CLI_USAGE;
  g->runtime = cli_runtime(g->c, threads.extra);
  return g->runtime ? CLI_OK : CLI_FAILED;
}

static int open_devices(generation *g) {
  const char *device = cli_text(g->c, "device", NULL);
  g->prefill_on = cli_device(g->runtime, cli_text(g->c, "prefill-on", device));
  if (!g->prefill_on) return CLI_FAILED;
  g->decode_on = cli_device(g->runtime, cli_text(g->c, "decode-on", device));
  return g->decode_on ? CLI_OK : CLI_FAILED;
}

/* Room for this text and no more: a model made for long contexts would else reserve all of it. */
static forge_status size_context(generation *g) {
  forge_model_config config = {.size = sizeof config};
  forge_tokenizer *tokenizer;
  uint64_t n = 0;
  forge_status st = forge_model_describe(g->model, &config);
  if (!st) st = forge_model_tokenizer(g->model, &tokenizer);
  if (st) return st;
  const uint32_t flags =
      FORGE_ENCODE_AUTO | (cli_flag(g->c, "special") ? FORGE_ENCODE_SPECIAL : 0u);
  st = forge_tokenizer_encode(tokenizer, g->prompt, g->prompt_bytes, flags, NULL, 0, &n);
  if (st) return st;
  g->fits = n <= config.n_ctx;
  n += g->options.max_tokens + 1;
  g->phase.n_ctx = n < config.n_ctx ? (uint32_t)n : config.n_ctx;
  return FORGE_OK;
}

static int open_all(generation *g) {
  int rc = open_runtime(g);
  if (rc) return rc;
  if (forge_model_open(cli_arg(g->c, 0), cli_text(g->c, "tokenizer", NULL), &g->model))
    return cli_failed(g->c, cli_arg(g->c, 0));
  if ((rc = open_devices(g))) return rc;
  if (size_context(g)) return cli_failed(g->c, cli_arg(g->c, 0));
  if (forge_generator_create(g->model, g->prefill_on, g->decode_on, &g->phase, &g->generator))
    return cli_failed(g->c, "preparing the model");
  return CLI_OK;
}

static void close_all(generation *g) {
  forge_generator_destroy(g->generator);
  forge_model_close(g->model);
  forge_device_close(g->prefill_on);
  forge_device_close(g->decode_on);
  forge_runtime_destroy(g->runtime);
  free(g->prompt);
  free(g->text);
}

/* ---- the text ---- */

static int32_t keep(generation *g, const char *bytes, uint64_t n) {
  if (g->text_bytes + n > g->text_room) {
    char *grown = realloc(g->text, g->text_room = 2 * (g->text_bytes + n));
    if (!grown) return 1;
    g->text = grown;
  }
  memcpy(g->text + g->text_bytes, bytes, n);
  g->text_bytes += n;
  return cli_stop_wanted();
}

static int32_t show(void *ctx, const char *bytes, uint64_t n) {
  generation *g = ctx;
  if (cli_json(g->c)) return keep(g, bytes, n);
  if (fwrite(bytes, 1, n, stdout) != n || fflush(stdout)) return 1;
  return cli_stop_wanted();
}

static double rate(uint64_t n, uint64_t ns) { return ns ? (double)n / ((double)ns * 1e-9) : 0; }

static void device_name(forge_device *device, char out[64]) {
  forge_device_info info = {.size = sizeof info};
  snprintf(out, 64, "%s", forge_device_describe(device, &info) ? "?" : info.name);
}

static const char *stop_name(uint32_t stop) {
  static const char *const names[] = {"failed", "length", "end", "stop text", "context", "caller"};
  return stop < sizeof names / sizeof names[0] ? names[stop] : "?";
}

static void note_result(const generation *g, const forge_generate_result *r) {
  char prefill[64], decode[64], size[32];
  device_name(g->prefill_on, prefill);
  device_name(g->decode_on, decode);
  if (r->recomputed)
    cli_note(g->c, "capsule refused (%s); the prompt was read again on %s", r->refusal, decode);
  cli_note(g->c, "prompt: %llu tokens, %.1f tokens/s on %s", (unsigned long long)r->prompt_tokens,
           rate(r->prompt_tokens, r->prefill_ns), prefill);
  if (r->capsule_bytes)
    cli_note(g->c, "handed over: %s, verified, %.2f ms", cli_bytes(r->capsule_bytes, size),
             (double)r->handover_ns * 1e-6);
  char seed[40] = ""; /* the most likely token needs none */
  if (g->sampling.temperature > 0)
    snprintf(seed, sizeof seed, "; seed %llu", (unsigned long long)g->sampling.seed);
  cli_note(g->c, "new: %llu tokens, %.1f tokens/s on %s; ended by %s%s",
           (unsigned long long)r->new_tokens, rate(r->new_tokens, r->decode_ns), decode,
           stop_name(r->stop), seed);
}

/* A text that is not UTF-8 cannot be a JSON string. */
static json_t *json_text(const char *bytes, size_t n) {
  json_t *s = json_stringn(bytes ? bytes : "", n);
  return s ? s : json_null();
}

static int print_json(const generation *g, const forge_generate_result *r) {
  char prefill[64], decode[64];
  device_name(g->prefill_on, prefill);
  device_name(g->decode_on, decode);
  json_t *o = json_pack(
      "{s:o, s:o, s:I, s:I, s:f, s:f, s:s, s:s, s:s, s:I, s:f, s:b, s:s, s:o}", "prompt",
      json_text(g->prompt, g->prompt_bytes), "text", json_text(g->text, g->text_bytes),
      "prompt_tokens", (json_int_t)r->prompt_tokens, "new_tokens", (json_int_t)r->new_tokens,
      "prompt_tokens_per_second", rate(r->prompt_tokens, r->prefill_ns), "tokens_per_second",
      rate(r->new_tokens, r->decode_ns), "prefill_on", prefill, "decode_on", decode, "stop",
      stop_name(r->stop), "capsule_bytes", (json_int_t)r->capsule_bytes, "handover_ms",
      (double)r->handover_ns * 1e-6, "recomputed", (int)r->recomputed, "refusal", r->refusal,
      "seed", json_integer((json_int_t)g->sampling.seed));
  if (!o) return cli_usage(g->c, "out of memory");
  json_dumpf(o, stdout, JSON_INDENT(2));
  putchar('\n');
  json_decref(o);
  return CLI_OK;
}

static int produce(generation *g) {
  forge_generate_result r = {.size = sizeof r};
  const bool json = cli_json(g->c), echo = !json && g->fits;
  g->options.size = sizeof g->options;
  g->options.sampling = &g->sampling;
  g->options.on_text = show;
  g->options.ctx = g;
  if (echo) {
    fwrite(g->prompt, 1, g->prompt_bytes, stdout);
    fflush(stdout);
  }
  const forge_status st = forge_generate(g->generator, g->prompt, g->prompt_bytes, &g->options, &r);
  const int rc = st ? cli_failed(g->c, "generation") : CLI_OK;
  if (echo && putchar('\n') != EOF)
    fflush(stdout); /* a text ends with a line, as llama2.c's does */
  if (rc) return rc;
  if (json) return print_json(g, &r);
  note_result(g, &r);
  return cli_stop_wanted() ? CLI_STOPPED : CLI_OK;
}

static int run(cli *c) {
  generation g = {.c = c, .phase = {.size = sizeof g.phase}};
  int rc = take_options(&g);
  if (!rc) rc = open_all(&g);
  cli_catch_stop();
  if (!rc) rc = produce(&g);
  close_all(&g);
  return rc;
}

const cli_command cmd_generate = {
    .name = "generate",
    .summary = "continue a text with a model",
    .usage = "MODEL --prompt TEXT [options]",
    .examples = "  forge generate model.gguf --prompt 'Once upon a time' --max-tokens 200\n"
                "  forge generate model.gguf --prompt 'Once' --temperature 0  # always the same\n"
                "  forge generate model/ --prompt-file in.txt --stop 'The end' --seed 7\n"
                "  forge generate model.gguf --prompt 'Once' --prefill-on cpu/avx2:0 --decode-on "
                "cpu/portable:0\n",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
