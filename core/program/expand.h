/* expand.h -- what the expansions (expand_*.c) share beside the formulas of rows.h. */
#ifndef FORGE_EXPAND_H
#define FORGE_EXPAND_H

#include "formula.h"

/* Makes |result| the composite's output |k|: no copy where its memory belongs to this expansion. */
void expand_result(expand_call *c, uint32_t k, forge_tid result);

#endif
