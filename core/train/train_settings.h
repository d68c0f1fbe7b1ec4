/* train_settings.h -- what a training run is told: one row per key, read from a libconfig file and
 * from "key=value" texts, written down beside the run. */
#ifndef FORGE_TRAIN_SETTINGS_H
#define FORGE_TRAIN_SETTINGS_H

#include "base.h"

/* X(type, name, default, least, most, may change on resume, choices, help) */
/* clang-format off */
#define TRAIN_KEYS(X) \
  X(TEXT, text, "", 0, 0, 1, NULL, "text file to learn from, any bytes") \
  X(TEXT, tokens, "", 0, 0, 1, NULL, "file of token numbers to learn from, instead of text") \
  X(TEXT, tokens_type, "u16", 0, 0, 0, "u16|u32", "how the numbers in that file are stored, little-endian") \
  X(TEXT, tokenizer, "", 0, 0, 0, NULL, "char, byte, bpe:N (made from the text), or a tokenizer file or folder; empty: the model's own, else char") \
  X(REAL, validation, "0.1", 0, 0.5, 0, NULL, "share of the data, its end, kept for validation") \
  X(TEXT, weights, "", 0, 0, 1, NULL, "model file or folder to start from; its shape wins over the keys below") \
  X(TEXT, family, "llama", 0, 0, 0, "llama|gpt2", "model family when starting from nothing") \
  X(COUNT, n_layer, "4", 1, 1000, 0, NULL, "layers") \
  X(COUNT, n_head, "4", 1, 65536, 0, NULL, "attention heads") \
  X(COUNT, n_kv_head, "0", 0, 65536, 0, NULL, "heads of keys and values; 0: as many as n_head") \
  X(COUNT, n_embd, "128", 1, 1048576, 0, NULL, "width") \
  X(COUNT, n_ff, "0", 0, 4194304, 0, NULL, "width of the feed-forward part; 0: 8/3 of n_embd in llama, 4 times in gpt2, to a multiple of 32") \
  X(COUNT, n_vocab, "0", 0, 16777216, 0, NULL, "vocabulary; 0: the tokenizer's, else the largest token number + 1") \
  X(FLAG, tied_head, "true", 0, 0, 0, NULL, "the output matrix is the token embedding") \
  X(FLAG, bias, "true", 0, 0, 0, NULL, "gpt2: biases on projections and norms") \
  X(REAL, norm_eps, "1e-5", 0, 1, 0, NULL, "added to the variance in norms") \
  X(REAL, rope_base, "10000", 1, 1e12, 0, NULL, "llama: base of the rotary angles") \
  X(COUNT, context, "64", 1, 16777216, 0, NULL, "tokens in a row") \
  X(COUNT, batch, "12", 1, 1048576, 0, NULL, "rows in one forward pass") \
  X(COUNT, accumulation, "1", 1, 1048576, 0, NULL, "forward passes summed into one update") \
  X(COUNT, steps, "2000", 1, 1e15, 1, NULL, "updates") \
  X(REAL, lr, "1e-3", 0, 10, 0, NULL, "highest learning rate") \
  X(REAL, min_lr, "1e-4", 0, 10, 0, NULL, "learning rate at the end of the schedule") \
  X(TEXT, schedule, "cosine", 0, 0, 0, "cosine|linear|constant", "course of the learning rate after the warm-up") \
  X(COUNT, warmup, "100", 0, 1e15, 0, NULL, "steps in which the learning rate rises to lr; not given: at most a tenth of decay_steps") \
  X(COUNT, decay_steps, "0", 0, 1e15, 0, NULL, "step at which min_lr is reached; 0: steps, as first started") \
  X(REAL, beta1, "0.9", 0, 0.999999, 0, NULL, "AdamW: memory of the first moment") \
  X(REAL, beta2, "0.99", 0, 0.999999, 0, NULL, "AdamW: memory of the second moment") \
  X(REAL, eps, "1e-8", 1e-30, 1, 0, NULL, "AdamW: added to the root of the second moment") \
  X(REAL, weight_decay, "0.1", 0, 10, 0, NULL, "AdamW: decay of matrices; vectors have none") \
  X(REAL, clip, "1.0", 0, 1e9, 0, NULL, "largest norm of the gradient; 0: no limit") \
  X(TEXT, dtype, "f32", 0, 0, 0, "f32|bf16", "what the inputs of matrix products are rounded to; weights and sums stay f32") \
  X(COUNT, seed, "1", 0, 9e15, 0, NULL, "decides initial weights and the order of the data") \
  X(TEXT, out, "run", 0, 0, 1, NULL, "folder of the run") \
  X(COUNT, log_interval, "10", 1, 1e15, 1, NULL, "steps between lines in the metrics") \
  X(COUNT, eval_interval, "250", 0, 1e15, 1, NULL, "steps between validations; 0: only at the end") \
  X(COUNT, eval_batches, "20", 1, 1048576, 0, NULL, "batches of one validation") \
  X(COUNT, checkpoint_interval, "250", 0, 1e15, 1, NULL, "steps between checkpoints; 0: only at the end and on a stop") \
  X(COUNT, checkpoint_keep, "2", 1, 1000000, 1, NULL, "newest checkpoints kept") \
  X(TEXT, export, "folder", 0, 0, 1, "folder|gguf|none", "the finished model: OUT/model (Hugging Face), OUT/model.gguf, or none") \
  X(REAL, peak_flops, "0", 0, 1e18, 1, NULL, "device's peak in flop/s, for MFU; 0: measured at the start with a matrix product")
/* clang-format on */

typedef char *train_TEXT;
typedef uint64_t train_COUNT;
typedef double train_REAL;
typedef bool train_FLAG;

#define TRAIN_NUMBER_(type, name, ...) TRAIN_KEY_##name,
enum { TRAIN_KEYS(TRAIN_NUMBER_) TRAIN_N_KEYS };

#define TRAIN_FIELD_(type, name, ...) train_##type name;
typedef struct train_settings {
  TRAIN_KEYS(TRAIN_FIELD_)
  bool given[TRAIN_N_KEYS]; /* said by a file or a text, not by default */
} train_settings;

/* All defaults. */
forge_status train_settings_init(train_settings *s);
void train_settings_finish(train_settings *s);
/* A libconfig file. Fails: E_CONFIG (file, line, key, nearest key or allowed range), E_IO. */
forge_status train_settings_file(train_settings *s, const char *path);
/* One "key=value"; |origin| for messages ("--option"). */
forge_status train_settings_text(train_settings *s, const char *pair, const char *origin);
/* One key by its number in the table, from text. */
forge_status train_settings_set(train_settings *s, uint32_t key, const char *value,
                                const char *origin);
/* The number of a key; E_CONFIG with the nearest name. */
forge_status train_settings_find(const char *name, const char *origin, uint32_t *out_key);

/* The file that says the same; the caller's (mem_free). */
char *train_settings_write(const train_settings *s);
/* For resume: |recorded| with what |s| was given; E_MISMATCH naming a key that may not change. */
forge_status train_settings_merge(train_settings *recorded, const train_settings *s);

#endif
