/* file.h -- a trace file: Trace Event Format, a JSON array of events, one to a line. The format
 * allows the closing bracket to be missing, and only whole events are written, so what a killed
 * process left can be opened too. One file per path and process, shared by its devices; a child of
 * fork() whose parent has the path open appends its number to it. */
#ifndef FORGE_TRACE_FILE_H
#define FORGE_TRACE_FILE_H

#include "kit.h"

typedef struct trace_file trace_file;

/* |pattern|: a path in which %p stands for the process number. NULL: reported through |host|. */
trace_file *file_acquire(const char *pattern, const forge_host *host);
void file_release(trace_file *f);
/* A number for a group of tracks; 1 is the host's. */
uint32_t file_new_group(trace_file *f);
uint64_t file_new_flow(trace_file *f);

/* Appends one event: |format| gives the members behind the opening brace, without the closing one.
 * Strings in it have gone through file_quote(). */
void file_event(trace_file *f, const char *format, ...) KIT_PRINTF(2, 3);
/* Nanoseconds since the file began; printed as microseconds: "\"ts\":" FILE_US, FILE_US_OF(ns). */
uint64_t file_ns(const trace_file *f, uint64_t now_ns);
#define FILE_US        "%llu.%03u"
#define FILE_US_OF(ns) (unsigned long long)((ns) / 1000), (unsigned)((ns) % 1000)
/* |s| as the inside of a JSON string; cut to |size|. */
const char *file_quote(const char *s, char *out, size_t size);
/* What is buffered is written. */
void file_flush(trace_file *f);

#endif
