/* plot.c -- see plot.h. Sizes are in points of a 960 x 600 sheet; a PNG has two pixels to each. */
#include "plot.h"

#include <cairo-svg.h>
#include <cairo.h>
#include <fontconfig/fontconfig.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 960, HEIGHT = 600, LEFT = 78, RIGHT = 74, TOP = 62, BOTTOM = 64, PIXELS = 2 };
enum { MAX_END_LABELS = 16 };

typedef struct colour {
  double r, g, b;
} colour;

/* Told apart by colour-blind eyes too (after Okabe and Ito), dark enough for thin lines. */
static const colour palette[] = {{0.10, 0.40, 0.70}, {0.84, 0.37, 0.00}, {0.00, 0.55, 0.43},
                                 {0.72, 0.30, 0.56}, {0.55, 0.45, 0.05}, {0.25, 0.25, 0.25}};
static const colour ink = {0.13, 0.15, 0.18}, grey = {0.42, 0.45, 0.50}, grid = {0.90, 0.91, 0.93};

typedef struct sheet {
  cairo_t *c;
  const plot *p;
  plot_scale x, y;
} sheet;

static void use(cairo_t *c, colour k, double alpha) {
  cairo_set_source_rgba(c, k.r, k.g, k.b, alpha);
}

static colour colour_of(const plot_curve *curve) {
  return palette[(size_t)curve->colour % (sizeof palette / sizeof *palette)];
}

static double px(const sheet *s, double x) {
  return LEFT + plot_scale_at(&s->x, x) * (WIDTH - LEFT - RIGHT);
}

static double py(const sheet *s, double y) {
  return HEIGHT - BOTTOM - plot_scale_at(&s->y, y) * (HEIGHT - TOP - BOTTOM);
}

/* |align|: 0 left, 0.5 middle, 1 right of (x, y), the middle of the text's height. */
static void label(cairo_t *c, const char *s, double x, double y, double align, double size,
                  bool bold) {
  cairo_text_extents_t e;
  cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                         bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(c, size);
  cairo_text_extents(c, s, &e);
  cairo_move_to(c, x - align * e.x_advance, y + size * 0.36);
  cairo_show_text(c, s);
}

static double text_width(cairo_t *c, const char *s, double size) {
  cairo_text_extents_t e;
  cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(c, size);
  cairo_text_extents(c, s, &e);
  return e.x_advance;
}

static void line(cairo_t *c, double x0, double y0, double x1, double y1) {
  cairo_move_to(c, x0, y0);
  cairo_line_to(c, x1, y1);
  cairo_stroke(c);
}

static void draw_grid(const sheet *s) {
  char number[32];
  cairo_set_line_width(s->c, 1);
  for (int i = 0; i < s->y.n_tick; i++) {
    const double y = py(s, s->y.tick[i]);
    use(s->c, grid, 1);
    line(s->c, LEFT, y, WIDTH - RIGHT, y);
    plot_scale_text(&s->y, s->y.tick[i], number);
    use(s->c, grey, 1);
    label(s->c, number, LEFT - 10, y, 1, 13, false);
  }
  for (int i = 0; i < s->x.n_tick; i++) {
    const double x = px(s, s->x.tick[i]);
    use(s->c, grid, 1);
    line(s->c, x, TOP, x, HEIGHT - BOTTOM);
    plot_scale_text(&s->x, s->x.tick[i], number);
    use(s->c, grey, 1);
    label(s->c, number, x, HEIGHT - BOTTOM + 17, 0.5, 13, false);
  }
}

static void draw_frame(const sheet *s) {
  use(s->c, grey, 1);
  cairo_set_line_width(s->c, 1.2);
  line(s->c, LEFT, TOP, LEFT, HEIGHT - BOTTOM);
  line(s->c, LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM);
  use(s->c, ink, 1);
  label(s->c, s->p->title, LEFT, TOP - 32, 0, 18, true);
  label(s->c, s->p->x_label, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 20, 0.5, 14, false);
  cairo_save(s->c);
  cairo_translate(s->c, 20, (TOP + HEIGHT - BOTTOM) / 2.0);
  cairo_rotate(s->c, -acos(0));
  label(s->c, s->p->y_label, 0, 0, 0.5, 14, false);
  cairo_restore(s->c);
}

static void trace(const sheet *s, const plot_point *point, size_t n, double width) {
  cairo_set_line_width(s->c, width);
  for (size_t i = 0; i < n; i++) cairo_line_to(s->c, px(s, point[i].x), py(s, point[i].y));
  cairo_stroke(s->c);
}

/* The mean of the points around each, about a twentieth of the curve, fewer at its ends. */
static void trace_smooth(const sheet *s, const plot_curve *curve) {
  const size_t reach = curve->n / 40 > 1 ? curve->n / 40 : 1;
  cairo_set_line_width(s->c, 2.2);
  for (size_t i = 0; i < curve->n; i++) {
    const size_t left = i < reach ? i : reach,
                 right = curve->n - 1 - i < reach ? curve->n - 1 - i : reach;
    const size_t room = left < right ? left : right;
    double sum = 0;
    for (size_t k = i - room; k <= i + room; k++) sum += curve->point[k].y;
    cairo_line_to(s->c, px(s, curve->point[i].x), py(s, sum / (double)(2 * room + 1)));
  }
  cairo_stroke(s->c);
}

static void dots(const sheet *s, const plot_curve *curve) {
  const double radius = curve->n > 40 ? 2.2 : 3.6;
  for (size_t i = 0; i < curve->n; i++) {
    cairo_arc(s->c, px(s, curve->point[i].x), py(s, curve->point[i].y), radius, 0, 4 * acos(0));
    cairo_fill(s->c);
  }
}

