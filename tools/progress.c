/* progress.c -- see cli.h. */
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { BAR_CELLS = 24 };
static const uint64_t terminal_interval_ns = 100000000u, plain_interval_ns = 5000000000u;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const char *cli_bytes(uint64_t bytes, char out[32]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = (double)bytes;
  int unit = 0;
  for (; value >= 1024 && unit < 5; unit++) value /= 1024;
  snprintf(out, 32, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return out;
}

const char *cli_seconds(double seconds, char out[32]) {
  if (!isfinite(seconds) || seconds < 0 || seconds > 1e8)
    snprintf(out, 32, "?");
  else if (seconds < 60)
    snprintf(out, 32, "%.0fs", seconds);
  else if (seconds < 3600)
    snprintf(out, 32, "%dm %02ds", (int)seconds / 60, (int)seconds % 60);
  else
    snprintf(out, 32, "%dh %02dm", (int)seconds / 3600, (int)seconds % 3600 / 60);
  return out;
}

void cli_progress_start(cli_progress *p, const char *what, const char *unit, uint64_t done,
                        uint64_t total) {
  *p = (cli_progress){.what = what, .unit = unit, .total = total, .done = done, .start_done = done};
  p->start_ns = p->shown_ns = now_ns();
  p->terminal = isatty(STDERR_FILENO);
}

static void bar(const cli_progress *p, char *out) {
  const uint64_t cells = p->total ? p->done * BAR_CELLS / p->total : 0;
  for (uint64_t i = 0; i < BAR_CELLS; i++) out[i] = i < cells ? '#' : '.';
  out[BAR_CELLS] = 0;
}

static void show(cli_progress *p, const char *note) {
  const double seconds = (double)(now_ns() - p->start_ns) * 1e-9;
  const double rate = seconds > 0 ? (double)(p->done - p->start_done) / seconds : 0;
  char cells[BAR_CELLS + 1], left[32] = "?";
  bar(p, cells);
  if (rate > 0 && p->total >= p->done) cli_seconds((double)(p->total - p->done) / rate, left);
  fprintf(stderr, "%s%s [%s] %llu/%llu %s, %.3g %s/s, %s left%s%s%s", p->terminal ? "\r\033[K" : "",
          p->what, cells, (unsigned long long)p->done, (unsigned long long)p->total, p->unit, rate,
          p->unit, left, note ? "  " : "", note ? note : "", p->terminal ? "" : "\n");
  fflush(stderr);
  p->drawn = p->current = true;
}

void cli_progress_step(cli_progress *p, uint64_t done, const char *note) {
  const uint64_t now = now_ns();
  p->current = p->current && p->done == done;
  p->done = done;
  if (now - p->shown_ns < (p->terminal ? terminal_interval_ns : plain_interval_ns)) return;
  p->shown_ns = now;
  show(p, note);
}

void cli_progress_end(cli_progress *p, const char *note) {
  if (!p->drawn && !note) return;
  if (p->terminal || !p->current) show(p, note);
  if (p->terminal) fputc('\n', stderr);
}
