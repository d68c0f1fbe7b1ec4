/* run.c -- the folder of a run: its settings, its checkpoints, where it goes on. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "file.h"
#include "trainer.h"

static forge_status read_given(const forge_trainer_options *options, train_settings *s) {
  if (options->config_path) TRY(train_settings_file(s, options->config_path));
  for (const char *const *o = options->overrides; o && *o; o++)
    TRY(train_settings_text(s, *o, "option"));
  return FORGE_OK;
}

static forge_status read_recorded(const char *path, train_settings *s, const char *out) {
  TRY(train_settings_init(s));
  forge_status st = train_settings_file(s, path);
  if (st == FORGE_E_NOT_FOUND)
    st = FAIL(FORGE_E_NOT_FOUND, "%s: there is no run to resume; start it without resume", out);
  if (st) train_settings_finish(s);
  return st;
}

/* Only what was said anew is compared: what is left out is as recorded. */
static forge_status merge_recorded(const char *path, train_settings *s) {
  train_settings recorded;
  TRY(read_recorded(path, &recorded, s->out));
  s->given[TRAIN_KEY_out] = true; /* a run may have been moved */
  const forge_status st = train_settings_merge(&recorded, s);
  if (st) {
    train_settings_finish(&recorded);
    return st;
  }
  train_settings_finish(s);
  *s = recorded;
  return FORGE_OK;
}

static forge_status settle(train_settings *s, bool resume) {
  if (!*s->out) return FAIL(FORGE_E_CONFIG, "out is empty; name the folder of the run");
  char *path = file_join(s->out, "config");
  if (!path) return FAIL(FORGE_E_OOM, "%s: no memory", s->out);
  forge_status st = FORGE_OK;
  /* 0 stands for "as first started", which is what is recorded */
  if (!s->decay_steps) s->given[TRAIN_KEY_decay_steps] = false;
  if (resume)
    st = merge_recorded(path, s);
  else if (file_exists(path))
    st = FAIL(FORGE_E_EXISTS, "%s: a run is in this folder; resume it, or name another folder",
              s->out);
  mem_free(path);
  if (st) return st;
  if (!s->decay_steps) s->decay_steps = s->steps;
  if (!resume && !s->given[TRAIN_KEY_warmup] && s->warmup > s->decay_steps / 10)
    s->warmup = s->decay_steps / 10;
  if (s->warmup >= s->decay_steps && strcmp(s->schedule, "constant") != 0)
    return FAIL(FORGE_E_CONFIG,
                "warmup (%" PRIu64 ") must be less than decay_steps (%" PRIu64
                "), which is steps unless it is given",
                s->warmup, s->decay_steps);
  return FORGE_OK;
}

forge_status run_settings(const forge_trainer_options *options, train_settings *out) {
  TRY(train_settings_init(out));
  forge_status st = read_given(options, out);
  if (!st) st = settle(out, options->flags & FORGE_TRAIN_RESUME);
  if (st) train_settings_finish(out);
  return st;
}

static forge_status record(forge_trainer *t) {
  char *path = file_join(t->s.out, "config"), *s = train_settings_write(&t->s);
  file_writer w = {0};
  forge_status st =
      path && s ? file_writer_open(path, &w) : FAIL(FORGE_E_OOM, "%s: no memory", t->s.out);
  if (!st && fputs(s, w.stream) < 0) st = base_fail_errno(FORGE_E_IO, "%s", path);
  if (!st)
    st = file_writer_commit(&w);
  else
    file_writer_abandon(&w);
  mem_free(path);
  mem_free(s);
  return st;
}

static forge_status check_cursor(const forge_trainer *t, const char *cursor, uint64_t bytes) {
  json_t *o = json_loadb(cursor, bytes, 0, NULL);
  const char *data = json_string_value(json_object_get(o, "data"));
  forge_status st = FORGE_OK;
  if (!data)
    st = FAIL(FORGE_E_CORRUPT, "the checkpoint's cursor names no data");
  else if (strcmp(data, t->data.identity) != 0)
    st = FAIL(FORGE_E_MISMATCH, "the run was started with other data; give it the same text and "
                                "tokenizer, or start a new run in another folder");
  json_decref(o);
  return st;
}

static forge_status take_over(forge_trainer *t, forge_restore *restore) {
  char *cursor;
  uint64_t bytes;
  TRY(forge_restore_blob(restore, "cursor", &cursor, &bytes));
  const forge_status st = check_cursor(t, cursor, bytes);
  forge_text_free(cursor);
  TRY(st);
  TRY(train_params_restore(&t->params, restore));
  t->step = t->saved_step = forge_restore_step(restore);
  t->resumed = true;
  t->note = mem_strdup(forge_restore_note(restore));
  return t->note ? FORGE_OK : FAIL(FORGE_E_OOM, "resume: no memory");
}

/* A run killed before its first checkpoint begins again; one whose checkpoints are all damaged does
 * not, silently. */
static forge_status restore_newest(forge_trainer *t) {
  forge_restore *restore;
  uint64_t n;
  TRY(forge_store_steps(t->store, NULL, 0, &n));
  if (!n) return FORGE_OK;
  TRY(forge_restore_open(t->store, FORGE_STEP_NEWEST, &restore));
  const forge_status st = take_over(t, restore);
  forge_restore_close(restore);
  return st ? base_fail_in(st, "%s", t->s.out) : FORGE_OK;
}

static forge_status open_store(forge_trainer *t) {
  const forge_store_options options = {.size = sizeof options,
                                       .keep = (uint32_t)t->s.checkpoint_keep};
  char *path = file_join(t->s.out, "checkpoints");
  if (!path) return FAIL(FORGE_E_OOM, "%s: no memory", t->s.out);
  const forge_status st = forge_store_open(path, &options, &t->store);
  mem_free(path);
  return st;
}

forge_status run_open(forge_trainer *t, bool resume) {
  TRY(open_store(t));
  if (resume) TRY(restore_newest(t));
  TRY(record(t));
  return metrics_open(t->s.out, t->step, &t->metrics);
}

static char *cursor_text(const forge_trainer *t) {
  return mem_printf("{\"step\": %" PRIu64 ", \"seed\": %" PRIu64 ", \"tokens\": %" PRIu64
                    ", \"data\": \"%s\"}",
                    t->step, t->s.seed, t->data.n, t->data.identity);
}

static forge_status put_blob(forge_checkpoint *c, const char *name, char *s) {
  const forge_status st =
      s ? forge_checkpoint_blob(c, name, s, strlen(s)) : FAIL(FORGE_E_OOM, "checkpoint: no memory");
  mem_free(s);
  return st;
}

forge_status run_save(forge_trainer *t) {
  forge_checkpoint *c;
  TRY(forge_checkpoint_begin(t->store, t->step, &c));
  forge_status st = train_params_save(&t->params, c);
  if (!st) st = put_blob(c, "cursor", cursor_text(t));
  if (!st) st = put_blob(c, "config", train_settings_write(&t->s));
  if (st) {
    forge_checkpoint_abort(c);
    return st;
  }
  TRY(forge_checkpoint_commit(c));
  t->saved_step = t->step;
  return FORGE_OK;
}
