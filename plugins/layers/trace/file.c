/* file.c -- see file.h. Lines are gathered and written a quarter of a mebibyte, or a tenth of a
 * second, at a time: that much a killed process loses. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 << 10, EVENT_BYTES = 1024, FLUSH_NS = 100000000 };

struct trace_file {
  trace_file *next;
  char path[1024 + 16];
  pid_t process; /* that opened it; a child of fork() leaves it alone */
  int fd;
  uint32_t refs;
  _Atomic uint32_t groups;
  _Atomic uint64_t flows;
  uint64_t began_ns, flushed_ns, bytes; /* bytes: written, without the end */
  pthread_mutex_t lock;
  bool any, failed;
  const forge_host *host;
  size_t n;
  char buffer[BUFFER_BYTES];
};

static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static trace_file *files; /* for ever: a device may be opened again */

/* ---- writing ---- */

static void put(trace_file *f, const char *bytes, size_t n) {
  while (n && !f->failed) {
    const ssize_t done = pwrite(f->fd, bytes, n, (off_t)f->bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) {
      f->failed = true;
      kit_log(f->host, FORGE_LOG_WARN, "%s: %s; the rest of the trace is lost", f->path,
              strerror(errno));
      return;
    }
    bytes += done;
    n -= (size_t)done;
    f->bytes += (uint64_t)done;
  }
}

static void flush(trace_file *f) {
  put(f, f->buffer, f->n);
  f->n = 0;
}

void file_flush(trace_file *f) {
  pthread_mutex_lock(&f->lock);
  flush(f);
  pthread_mutex_unlock(&f->lock);
}

void file_event(trace_file *f, const char *format, ...) {
  char line[EVENT_BYTES];
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (n < 0 || n >= (int)sizeof line) return; /* half an event would spoil the file */
  pthread_mutex_lock(&f->lock);
  if (f->n + (size_t)n + 8 > BUFFER_BYTES) flush(f);
  f->n += (size_t)snprintf(f->buffer + f->n, BUFFER_BYTES - f->n, "%s{%s}", f->any ? ",\n" : "[\n",
                           line);
  f->any = true;
  const uint64_t now = kit_now_ns();
  if (now - f->flushed_ns > FLUSH_NS) {
    f->flushed_ns = now;
    flush(f);
  }
  pthread_mutex_unlock(&f->lock);
}

uint64_t file_ns(const trace_file *f, uint64_t now_ns) {
  return now_ns > f->began_ns ? now_ns - f->began_ns : 0;
}

const char *file_quote(const char *s, char *out, size_t size) {
  size_t n = 0;
  for (; *s && n + 7 < size; s++) {
    const unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') out[n++] = '\\';
    if (c < 0x20 || c >= 0x7F)
      n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
    else
      out[n++] = (char)c;
  }
  out[n] = 0;
  return out;
}

/* ---- files ---- */

static void expand(const char *pattern, char *out, size_t size) {
  size_t n = 0;
  out[0] = 0;
  for (; *pattern && n + 1 < size; pattern++) {
    if (pattern[0] == '%' && pattern[1] == 'p') {
      n += (size_t)snprintf(out + n, size - n, "%ld", (long)getpid());
      pattern++;
    } else {
      out[n++] = *pattern;
      out[n] = 0;
    }
  }
}

static trace_file *create(const char *path, const forge_host *host) {
  trace_file *f = kit_zalloc(sizeof *f);
  if (!f) {
    kit_fail(host, FORGE_E_OOM, "trace: no host memory");
    return NULL;
  }
  snprintf(f->path, sizeof f->path, "%s", path);
  f->process = getpid();
  f->host = kit_host;
  f->groups = 1;
  f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (f->fd < 0) {
    kit_fail(host, FORGE_E_IO, "trace: %s: %s; set layer.trace.file to a file that can be written",
             path, strerror(errno));
    kit_free(f);
    return NULL;
  }
  pthread_mutex_init(&f->lock, NULL);
  f->began_ns = f->flushed_ns = kit_now_ns();
  f->next = files;
  files = f;
  return f;
}

static trace_file *find(const char *path) {
  trace_file *f = files;
  while (f && strcmp(f->path, path) != 0) f = f->next;
  return f;
}

trace_file *file_acquire(const char *pattern, const forge_host *host) {
  char path[1024 + 16];
  expand(pattern, path, 1024);
  pthread_mutex_lock(&files_lock);
  trace_file *f = find(path);
  if (f && f->process != getpid()) {
    snprintf(path + strlen(path), 16, ".%ld", (long)getpid());
    f = find(path);
  }
  if (!f) f = create(path, host);
  if (f) f->refs++;
  pthread_mutex_unlock(&files_lock);
  return f;
}

/* The end is written behind what counts, and written over by whoever goes on. */
void file_release(trace_file *f) {
  static const char end[] = "\n]\n";
  pthread_mutex_lock(&files_lock);
  pthread_mutex_lock(&f->lock);
  flush(f);
  const uint64_t bytes = f->bytes;
  if (!--f->refs && f->any) {
    put(f, end, sizeof end - 1);
    f->bytes = bytes;
  }
  pthread_mutex_unlock(&f->lock);
  pthread_mutex_unlock(&files_lock);
}

uint32_t file_new_group(trace_file *f) { return atomic_fetch_add(&f->groups, 1) + 1; }
uint64_t file_new_flow(trace_file *f) { return atomic_fetch_add(&f->flows, 1) + 1; }
