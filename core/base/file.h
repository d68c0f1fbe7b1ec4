/* file.h -- files mapped for reading, read whole, or written so that they are whole or absent. */
#ifndef FORGE_FILE_H
#define FORGE_FILE_H

#include <stdio.h>

#include "base.h"

/* A file mapped read-only. An empty file has data NULL, bytes 0. */
typedef struct file_map {
  const uint8_t *data;
  uint64_t bytes;
} file_map;
/* Fails: E_NOT_FOUND, E_IO, with the path. Directories and other special files are E_IO. */
forge_status file_map_open(const char *path, file_map *out);
void file_map_close(file_map *map);

/* The whole file, zero-terminated behind |*out_bytes| bytes; E_CORRUPT if it is larger than
 * |limit|. */
forge_status file_read(const char *path, uint64_t limit, char **out, uint64_t *out_bytes);

/* A file that appears under its name only when it is complete: written beside it, flushed, renamed,
 * and the directory flushed. Every failure leaves the old file, if any, as it was. */
typedef struct file_writer {
  FILE *stream; /* write here */
  char *path, *temporary;
} file_writer;
forge_status file_writer_open(const char *path, file_writer *w);
/* The same for a file that only its owner may read, from its first byte on. */
forge_status file_writer_open_private(const char *path, file_writer *w);
/* Ends the writer in success and failure alike. */
forge_status file_writer_commit(file_writer *w);
/* Removes the temporary file. Fine on a zeroed or committed writer. */
void file_writer_abandon(file_writer *w);

/* fsync of the directory that holds |path|. */
forge_status file_sync_parent(const char *path);

bool file_exists(const char *path);
bool file_is_directory(const char *path);
/* Both exist and are one file, by whatever names. */
bool file_is_same(const char *a, const char *b);
/* |dir| and what is missing of its parents. */
forge_status file_make_directories(const char *dir);
/* "dir/name", owned by the caller; NULL when memory is out. */
char *file_join(const char *dir, const char *name);
/* The part before the last '/', "." if none; owned by the caller. */
char *file_parent(const char *path);
bool text_ends_with(const char *s, const char *end);

#endif
