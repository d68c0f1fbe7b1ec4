/* report.h -- what the reports share. */
#ifndef FORGE_REPORT_H
#define FORGE_REPORT_H

#include <jansson.h>

#include "base.h"

/* |root| as text, which the caller frees; takes over |root|, NULL: out of memory. */
forge_status report_take(json_t *root, char **out);
/* A string. Names of files, devices and drivers need not be UTF-8, which JSON is: where one is not,
 * each byte beyond ASCII becomes '?'. */
json_t *report_string(const char *s);
/* The same, null for NULL and "". */
json_t *report_text(const char *s);

#endif
