/* metrics.c -- see metrics.h. */
#include "metrics.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/time.h>

#include "file.h"

enum { MAX_METRICS = 1 << 30 };

/* The step of one line, false for what is none of ours. */
static bool line_step(const char *line, size_t n, uint64_t *out_step) {
  json_t *o = json_loadb(line, n, 0, NULL);
  const json_t *step = json_object_get(o, "step");
  const bool good = json_is_integer(step) && json_integer_value(step) >= 0;
  if (good) *out_step = (uint64_t)json_integer_value(step);
  json_decref(o);
  return good;
}

static forge_status keep_until(file_writer *w, const char *s, uint64_t step) {
  for (const char *end; (end = strchr(s, '\n')); s = end + 1) {
    uint64_t at = 0;
    const size_t n = (size_t)(end - s) + 1;
    if (!line_step(s, n, &at) || at > step) continue;
    if (fwrite(s, 1, n, w->stream) != n) return base_fail_errno(FORGE_E_IO, "%s", w->path);
  }
  return FORGE_OK;
}

static forge_status cut(const char *path, uint64_t step) {
  char *s;
  uint64_t bytes;
  if (!file_exists(path)) return FORGE_OK;
  TRY(file_read(path, MAX_METRICS, &s, &bytes));
  file_writer w = {0};
  forge_status st = file_writer_open(path, &w);
  if (!st) st = keep_until(&w, s, step);
  if (!st)
    st = file_writer_commit(&w);
  else
    file_writer_abandon(&w);
  mem_free(s);
  return st;
}

forge_status metrics_open(const char *folder, uint64_t step, metrics *out) {
  *out = (metrics){.path = file_join(folder, "metrics.jsonl")};
  if (!out->path) return FAIL(FORGE_E_OOM, "%s: no memory", folder);
  forge_status st = cut(out->path, step);
  if (!st && !(out->lines = fopen(out->path, "abe")))
    st = base_fail_errno(FORGE_E_IO, "%s: cannot be written", out->path);
  if (!st) st = events_open(folder, step + 1, &out->events);
  if (st) metrics_close(out);
  return st;
}

void metrics_close(metrics *m) {
  if (m->lines) fclose(m->lines);
  events_close(&m->events);
  mem_free(m->path);
  *m = (metrics){0};
}

static double now(void) {
  struct timeval t;
  gettimeofday(&t, NULL);
  return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static void add(text *t, const char *key, int digits, double value) {
  if (isfinite(value))
    text_add(t, ", \"%s\": %.*g", key, digits, value);
  else
    text_add(t, ", \"%s\": null", key);
}

/* Losses with the nine digits that name a float exactly. */
static char *line(const forge_train_report *r, double time) {
  text t = {0};
  text_add(&t, "{\"step\": %llu", (unsigned long long)r->step);
  add(&t, "loss", 9, r->loss);
  if (r->flags & FORGE_TRAIN_EVALUATED) add(&t, "validation_loss", 9, r->validation_loss);
  add(&t, "lr", 6, r->lr);
  add(&t, "grad_norm", 9, r->grad_norm);
  add(&t, "tokens", 15, (double)r->tokens);
  add(&t, "tokens_per_second", 6, r->tokens_per_second);
  add(&t, "mfu", 4, r->mfu);
  add(&t, "seconds", 6, r->seconds);
  add(&t, "time", 14, time);
  text_add(&t, "}\n");
  return text_take(&t);
}

static forge_status write_events(metrics *m, const forge_train_report *r, double time) {
  TRY(events_scalar(&m->events, r->step, time, "loss/train", r->loss));
  if (r->flags & FORGE_TRAIN_EVALUATED)
    TRY(events_scalar(&m->events, r->step, time, "loss/validation", r->validation_loss));
  TRY(events_scalar(&m->events, r->step, time, "train/lr", r->lr));
  TRY(events_scalar(&m->events, r->step, time, "train/grad_norm", r->grad_norm));
  TRY(events_scalar(&m->events, r->step, time, "speed/tokens_per_second", r->tokens_per_second));
  return events_scalar(&m->events, r->step, time, "speed/mfu", r->mfu);
}

forge_status metrics_write(metrics *m, const forge_train_report *r) {
  const double time = now();
  char *s = line(r, time);
  if (!s) return FAIL(FORGE_E_OOM, "%s: no memory", m->path);
  forge_status st = FORGE_OK;
  if (fputs(s, m->lines) < 0 || fflush(m->lines))
    st = base_fail_errno(FORGE_E_IO, "%s: writing the metrics", m->path);
  mem_free(s);
  return st ? st : write_events(m, r, time);
}
