/* hf_names.c -- see hf_names.h. One table per convention. */
#include "hf_names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct pair {
  const char *theirs, *ours; /* of a layer: behind the layer's prefix */
  bool transposed;
} pair;

typedef struct table {
  const char *root;  /* may stand before every name */
  const char *layer; /* before a layer's number */
  const pair *tops, *layers;
} table;

static const pair llama_tops[] = {{"model.embed_tokens", "token_embd", false},
                                  {"model.norm", "output_norm", false},
                                  {"lm_head", "output", false},
                                  {NULL, NULL, false}};
static const pair llama_layers[] = {{"input_layernorm", "attn_norm", false},
                                    {"self_attn.q_proj", "attn_q", false},
                                    {"self_attn.k_proj", "attn_k", false},
                                    {"self_attn.v_proj", "attn_v", false},
                                    {"self_attn.o_proj", "attn_output", false},
                                    {"post_attention_layernorm", "ffn_norm", false},
                                    {"mlp.gate_proj", "ffn_gate", false},
                                    {"mlp.up_proj", "ffn_up", false},
                                    {"mlp.down_proj", "ffn_down", false},
                                    {"self_attn.rotary_emb", NULL, false},
                                    {NULL, NULL, false}};
static const pair meta_tops[] = {{"tok_embeddings", "token_embd", false},
                                 {"norm", "output_norm", false},
                                 {"output", "output", false},
                                 {"rope", NULL, false},
                                 {NULL, NULL, false}};
static const pair meta_layers[] = {
    {"attention_norm", "attn_norm", false}, {"attention.wq", "attn_q", false},
    {"attention.wk", "attn_k", false},      {"attention.wv", "attn_v", false},
    {"attention.wo", "attn_output", false}, {"ffn_norm", "ffn_norm", false},
    {"feed_forward.w1", "ffn_gate", false}, {"feed_forward.w3", "ffn_up", false},
    {"feed_forward.w2", "ffn_down", false}, {NULL, NULL, false}};
static const pair gpt2_tops[] = {{"wte", "token_embd", false},
                                 {"wpe", "position_embd", false},
                                 {"ln_f", "output_norm", false},
                                 {"lm_head", "output", false},
                                 {NULL, NULL, false}};
static const pair gpt2_layers[] = {
    {"ln_1", "attn_norm", false},
    {"attn.c_attn", "attn_qkv", true},
    {"attn.c_proj", "attn_output", true},
    {"ln_2", "ffn_norm", false},
    {"mlp.c_fc", "ffn_up", true},
    {"mlp.c_proj", "ffn_down", true},
    {"attn", NULL, false}, /* attn.bias, attn.masked_bias: the causal mask */
    {NULL, NULL, false}};

static const table tables[] = {
    [HF_NAMES_LLAMA] = {"", "model.layers.", llama_tops, llama_layers},
    [HF_NAMES_META] = {"", "layers.", meta_tops, meta_layers},
    [HF_NAMES_GPT2] = {"transformer.", "h.", gpt2_tops, gpt2_layers},
};

int hf_convention_of(const char *name) {
  if (!strcmp(name, "model.embed_tokens.weight")) return HF_NAMES_LLAMA;
  if (!strcmp(name, "tok_embeddings.weight")) return HF_NAMES_META;
  if (!strcmp(name, "wte.weight") || !strcmp(name, "transformer.wte.weight")) return HF_NAMES_GPT2;
  return HF_NAMES_UNKNOWN;
}

static const char *behind(const char *name, const char *prefix) {
  const size_t n = strlen(prefix);
  return strncmp(name, prefix, n) ? NULL : name + n;
}

static bool is_parameter(const char *suffix) {
  return !strcmp(suffix, ".weight") || !strcmp(suffix, ".bias");
}

/* The row of |pairs| whose name |name| begins with, and what follows it. */
static const pair *match(const pair *pairs, const char *name, const char **suffix) {
  for (; pairs->theirs; pairs++) {
    *suffix = behind(name, pairs->theirs);
    if (*suffix && **suffix == '.' && (!pairs->ours || is_parameter(*suffix))) return pairs;
  }
  return NULL;
}

/* At most five digits, so that a layer's canonical name always fits. */
static const char *behind_number(const char *name, unsigned *number) {
  const char *p = name;
  *number = 0;
  while (isdigit((unsigned char)*p) && p - name < 5)
    *number = *number * 10 + (unsigned)(*p++ - '0');
  return p > name && *p == '.' ? p + 1 : NULL;
}

int hf_to_canonical(int convention, const char *name, char out[MODEL_NAME_BYTES]) {
  const table *t = &tables[convention];
  const char *suffix, *rest = behind(name, t->root);
  unsigned layer;
  if (rest) name = rest;
  const char *in_layer = behind(name, t->layer);
  if (in_layer) in_layer = behind_number(in_layer, &layer);
  const pair *p = in_layer ? match(t->layers, in_layer, &suffix) : match(t->tops, name, &suffix);
  if (!p) return HF_NAME_UNKNOWN;
  if (!p->ours) return HF_NAME_IGNORED;
  if (in_layer)
    snprintf(out, MODEL_NAME_BYTES, "blk.%u.%s%s", layer, p->ours, suffix);
  else
    snprintf(out, MODEL_NAME_BYTES, "%s%s", p->ours, suffix);
  return HF_NAME_KNOWN;
}

static const pair *match_ours(const pair *pairs, const char *name, const char **suffix) {
  for (; pairs->theirs; pairs++) {
    *suffix = pairs->ours ? behind(name, pairs->ours) : NULL;
    if (*suffix && is_parameter(*suffix)) return pairs;
  }
  return NULL;
}

bool hf_from_canonical(int convention, const char *name, char out[128]) {
  const table *t = &tables[convention];
  const char *suffix, *in_layer = behind(name, "blk.");
  unsigned layer = 0;
  if (in_layer) in_layer = behind_number(in_layer, &layer);
  const pair *p = match_ours(in_layer ? t->layers : t->tops, in_layer ? in_layer : name, &suffix);
  if (!p) return false;
  const bool rooted = strcmp(p->ours, "output") != 0;
  if (in_layer)
    snprintf(out, 128, "%s%s%u.%s%s", t->root, t->layer, layer, p->theirs, suffix);
  else
    snprintf(out, 128, "%s%s%s", rooted ? t->root : "", p->theirs, suffix);
  return true;
}

bool hf_is_transposed(int convention, const char *canonical) {
  const char *suffix, *in_layer = behind(canonical, "blk.");
  unsigned layer;
  if (in_layer) in_layer = behind_number(in_layer, &layer);
  const pair *p = in_layer ? match_ours(tables[convention].layers, in_layer, &suffix) : NULL;
  return p && p->transposed && !strcmp(suffix, ".weight");
}
