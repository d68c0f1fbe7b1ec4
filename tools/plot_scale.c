/* plot_scale.c -- see plot.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plot.h"

static const double round_steps[] = {1, 2, 5, 10};

/* The round step nearest above |span| / |wanted|. */
static double round_step(double span, int wanted) {
  const double raw = span / wanted, power = pow(10, floor(log10(raw)));
  for (int i = 0; i < 4; i++)
    if (round_steps[i] * power >= raw * 0.999) return round_steps[i] * power;
  return 10 * power;
}

static void linear_ticks(plot_scale *s, int wanted, bool widen) {
  const double step = round_step(s->hi - s->lo, wanted);
  if (widen) {
    s->lo = floor(s->lo / step + 1e-9) * step;
    s->hi = ceil(s->hi / step - 1e-9) * step;
  }
  const int decimals = (int)-floor(log10(step) + 1e-9);
  s->decimals = decimals > 0 ? decimals : 0;
  const double first = ceil(s->lo / step - 1e-9);
  while (s->n_tick < PLOT_TICKS) {
    const double at = (first + s->n_tick) * step + 0.0; /* no -0 */
    if (at > s->hi + step * 1e-6) break;
    s->tick[s->n_tick++] = at;
  }
}

/* 1, 2 and 5 times each power of ten; round linear steps when less than a decade is shown. */
static void log_ticks(plot_scale *s, int wanted) {
  const double decades = log10(s->hi / s->lo);
  const int per_decade = decades > 4 ? 1 : 3;
  if (decades < 0.9) {
    linear_ticks(s, wanted, false);
    return;
  }
  s->decimals = -1;
  const int first = (int)floor(log10(s->lo)), last = (int)ceil(log10(s->hi));
  for (int e = first; e <= last; e++)
    for (int i = 0; i < per_decade && s->n_tick < PLOT_TICKS; i++) {
      const double at = round_steps[i] * pow(10, e);
      if (at >= s->lo * 0.999 && at <= s->hi * 1.001) s->tick[s->n_tick++] = at;
    }
}

void plot_scale_make(plot_scale *s, double lo, double hi, int wanted, bool log, bool widen) {
  memset(s, 0, sizeof *s);
  s->log = log;
  s->lo = lo;
  s->hi = hi;
  if (!(hi > lo)) {
    const double room = fabs(lo) > 0 ? fabs(lo) * 0.1 : 1;
    s->lo = log ? lo / 1.1 : lo - room;
    s->hi = log ? lo * 1.1 : lo + room;
  }
  if (log) {
    const double room = pow(s->hi / s->lo, 0.04);
    s->lo /= room;
    s->hi *= room;
    log_ticks(s, wanted);
  } else {
    linear_ticks(s, wanted, widen);
  }
}

double plot_scale_at(const plot_scale *s, double value) {
  if (s->log) return log(value / s->lo) / log(s->hi / s->lo);
  return (value - s->lo) / (s->hi - s->lo);
}

static void with_commas(double value, char out[32]) {
  char digits[32];
  snprintf(digits, sizeof digits, "%.0f", value);
  const int n = (int)strlen(digits), sign = digits[0] == '-';
  int at = 0;
  for (int i = 0; i < n && at < 30; i++) {
    if (i > sign && (n - i) % 3 == 0) out[at++] = ',';
    out[at++] = digits[i];
  }
  out[at] = 0;
}

void plot_scale_text(const plot_scale *s, double value, char out[32]) {
  if (fabs(value) >= 1e6)
    snprintf(out, 32, "%.4gM", value / 1e6);
  else if (s->decimals == 0)
    with_commas(value, out);
  else if (s->decimals < 0)
    snprintf(out, 32, "%g", value);
  else
    snprintf(out, 32, "%.*f", s->decimals, value);
}
