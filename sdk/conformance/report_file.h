/* report_file.h -- a report is written whole or not at all. */
#ifndef FORGE_CONFORMANCE_REPORT_FILE_H
#define FORGE_CONFORMANCE_REPORT_FILE_H

#include <stdbool.h>
#include <stdio.h>

typedef struct report_file {
  FILE *f;
  char path[4096], draft[4104];
} report_file;

bool report_begin(report_file *r, const char *path);
bool report_end(report_file *r);

/* |text| with <, >, & and " named, and what XML cannot hold as '?'. */
void report_escape(FILE *f, const char *text);

#endif
