/* host_words.h -- the services by which a plugin speaks; host.c puts them into the table. */
#ifndef FORGE_CONFORMANCE_HOST_WORDS_H
#define FORGE_CONFORMANCE_HOST_WORDS_H

#include "host.h"

void host_hear_report(void *ctx, const forge_error *error);
void host_hear_log(void *ctx, int32_t level, const char *msg, size_t n);
void host_hear_notice(void *ctx, uint64_t cookie, uint64_t value, forge_status status);
/* Fails the test if the table |ctx| stands for is out of bounds. */
void host_must_live(void *ctx, const char *service);

#endif
