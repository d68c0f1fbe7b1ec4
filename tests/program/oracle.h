/* oracle.h -- a builder's list executed op by op in double precision
 * (sdk/conformance/oracle/ref64.h). What the tests of gradients and expansions measure against: no
 * rounding to types, no plan, no device. */
#ifndef FORGE_TESTS_ORACLE_H
#define FORGE_TESTS_ORACLE_H

#include "graph.h"

typedef struct oracle {
  const forge_builder *g;
  double **storage;
  const uint64_t *scalars;
} oracle;

/* Storages hold zeros, constants their contents. */
oracle *oracle_make(const forge_builder *g);
void oracle_free(oracle *o);
/* Elements of a tensor bound by name or named as output, and how many. Fails the test for none. */
double *oracle_named(oracle *o, const char *name, uint64_t *out_n);
/* Evenly distributed in [low, high), or whole numbers in it for I32. */
void oracle_random(oracle *o, const char *name, uint64_t seed, double low, double high);
void oracle_run(oracle *o, const uint64_t *scalars);

uint64_t test_random(uint64_t *state);
double test_uniform(uint64_t *state);

#endif
