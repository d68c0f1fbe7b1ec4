/* cmd_inspect.c -- `forge inspect`: what is in a model, a tokenizer, a checkpoint or a capsule. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <forge/infer.h>
#include <forge/model.h>
#include <forge/state.h>

#include "cli.h"

static const cli_option options[] = {{NULL, NULL, NULL, false}};

/* Checkpoints and capsules say what they are in their first eight bytes; all else is the model
 * room's. */
static forge_status inspect(const char *path, char **out) {
  char magic[8] = "";
  FILE *in = fopen(path, "rb");
  if (in) {
    if (fread(magic, 1, sizeof magic, in) < sizeof magic) magic[0] = 0;
    fclose(in);
  }
  if (!memcmp(magic, "FORGECKP", 8)) return forge_checkpoint_inspect(path, out);
  if (!memcmp(magic, "FORGEKV", 8)) return forge_capsule_inspect(path, out);
  return forge_inspect(path, out);
}

static void print_shape(const json_t *shape) {
  char text[96] = "";
  size_t used = 0;
  for (size_t i = 0; i < json_array_size(shape) && used < sizeof text - 24; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%" JSON_INTEGER_FORMAT,
                             i ? " x " : "", json_integer_value(json_array_get(shape, i)));
  printf("%-18s", text);
}

static void print_tensors(const json_t *tensors) {
  size_t widest = 4, i;
  const json_t *t;
  char bytes[32];
  json_array_foreach(tensors, i, t) {
    const char *name = json_string_value(json_object_get(t, "name"));
    if (name && strlen(name) > widest) widest = strlen(name);
  }
  printf("\n%-*s  %-6s  %-18s  %12s  %s\n", (int)widest, "name", "type", "shape", "offset", "size");
  json_array_foreach(tensors, i, t) {
    const char *name = json_string_value(json_object_get(t, "name"));
    const char *type = json_string_value(json_object_get(t, "type"));
    printf("%-*s  %-6s  ", (int)widest, name ? name : "?", type ? type : "blob");
    print_shape(json_object_get(t, "shape"));
    printf("  %12" JSON_INTEGER_FORMAT "  %s\n", json_integer_value(json_object_get(t, "offset")),
           cli_bytes((uint64_t)json_integer_value(json_object_get(t, "bytes")), bytes));
  }
}

/* "count 32000: a, b, c" for what forge_inspect() made of a long array. */
static void print_array(const json_t *value) {
  const json_t *item;
  size_t i;
  printf("%" JSON_INTEGER_FORMAT " x %s:", json_integer_value(json_object_get(value, "count")),
         json_string_value(json_object_get(value, "array_of")));
  json_array_foreach(json_object_get(value, "first"), i, item) {
    char *text = json_dumps(item, JSON_ENCODE_ANY);
    printf(" %s", text ? text : "?");
    free(text);
  }
  printf(" ..\n");
}

static void print_value(const char *key, const json_t *value, int depth) {
  if (json_is_object(value) && !json_object_get(value, "array_of")) {
    const char *name;
    json_t *member;
    printf("%*s%s:\n", depth * 2, "", key);
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
        print_value(name, member, depth + 1);
    return;
  }
  printf("%*s%s: ", depth * 2, "", key);
  if (json_is_object(value)) {
    print_array(value);
  } else if (json_is_string(value)) {
    printf("%s\n", json_string_value(value));
  } else {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    printf("%s\n", text ? text : "?");
    free(text);
  }
}

static int print(cli *c, const char *encoded) {
  const char *key;
  json_t *value, *o = json_loads(encoded, 0, NULL);
  if (cli_json(c) || !o) {
    puts(encoded);
  } else {
    const json_t *listed = json_object_get(o, "tensors");
    if (!listed) listed = json_object_get(o, "items"); /* a checkpoint's: tensors and blobs */
    json_object_foreach(o, key, value) if (value != listed) print_value(key, value, 0);
    if (json_array_size(listed)) print_tensors(listed);
  }
  const char *verdict = json_string_value(json_object_get(o, "verdict")); /* a capsule's */
  const int rc = verdict && strcmp(verdict, "intact") != 0 ? CLI_FAILED : CLI_OK;
  json_decref(o);
  return rc;
}

static int run(cli *c) {
  char *encoded;
  if (inspect(cli_arg(c, 0), &encoded)) return cli_failed(c, cli_arg(c, 0));
  const int rc = print(c, encoded);
  forge_text_free(encoded);
  return rc;
}

const cli_command cmd_inspect = {
    .name = "inspect",
    .summary = "what is in a model, a tokenizer, a checkpoint or a capsule",
    .usage = "FILE [--json]",
    .examples = "  forge inspect model.gguf               # keys, tensors, what Forge makes of it\n"
                "  forge inspect runs/a/checkpoints/step-00000000000000002000.fck\n"
                "  forge inspect model/ --json | jq .model\n",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run};
