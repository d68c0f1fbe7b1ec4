/* report.h -- results as files for others. Each writes a whole file beside |path| and renames it;
 * false after a message on standard error. */
#ifndef FORGE_CONFORMANCE_REPORT_H
#define FORGE_CONFORMANCE_REPORT_H

#include "results.h"

bool report_junit(const results *all, const char *path); /* what Jenkins and GitLab read */
/* One object. Keys are added, never renamed:
 *   suite, abi   versions
 *   plugin       name, vendor, version, minor_min, minor_max, driver, devices, device_ordinal,
 * device, mem_total, library summary      a count per verdict, ok, seconds, level, primitives,
 * composites, primitives_complete support      op: {type: worst verdict} tests        id, rules,
 * verdict, reason, seconds, notes, output, figures (name, value, unit) */
bool report_json(const results *all, const char *path);
bool report_page(const results *all, const char *path); /* .html, self-contained, or .md */

#endif
