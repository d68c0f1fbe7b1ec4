/* report.h -- results as files for others. Each writes a whole file beside |path| and renames it;
 * false after a message on standard error. */
#ifndef FORGE_CONFORMANCE_REPORT_H
#define FORGE_CONFORMANCE_REPORT_H

#include "results.h"

bool report_junit(const results *all, const char *path); /* what Jenkins and GitLab read */
bool report_json(const results *all, const char *path);  /* docs/conformance.md names the keys */
bool report_page(const results *all, const char *path);  /* .html, self-contained, or .md */

#endif
