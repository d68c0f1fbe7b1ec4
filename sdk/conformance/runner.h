/* runner.h -- tests as child processes: so many at once, each with a limit of time, each with what
 * it printed. The plugin is never loaded here. */
#ifndef FORGE_CONFORMANCE_RUNNER_H
#define FORGE_CONFORMANCE_RUNNER_H

#include "results.h"

/* Called as each test ends, in order of ending. */
typedef void runner_heard(void *ctx, const results *all, const result *one);

/* Runs every entry of |all| with a test and done == false; fills it in. False when a child could
 * not be made (a message was printed) or the operator interrupted. */
bool runner_run(results *all, unsigned jobs, runner_heard *heard, void *ctx);

/* What the plugin says of itself; with no device of the number asked for, n_devices tells. */
void runner_survey(facts *out);

/* An address-space shared with children. NULL when there is none. */
void *runner_share(size_t bytes);

#endif