static void draw_curve(const sheet *s, const plot_curve *curve) {
  const colour k = colour_of(curve);
  const bool smooth = s->p->smooth && curve->style == PLOT_LINE && curve->n > 3;
  use(s->c, k, smooth ? 0.28 : 1);
  trace(s, curve->point, curve->n, curve->style == PLOT_MARKED ? 2.4 : 1.5);
  use(s->c, k, 1);
  if (smooth) trace_smooth(s, curve);
  if (curve->style == PLOT_MARKED || curve->n == 1) dots(s, curve);
}

/* The last value of each curve at the right, moved apart where they would touch. */
static void draw_end_labels(const sheet *s) {
  double at[MAX_END_LABELS];
  const plot_curve *curve[MAX_END_LABELS];
  size_t n = 0;
  for (size_t i = 0; i < s->p->n && n < MAX_END_LABELS; i++) {
    if (!s->p->curve[i].n) continue;
    const double y = py(s, s->p->curve[i].point[s->p->curve[i].n - 1].y);
    size_t k = n++;
    for (; k && at[k - 1] > y; k--) {
      at[k] = at[k - 1];
      curve[k] = curve[k - 1];
    }
    at[k] = y;
    curve[k] = &s->p->curve[i];
  }
  for (int pass = 0; pass < 50; pass++)
    for (size_t k = 1; k < n; k++) {
      const double overlap = 16 - (at[k] - at[k - 1]);
      if (overlap <= 0) continue;
      at[k - 1] -= overlap / 2;
      at[k] += overlap / 2;
    }
  for (size_t k = 0; k < n; k++) {
    char number[32];
    snprintf(number, sizeof number, "%.3f", curve[k]->point[curve[k]->n - 1].y);
    use(s->c, colour_of(curve[k]), 1);
    label(s->c, number, WIDTH - RIGHT + 9, at[k], 0, 13, true);
  }
}

static void draw_legend(const sheet *s) {
  double width = 0;
  for (size_t i = 0; i < s->p->n; i++)
    width = fmax(width, text_width(s->c, s->p->curve[i].name, 13));
  const double w = width + 58, h = 22 * (double)s->p->n + 14, x = WIDTH - RIGHT - w - 10,
               y = TOP + 8;
  cairo_rectangle(s->c, x, y, w, h);
  cairo_set_source_rgba(s->c, 1, 1, 1, 0.9);
  cairo_fill_preserve(s->c);
  use(s->c, grid, 1);
  cairo_set_line_width(s->c, 1);
  cairo_stroke(s->c);
  for (size_t i = 0; i < s->p->n; i++) {
    const plot_curve *curve = &s->p->curve[i];
    const double at = y + 18 + 22 * (double)i;
    use(s->c, colour_of(curve), 1);
    cairo_set_line_width(s->c, curve->style == PLOT_MARKED ? 2.4 : 1.8);
    line(s->c, x + 12, at, x + 38, at);
    if (curve->style == PLOT_MARKED) {
      cairo_arc(s->c, x + 25, at, 3.6, 0, 4 * acos(0));
      cairo_fill(s->c);
    }
    use(s->c, ink, 1);
    label(s->c, curve->name, x + 46, at, 0, 13, false);
  }
}

static void draw(const sheet *s) {
  cairo_set_source_rgb(s->c, 1, 1, 1);
  cairo_paint(s->c);
  draw_grid(s);
  cairo_save(s->c);
  cairo_rectangle(s->c, LEFT, TOP - 4, WIDTH - LEFT - RIGHT + 5, HEIGHT - TOP - BOTTOM + 8);
  cairo_clip(s->c);
  cairo_set_line_join(s->c, CAIRO_LINE_JOIN_ROUND);
  cairo_set_line_cap(s->c, CAIRO_LINE_CAP_ROUND);
  for (size_t i = 0; i < s->p->n; i++) draw_curve(s, &s->p->curve[i]);
  cairo_restore(s->c);
  draw_frame(s);
  draw_end_labels(s);
  draw_legend(s);
}

static void fit_scales(sheet *s) {
  double lo_x = INFINITY, hi_x = -INFINITY, lo_y = INFINITY, hi_y = -INFINITY;
  for (size_t i = 0; i < s->p->n; i++)
    for (size_t k = 0; k < s->p->curve[i].n; k++) {
      const plot_point at = s->p->curve[i].point[k];
      lo_x = fmin(lo_x, at.x);
      hi_x = fmax(hi_x, at.x);
      lo_y = fmin(lo_y, at.y);
      hi_y = fmax(hi_y, at.y);
    }
  if (lo_x < 0.1 * hi_x) lo_x = 0; /* a run that begins near the beginning */
  plot_scale_make(&s->x, lo_x, hi_x, 8, false, false);
  plot_scale_make(&s->y, lo_y, hi_y, 7, s->p->log_y, true);
}

const char *plot_write(const plot *p, const char *path) {
  const char *dot = strrchr(path, '.');
  const bool svg = dot && !strcmp(dot, ".svg");
  cairo_surface_t *surface =
      svg ? cairo_svg_surface_create(path, WIDTH, HEIGHT)
          : cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH * PIXELS, HEIGHT * PIXELS);
  sheet s = {.c = cairo_create(surface), .p = p};
  if (!svg) cairo_scale(s.c, PIXELS, PIXELS);
  fit_scales(&s);
  draw(&s);
  cairo_status_t st = cairo_status(s.c);
  cairo_destroy(s.c);
  if (!st && !svg) st = cairo_surface_write_to_png(surface, path);
  cairo_surface_finish(surface);
  if (!st) st = cairo_surface_status(surface);
  cairo_surface_destroy(surface);
  cairo_debug_reset_static_data(); /* fonts are held for a next picture, which does not come */
  FcFini();
  return st ? cairo_status_to_string(st) : NULL;
}
