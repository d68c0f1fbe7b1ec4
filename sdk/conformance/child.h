/* child.h -- what the runner knows of one child, and how its end becomes a verdict. */
#ifndef FORGE_CONFORMANCE_CHILD_H
#define FORGE_CONFORMANCE_CHILD_H

#include <sys/types.h>

#include "results.h"
#include "stage.h"

typedef struct child {
  pid_t pid; /* 0: none */
  int pipe, out, err;
  stage *stage;
  result *result;
  double began, limit;
  bool heard, late;   /* a verdict came; the time ran out */
  bool stuck;         /* it was killed and has not ended */
  uint8_t kept[8192]; /* of a message not complete yet */
  size_t n_kept;
} child;

/* Reads what the child has said so far. */
void child_listen(child *c);
/* It ended with |status| of waitpid(): fills in its result. */
void child_judge(child *c, int status);

#endif
