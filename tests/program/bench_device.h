/* bench_device.h -- runs a builder's program on a device of this build with the contents an oracle
 * holds, so that results can be compared. */
#ifndef FORGE_TESTS_BENCH_DEVICE_H
#define FORGE_TESTS_BENCH_DEVICE_H

#include "compile.h"
#include "oracle.h"

typedef struct bench_device {
  forge_runtime *runtime;
  forge_device *device;
} bench_device;

/* False where this build has no such device. |options|: "key=value" overrides, NULL-ended or NULL.
 */
bool bench_open(const char *name, const char *const *options, bench_device *out);
void bench_close(bench_device *d);

/* A program with a buffer for each binding. */
typedef struct bench_run {
  forge_program *program;
  forge_buffer **buffer; /* per name of the program */
} bench_run;
/* Fails the test with the library's words when the program cannot be made. */
bench_run bench_compile(const bench_device *d, const forge_builder *g, uint32_t flags,
                        const forge_program_options *options);
void bench_end(bench_run *r);
/* Writes what the oracle holds into all bindings (block types: as bench_blocks() made them). */
void bench_upload(bench_run *r, oracle *o);
void bench_must_run(bench_run *r, const uint64_t *scalars, uint32_t n);
/* Elements of a binding as doubles; the caller frees them. */
double *bench_read(bench_run *r, const char *name, uint64_t *out_n);
/* The bytes of a binding; the caller frees them. */
void *bench_bytes(bench_run *r, const char *name, uint64_t *out_n);

/* Rounds the oracle's contents to what their types hold, so that both sides start equal. Q8_0 gets
 * random blocks. */
void bench_round(oracle *o);

#endif
