/* report_page.c -- a page a vendor can publish, as HTML with everything in it or as Markdown: what
 * was tried on what, the level, ops by types, measurements, and all that is not a pass. */
#include <string.h>

#include <forge/ops.h>

#include "report.h"
#include "report_file.h"
#include "rules.h"

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;"
    "color:#1a1a1a;background:#fff}h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}"
    "table{border-collapse:collapse}th,td{padding:.2em .6em;text-align:left;"
    "border-bottom:1px solid #ddd;vertical-align:top}td.c{text-align:center}"
    ".pass{color:#0a6b2d}.fail,.crash,.timeout,.xpass{color:#b00020;font-weight:600}"
    ".xfail{color:#8a5a00}.unsupported,.skip{color:#666}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}th,td{border-color:#333}"
    ".pass{color:#5fd38a}.fail,.crash,.timeout,.xpass{color:#ff8a8a}.xfail{color:#e0b050}"
    ".unsupported,.skip{color:#999}}";

typedef struct page {
  FILE *f;
  bool html;
} page;

/* In Markdown a bar would end a cell. */
static void words(const page *p, const char *text) {
  if (p->html) {
    report_escape(p->f, text);
    return;
  }
  for (; *text; text++) {
    if (*text == '|' || *text == '<' || *text == '`') fputc('\\', p->f);
    fputc(*text == '\n' ? ' ' : *text, p->f);
  }
}

static void heading(const page *p, int rank, const char *text) {
  if (p->html)
    fprintf(p->f, "<h%d>", rank);
  else
    fprintf(p->f, "\n%.*s ", rank, "###");
  words(p, text);
  if (p->html)
    fprintf(p->f, "</h%d>\n", rank);
  else
    fputs("\n\n", p->f);
}

static void begin_row(const page *p) { fputs(p->html ? "<tr>" : "|", p->f); }
static void end_row(const page *p) { fputs(p->html ? "</tr>\n" : "\n", p->f); }

static void cell(const page *p, const char *tag, const char *text) {
  if (p->html) fprintf(p->f, "<%s>", tag);
  if (!p->html) fputc(' ', p->f);
  words(p, text);
  if (p->html)
    fprintf(p->f, "</%.*s>", (int)strcspn(tag, " "), tag);
  else
    fputs(" |", p->f);
}

static void begin_table(const page *p, const char *const *names, size_t n) {
  if (p->html) fputs("<table>\n", p->f);
  begin_row(p);
  for (size_t i = 0; i < n; i++) cell(p, "th", names[i]);
  end_row(p);
  if (p->html) return;
  fputc('|', p->f);
  for (size_t i = 0; i < n; i++) fputs("---|", p->f);
  fputc('\n', p->f);
}
static void end_table(const page *p) {
  if (p->html) fputs("</table>\n", p->f);
}

static void verdict_cell(const page *p, verdict v, const char *class_tag) {
  char tag[64];
  if (v == VERDICT_COUNT) {
    cell(p, "td", "");
    return;
  }
  snprintf(tag, sizeof tag, "td class=\"%s %s\"", class_tag, verdict_word(v));
  cell(p, p->html ? tag : "td", verdict_word(v));
}

/* ---- sections ---- */

static void fact(const page *p, const char *name, const char *value) {
  begin_row(p);
  cell(p, "th", name);
  cell(p, "td", value);
  end_row(p);
}

static void write_facts(const page *p, const results *all) {
  static const char *const names[] = {"", ""};
  const facts *f = &all->facts;
  const level l = results_level(all);
  char text[512];
  begin_table(p, names, 2);
  snprintf(text, sizeof text, "%s %s by %s, ABI minors %u to %u", f->name, f->version, f->vendor,
           f->minor_min, f->minor_max);
  fact(p, "plugin", text);
  fact(p, "device", f->device);
  fact(p, "driver", f->driver[0] ? f->driver : "none");
  snprintf(text, sizeof text, "forge-conformance %s, ABI %u.%u", FORGE_VERSION, FORGE_ABI_MAJOR,
           FORGE_ABI_MINOR);
  fact(p, "suite", text);
  results_level_text(&l, text, sizeof text);
  fact(p, "level", strncmp(text, "level: ", 7) ? text : text + 7);
  size_t n = 0;
  for (int v = 0; v < VERDICT_COUNT; v++)
    n += (size_t)snprintf(text + n, sizeof text - n, "%s%zu %s", v ? ", " : "",
                          results_count(all, (verdict)v), verdict_word((verdict)v));
  fact(p, "verdicts", text);
  fact(p, "conforms", results_bad(all) ? "no" : "yes, in all that was tried");
  end_table(p);
}

