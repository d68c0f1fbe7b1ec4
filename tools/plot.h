/* plot.h -- curves on paper: axes, ticks, grid, legend, drawn with cairo to a PNG or an SVG. */
#ifndef FORGE_PLOT_H
#define FORGE_PLOT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct plot_point {
  double x, y;
} plot_point;

enum { PLOT_LINE, PLOT_MARKED }; /* MARKED: heavier, a dot at each point */

typedef struct plot_curve {
  char name[160];
  plot_point *point; /* [n], x rising */
  size_t n;
  int style;  /* PLOT_LINE .. */
  int colour; /* any number; equal ones share a colour */
} plot_curve;

typedef struct plot {
  const char *title, *x_label, *y_label;
  const plot_curve *curve;
  size_t n;
  bool log_y;  /* all y are above 0 */
  bool smooth; /* LINE curves: a running mean in front of a pale original */
} plot;

/* Writes |path| (.svg, else PNG). NULL, or what went wrong. */
const char *plot_write(const plot *p, const char *path);

/* ---- scales (plot_scale.c) ---- */

enum { PLOT_TICKS = 24 };
typedef struct plot_scale {
  double lo, hi; /* data at the ends of the axis */
  bool log;
  int n_tick, decimals;
  double tick[PLOT_TICKS];
} plot_scale;

/* An axis from |lo| to |hi| with about |wanted| ticks at round numbers. |widen|: the ends go out to
 * whole ticks. */
void plot_scale_make(plot_scale *s, double lo, double hi, int wanted, bool log, bool widen);
/* 0 at the low end, 1 at the high one. */
double plot_scale_at(const plot_scale *s, double value);
/* A tick as text: "0.25", "2,000", "1.5M". */
void plot_scale_text(const plot_scale *s, double value, char out[32]);

#endif
