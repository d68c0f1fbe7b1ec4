/* table.c -- see table.h. */
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void *or_exit(void *p) {
  if (p) return p;
  fprintf(stderr, "forge: out of memory\n");
  exit(CLI_FAILED);
}

void table_add(table *t, int colour, const char *first, ...) {
  t->rows = or_exit(realloc(t->rows, (t->n + 1) * sizeof *t->rows));
  t->colours = or_exit(realloc(t->colours, (t->n + 1) * sizeof *t->colours));
  t->colours[t->n] = colour;
  memset(t->rows[t->n], 0, sizeof t->rows[t->n]);
  va_list args;
  va_start(args, first);
  const char *word = first;
  for (int i = 0; word && i < TABLE_COLUMNS; i++, word = va_arg(args, const char *))
    t->rows[t->n][i] = or_exit(strdup(word));
  va_end(args);
  t->n++;
}

/* Columns a terminal shows: bytes that do not continue a UTF-8 character. */
static int width(const char *s) {
  int n = 0;
  for (; s && *s; s++) n += (*s & 0xC0) != 0x80;
  return n;
}

static void print_row(const table *t, size_t row, const int widths[TABLE_COLUMNS], int indent) {
  int last = 0;
  for (int i = 0; i < TABLE_COLUMNS; i++)
    if (t->rows[row][i] && t->rows[row][i][0]) last = i;
  printf("%*s%s", indent, "", t->colours[row] ? cli_colour(stdout, t->colours[row]) : "");
  for (int i = 0; i <= last; i++) {
    const char *cell = t->rows[row][i] ? t->rows[row][i] : "";
    printf("%s%*s", cell, i < last ? widths[i] - width(cell) + 2 : 0, "");
  }
  printf("%s\n", t->colours[row] ? cli_colour(stdout, CLI_PLAIN) : "");
}

void table_print(table *t, int indent) {
  int widths[TABLE_COLUMNS] = {0};
  for (size_t r = 0; r < t->n; r++)
    for (int i = 0; i < TABLE_COLUMNS; i++)
      if (width(t->rows[r][i]) > widths[i]) widths[i] = width(t->rows[r][i]);
  for (size_t r = 0; r < t->n; r++) print_row(t, r, widths, indent);
  for (size_t r = 0; r < t->n; r++)
    for (int i = 0; i < TABLE_COLUMNS; i++) free(t->rows[r][i]);
  free(t->rows);
  free(t->colours);
  *t = (table){0};
}

const char *table_text(const json_t *object, const char *key, const char *otherwise) {
  const char *s = json_string_value(json_object_get(object, key));
  return s ? s : otherwise;
}
