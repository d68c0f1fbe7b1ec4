/* stream.h -- new text on its way to the reader: whole UTF-8 characters, stop strings found even
 * across tokens and never let out. Knows nothing of models. */
#ifndef FORGE_STREAM_H
#define FORGE_STREAM_H

#include <forge/infer.h>

#include "base.h"

typedef struct stream {
  const char *const *stops;
  uint64_t n_stops;
  forge_text_fn on_text; /* may be NULL */
  void *ctx;
  text held;    /* not yet certain */
  bool stopped; /* a stop string was found; it and what follows is dropped */
  bool refused; /* on_text wants no more */
} stream;

forge_status stream_add(stream *s, const char *bytes, uint64_t n);
/* Lets out what is held: no more text will come. */
void stream_end(stream *s);
/* Frees; fine on a zeroed one. */
void stream_finish(stream *s);

#endif
