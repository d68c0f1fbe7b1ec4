/* cmd_convert.c -- `forge convert`: a model from one file format into another, quantized on the
 * way if asked. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <forge/model.h>

#include "cli.h"

static const cli_option options[] = {
    {"type", "T", "f32, f16, bf16, q8_0, q4_0, q4_k or q6_k for matrices (default: as they are)",
     false},
    {"tokenizer", "FILE", "tokenizer to store instead of the source's own", false},
    {"device", "D", "what does the rounding (default: the configuration's first)", false},
    {NULL, NULL, NULL, false}};

static const struct {
  const char *name;
  uint32_t dtype;
} types[] = {{"f32", FORGE_F32},   {"f16", FORGE_F16},   {"bf16", FORGE_BF16}, {"q8_0", FORGE_Q8_0},
             {"q4_0", FORGE_Q4_0}, {"q4_k", FORGE_Q4_K}, {"q6_k", FORGE_Q6_K}};

static bool find_type(const char *name, uint32_t *out) {
  *out = 0;
  if (!name) return true;
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (!strcmp(types[i].name, name)) *out = types[i].dtype;
  return *out != 0;
}

static void advance(void *ctx, const char *what, uint64_t done, uint64_t total) {
  cli_progress *p = ctx;
  if (!p->total) cli_progress_start(p, "converting", "B", 0, total);
  cli_progress_step(p, done, what);
}

static int print(const cli *c) {
  char *text = NULL;
  if (!cli_json(c)) {
    cli_note(c, "wrote %s", cli_arg(c, 1));
    return CLI_OK;
  }
  json_t *o = json_pack("{s:s, s:s}", "in", cli_arg(c, 0), "out", cli_arg(c, 1));
  if (o) text = json_dumps(o, JSON_INDENT(2));
  json_decref(o);
  if (text) puts(text);
  free(text);
  return text ? CLI_OK : CLI_FAILED;
}

static int run(cli *c) {
  cli_progress progress = {0};
  forge_convert_options o = {.size = sizeof o,
                             .tokenizer_path = cli_text(c, "tokenizer", NULL),
                             .progress = advance,
                             .progress_ctx = &progress};
  const char *type = cli_text(c, "type", NULL);
  if (!find_type(type, &o.dtype))
    return cli_usage(c, "--type %s: give f32, f16, bf16, q8_0, q4_0, q4_k or q6_k", type);
  forge_runtime *runtime = cli_runtime(c, NULL);
  forge_device *device = runtime ? cli_device(runtime, cli_text(c, "device", NULL)) : NULL;
  int rc = CLI_FAILED;
  if (device) {
    const forge_status st = forge_convert(device, cli_arg(c, 0), cli_arg(c, 1), &o);
    if (progress.total) cli_progress_end(&progress, NULL);
    rc = st ? cli_failed(c, cli_arg(c, 0)) : print(c);
  }
  forge_device_close(device);
  forge_runtime_destroy(runtime);
  return rc;
}

const cli_command cmd_convert = {
    .name = "convert",
    .summary = "a model from one file format into another",
    .usage = "IN OUT [--type T] [--tokenizer FILE] [options]",
    .examples =
        "  forge convert stories.bin stories.gguf               # a llama2.c model as GGUF\n"
        "  forge convert llama/ llama-q8.gguf --type q8_0       # a Hugging Face folder, "
        "quantized\n"
        "  forge convert model.gguf out/ --type bf16            # a folder for transformers\n"
        "  forge convert m.bin m.gguf --tokenizer tok512.bin    # with a tokenizer from "
        "elsewhere\n",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run};
