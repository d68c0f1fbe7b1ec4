/* stage.h -- memory a test shares with the runner, so that the dead can be asked where they were.
 */
#ifndef FORGE_CONFORMANCE_STAGE_H
#define FORGE_CONFORMANCE_STAGE_H

#include <stdint.h>

typedef struct stage {
  _Atomic(const char *) call; /* the table function in progress, a string of this program; NULL */
  _Atomic uint32_t exited;    /* 1: exit() ran before the verdict */
  char at[512];               /* what the test said of itself with test_at() */
} stage;
extern stage *test_stage; /* never NULL */

#endif
