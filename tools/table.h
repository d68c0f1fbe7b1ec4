/* table.h -- rows of words in columns as wide as their widest cell. */
#ifndef FORGE_TABLE_H
#define FORGE_TABLE_H

#include <jansson.h>

enum { TABLE_COLUMNS = 8 };

typedef struct table {
  char *(*rows)[TABLE_COLUMNS];
  int *colours; /* CLI_* of each row */
  size_t n;
} table;

/* A row of words, ended by NULL. The table copies them. Exits the process when memory is out. */
void table_add(table *t, int colour, const char *first, ...);
/* Prints on stdout, each line behind |indent| spaces, and empties the table. */
void table_print(table *t, int indent);

/* A member's text, |otherwise| for null and what is no text. */
const char *table_text(const json_t *object, const char *key, const char *otherwise);

#endif
