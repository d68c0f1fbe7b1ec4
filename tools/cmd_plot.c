/* cmd_plot.c -- `forge plot`: the loss of one run or several over their steps, as a picture. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "plot.h"

enum { MAX_RUNS = 16 };

static const cli_option options[] = {
    {"out", "FILE", "picture to write, .png or .svg (default: loss.png)", false},
    {"log-y", NULL, "logarithmic loss axis", false},
    {"smooth", NULL, "draw a running mean over the training loss", false},
    {"title", "TEXT", "headline (default: Loss)", false},
    {NULL, NULL, NULL, false}};

typedef struct runs {
  plot_curve curve[2 * MAX_RUNS];
  size_t n;
} runs;

static bool add_point(plot_curve *curve, double x, double y) {
  if (!(curve->n & (curve->n - 1))) { /* full at each power of two */
    plot_point *more = realloc(curve->point, (curve->n ? 2 * curve->n : 1) * sizeof *more);
    if (!more) return false;
    curve->point = more;
  }
  curve->point[curve->n++] = (plot_point){x, y};
  return true;
}

static bool add_value(plot_curve *curve, const json_t *o, const char *key, bool log_y) {
  const json_t *step = json_object_get(o, "step"), *value = json_object_get(o, key);
  if (!json_is_number(step) || !json_is_number(value)) return true;
  const double x = json_number_value(step), y = json_number_value(value);
  if (!isfinite(y) || (log_y && y <= 0) || (curve->n && x <= curve->point[curve->n - 1].x))
    return true;
  return add_point(curve, x, y);
}

static bool read_lines(FILE *f, plot_curve *train, plot_curve *validation, bool log_y) {
  char *line = NULL;
  size_t cap = 0;
  ssize_t n;
  bool good = true;
  while (good && (n = getline(&line, &cap, f)) > 0) {
    json_t *o = json_loadb(line, (size_t)n, 0, NULL);
    good = add_value(train, o, "loss", log_y) && add_value(validation, o, "validation_loss", log_y);
    json_decref(o);
  }
  free(line);
  return good && !ferror(f);
}

/* "runs/a/" and "runs/a/metrics.jsonl" are called "a". */
static void run_name(const char *path, char *out, size_t n) {
  char copy[4096];
  snprintf(copy, sizeof copy, "%s", path);
  for (size_t end = strlen(copy); end > 1 && copy[end - 1] == '/'; end--) copy[end - 1] = 0;
  char *slash = strrchr(copy, '/');
  if (slash && !strcmp(slash + 1, "metrics.jsonl")) {
    *slash = 0;
    slash = strrchr(copy, '/');
  }
  snprintf(out, n, "%s", slash ? slash + 1 : copy);
}

static FILE *open_metrics(const char *path) {
  char inside[4096];
  struct stat info;
  if (stat(path, &info) || !S_ISDIR(info.st_mode)) return fopen(path, "rbe");
  if (snprintf(inside, sizeof inside, "%s/metrics.jsonl", path) >= (int)sizeof inside) return NULL;
  return fopen(inside, "rbe");
}

/* A curve without points would only fill the legend. */
static void keep(runs *r, const plot_curve *curve) {
  if (curve->n) r->curve[r->n++] = *curve;
}

static bool load_run(const cli *c, const char *path, int number, bool alone, runs *r) {
  char name[100];
  FILE *f = open_metrics(path);
  if (!f) {
    fprintf(stderr,
            "forge plot: %s: no metrics can be read there: give a run's folder or its "
            "metrics.jsonl\n",
            path);
    return false;
  }
  plot_curve train = {.style = PLOT_LINE, .colour = alone ? 0 : number},
             validation = {.style = PLOT_MARKED, .colour = alone ? 1 : number};
  run_name(path, name, sizeof name);
  snprintf(train.name, sizeof train.name, "%s%straining", alone ? "" : name, alone ? "" : ", ");
  snprintf(validation.name, sizeof validation.name, "%s%svalidation", alone ? "" : name,
           alone ? "" : ", ");
  const bool good = read_lines(f, &train, &validation, cli_flag(c, "log-y"));
  const bool empty = !train.n;
  fclose(f);
  keep(r, &train);
  keep(r, &validation);
  if (good && !empty) return true;
  fprintf(stderr, "forge plot: %s: holds no loss to draw%s\n", path,
          good ? "; has the run logged a step yet?" : "");
  return false;
}

static void print_json(const char *path, size_t curves) {
  json_t *o = json_pack("{ss, sI}", "out", path, "curves", (json_int_t)curves);
  if (o && !json_dumpf(o, stdout, 0)) putchar('\n');
  json_decref(o);
}

static int write_picture(const cli *c, const runs *r) {
  const char *path = cli_text(c, "out", "loss.png");
  const plot p = {.title = cli_text(c, "title", "Loss"),
                  .x_label = "step",
                  .y_label = "loss (nats per token)",
                  .curve = r->curve,
                  .n = r->n,
                  .log_y = cli_flag(c, "log-y"),
                  .smooth = cli_flag(c, "smooth")};
  const char *why = plot_write(&p, path);
  if (!why) {
    if (cli_json(c)) print_json(path, r->n);
    return CLI_OK;
  }
  fprintf(stderr, "forge plot: %s: %s\n", path, why);
  return CLI_FAILED;
}

static bool is_picture(const char *path) {
  const size_t n = strlen(path);
  return n > 4 && (!strcmp(path + n - 4, ".png") || !strcmp(path + n - 4, ".svg"));
}

static int run(cli *c) {
  runs r = {.n = 0};
  const char *out = cli_text(c, "out", "loss.png");
  if (!is_picture(out)) return cli_usage(c, "--out %s: must end in .png or .svg", out);
  uint32_t n = 0;
  bool good = true;
  while (cli_arg(c, n)) n++;
  for (uint32_t i = 0; i < n && good; i++) good = load_run(c, cli_arg(c, i), (int)i, n == 1, &r);
  const int rc = good ? write_picture(c, &r) : CLI_FAILED;
  for (size_t i = 0; i < r.n; i++) free(r.curve[i].point);
  return rc;
}

const cli_command cmd_plot = {
    .name = "plot",
    .summary = "draw the loss curves of training runs",
    .usage = "RUN [RUN ...] [--out FILE.png|FILE.svg] [--log-y] [--smooth]",
    .examples = "  forge plot runs/book --out loss.png          # one run\n"
                "  forge plot runs/a runs/b --out both.svg      # several, compared\n"
                "  forge plot runs/book/metrics.jsonl --smooth --log-y\n",
    .options = options,
    .min_args = 1,
    .max_args = MAX_RUNS,
    .run = run,
};