static const char *const types[] = {
#define X(name, number, elems, bytes, words_) #name,
    FORGE_DTYPE_MAP(X)
#undef X
};
enum { TYPES = sizeof types / sizeof *types };

static void write_op(const page *p, const results *all, const char *op) {
  begin_row(p);
  cell(p, "th", op);
  for (int k = 0; k < TYPES; k++) verdict_cell(p, results_cell(all, op, types[k]), "c");
  verdict_cell(p, results_cell(all, op, ""), "c");
  end_row(p);
}

static void write_support(const page *p, const results *all) {
  const char *names[TYPES + 2] = {"op"};
  for (int k = 0; k < TYPES; k++) names[k + 1] = types[k];
  names[TYPES + 1] = "all";
  if (!results_level(all).asked) return;
  heading(p, 2, "Ops");
  begin_table(p, names, TYPES + 2);
#define X(name, number, cls, inputs, outputs, words_) write_op(p, all, #name);
  FORGE_OP_MAP(X)
#undef X
  end_table(p);
}

static void write_figures(const page *p, const results *all) {
  static const char *const names[] = {"measured", "value", "unit"};
  size_t n = 0;
  for (size_t i = 0; i < all->n; i++) n += all->result[i].n_figures;
  if (!n) return;
  heading(p, 2, "Measurements");
  begin_table(p, names, 3);
  for (size_t i = 0; i < all->n; i++)
    for (size_t k = 0; k < all->result[i].n_figures; k++) {
      char value[32];
      snprintf(value, sizeof value, "%.4g", all->result[i].figure[k].value);
      begin_row(p);
      cell(p, "td", all->result[i].figure[k].name);
      cell(p, "td", value);
      cell(p, "td", all->result[i].figure[k].unit);
      end_row(p);
    }
  end_table(p);
}

static void write_others(const page *p, const results *all) {
  static const char *const names[] = {"test", "verdict", "rules", "why"};
  char rules[128];
  heading(p, 2, "What is not a pass");
  if (results_count(all, VERDICT_PASS) == results_done(all)) {
    words(p, "Nothing: every test passed.");
    fputs("\n", p->f);
    return;
  }
  begin_table(p, names, 4);
  for (size_t i = 0; i < all->n; i++) {
    const result *r = &all->result[i];
    if (!r->done || r->verdict == VERDICT_PASS) continue;
    begin_row(p);
    cell(p, "td", r->test->id);
    verdict_cell(p, r->verdict, "c");
    cell(p, "td", rules_of(r->test, rules, sizeof rules));
    cell(p, "td", r->reason);
    end_row(p);
  }
  end_table(p);
}

bool report_page(const results *all, const char *path) {
  report_file r = {0};
  char title[160];
  if (!report_begin(&r, path)) return false;
  const page p = {.f = r.f, .html = strlen(path) > 5 && !strcmp(path + strlen(path) - 5, ".html")};
  snprintf(title, sizeof title, "Forge conformance: %s %s", all->facts.name, all->facts.version);
  if (p.html) {
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", p.f);
    words(&p, title);
    fprintf(p.f, "</title><style>%s</style></head><body>\n", style);
  }
  heading(&p, 1, title);
  write_facts(&p, all);
  write_support(&p, all);
  write_figures(&p, all);
  write_others(&p, all);
  if (p.html) fputs("</body></html>\n", p.f);
  return report_end(&r);
}
