/* day.h -- a device's day in one call, for chapters that watch what it does to the process. */
#ifndef FORGE_CONFORMANCE_DAY_H
#define FORGE_CONFORMANCE_DAY_H

#include "rig.h"

/* Opens the device, takes memory, queues and timelines, copies, builds and runs a program where an
 * op is NATIVE, waits, closes. |look| (may be NULL) is called after each step with its name. */
void day_of_work(void (*look)(const char *step));

#endif
