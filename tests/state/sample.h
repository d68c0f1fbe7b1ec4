/* sample.h -- a small state that differs from step to step, saved and compared. */
#ifndef FORGE_TEST_SAMPLE_H
#define FORGE_TEST_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store.h"

/* A fresh folder under the build's temporary place; sample_remove() ends it. */
char *sample_folder(void);
void sample_remove(char *folder);

/* Saves the state of |step|: tensors "weights" (1.1 chunks), "ids", "empty" and two blobs. */
forge_status sample_save(forge_store *store, uint64_t step);
/* 0 when what |restore| holds is the state of its step, to the last bit. */
int sample_differs(forge_restore *restore);

/* Files in |folder| whose name ends so. */
int sample_count(const char *folder, const char *end);

#endif
