/* report.h -- what the reports share. */
#ifndef FORGE_REPORT_H
#define FORGE_REPORT_H

#include <jansson.h>

#include "base.h"

/* |root| as text, which the caller frees; takes over |root|, NULL: out of memory. */
forge_status report_take(json_t *root, char **out);
/* A string, null for NULL and "". */
json_t *report_text(const char *s);

#endif
