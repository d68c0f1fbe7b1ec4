/* adopt.c -- from what a plugin answered to a table that callers may use without a thought: every
 * slot is there, and one the plugin lacks answers E_UNSUPPORTED. */
#include <stdio.h>
#include <string.h>

#include "loader_parts.h"

/* X(slot, required, parameters) for slots that answer a status; V for those that answer nothing. */
#define SLOTS(X, V)                                                                                \
  X(probe, 1, (forge_probe * a))                                                                   \
  X(get_block, 0, (uint32_t a, uint32_t b, const void **c))                                        \
  V(shutdown, 0, (void))                                                                           \
  X(dev_info, 1, (uint32_t a, forge_dev_info * b))                                                 \
  X(dev_open, 1, (uint32_t a, const char *const *b, forge_dev **c))                                \
  V(dev_close, 1, (forge_dev * a))                                                                 \
  X(dev_query, 0, (forge_dev * a, uint32_t b, uint64_t c, forge_value * d))                        \
  X(mem_alloc, 1, (forge_dev * a, const forge_mem_desc *b, forge_mem **c, forge_mem_out *d))       \
  V(mem_free, 1, (forge_dev * a, forge_mem * b))                                                   \
  X(queue_create, 1, (forge_dev * a, uint32_t b, int32_t c, forge_queue * *d))                     \
  V(queue_destroy, 1, (forge_queue * a))                                                           \
  X(tl_create, 1, (forge_dev * a, uint64_t b, uint64_t c, forge_tl * *d))                          \
  V(tl_destroy, 1, (forge_tl * a))                                                                 \
  X(tl_query, 1, (forge_tl * a, uint64_t * b))                                                     \
  X(tl_wait, 1, (forge_tl * a, uint64_t b, uint64_t c))                                            \
  X(op_support, 1, (forge_dev * a, const forge_prog_desc *b, forge_support *c))                    \
  X(prog_create, 1, (forge_dev * a, const forge_prog_desc *b, forge_prog **c, forge_prog_out *d))  \
  V(prog_destroy, 1, (forge_prog * a))                                                             \
  X(submit, 1, (forge_queue * a, forge_prog * b, const forge_submit *c))                           \
  X(copy, 1, (forge_queue * a, const forge_copy *b, uint32_t c, const forge_submit *d))

/* NOLINTBEGIN(misc-unused-parameters) */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define STUB(slot, required, parameters)                                                           \
  static forge_status no_##slot parameters { return FORGE_E_UNSUPPORTED; }
#define VOID_STUB(slot, required, parameters)                                                      \
  static void no_##slot parameters {}
SLOTS(STUB, VOID_STUB)
#pragma GCC diagnostic pop
/* NOLINTEND(misc-unused-parameters) */

#define COUNT(slot, required, parameters) +1
_Static_assert(SLOTS(COUNT, COUNT) == FORGE_BACKEND_SLOTS, "every slot has its stub");

static void add_missing(library *lib, const char *slot) {
  const size_t n = strlen(lib->missing);
  snprintf(lib->missing + n, sizeof lib->missing - n, "%s%s", n ? " " : "", slot);
}

/* A longer table is a newer one: what lies behind our last slot is not looked at. */
static void take_slots(const forge_backend_v1 *theirs, library *lib) {
  forge_backend_v1 *ours = &lib->table;
  lib->missing[0] = 0;
  *ours = (forge_backend_v1){.n_slots = FORGE_BACKEND_SLOTS};
#define TAKE(slot, required, parameters)                                                           \
  ours->slot = theirs->slot ? theirs->slot : no_##slot;                                            \
  if ((required) && !theirs->slot) add_missing(lib, #slot);
  SLOTS(TAKE, TAKE)
#undef TAKE
}

/* The layout id of every minor of this major, as abi/recorded has it. A plugin is laid out as its
 * newest minor; one newer than this core has longer structs, of which we know the beginning. */
static const uint64_t layout_of_minor[] = {UINT64_C(74800091643665216), FORGE_LAYOUT_ID};
_Static_assert(COUNT_OF(layout_of_minor) == FORGE_ABI_MINOR + 1, "every minor has its layout id");

static forge_status check_layout(const forge_reply *r) {
  const uint64_t ours = r->minor_max <= FORGE_ABI_MINOR ? layout_of_minor[r->minor_max] : 0;
  if (!ours || r->layout_id == ours) return FORGE_OK;
  return FAIL(
      FORGE_E_ABI,
      "its structs are laid out otherwise (layout id %016llx, ABI %u.%u has %016llx): built "
      "with an edited header or with packing options",
      (unsigned long long)r->layout_id, FORGE_ABI_MAJOR, r->minor_max, (unsigned long long)ours);
}

static forge_status check_versions(const forge_reply *r) {
  if (r->minor_min > FORGE_ABI_MINOR || r->minor_max < r->minor_min)
    return FAIL(FORGE_E_ABI, "it speaks ABI %u.%u to %u.%u, this core 1.0 to %u.%u",
                FORGE_ABI_MAJOR, r->minor_min, FORGE_ABI_MAJOR, r->minor_max, FORGE_ABI_MAJOR,
                FORGE_ABI_MINOR);
  return check_layout(r);
}

static forge_status check_sanitizer(uint32_t theirs) {
  static const char *const names[] = {"no sanitizer", "AddressSanitizer", "ThreadSanitizer"};
  const uint32_t ours = FORGE_SANITIZER_BUILT;
  if (theirs == FORGE_SANITIZER_NONE || theirs == ours) return FORGE_OK;
  return FAIL(FORGE_E_ABI, "it was built with %s, this core with %s; build both alike",
              theirs < COUNT_OF(names) ? names[theirs] : "an unknown sanitizer", names[ours]);
}

forge_status adopt_check(const forge_reply *r) {
  TRY(check_versions(r));
  return check_sanitizer(r->sanitizer);
}

static forge_status check_length(const forge_backend_v1 *table) {
  if (table->n_slots >= FORGE_BACKEND_SLOTS) return FORGE_OK;
  return FAIL(FORGE_E_ABI, "its table has %u slots; ABI 1.0 has %u", table->n_slots,
              FORGE_BACKEND_SLOTS);
}

forge_status loader_adopt_table(const forge_backend_v1 *theirs, forge_backend_v1 *ours) {
  library scratch;
  TRY(check_length(theirs));
  take_slots(theirs, &scratch);
  *ours = scratch.table;
  return FORGE_OK;
}

forge_status adopt_reply(const manifest *m, const forge_reply *r, library *lib) {
  TRY(adopt_check(r));
  if (!r->table) return FAIL(FORGE_E_ABI, "its entry succeeded but gave no table");
  if (!r->name || strcmp(r->name, m->name) != 0)
    return FAIL(FORGE_E_MISMATCH, "it calls itself '%s', its manifest '%s'",
                r->name ? r->name : "(nothing)", m->name);
  TRY(check_length(r->table));
  take_slots(r->table, lib);
  const uint64_t own = FORGE_ABI_MINOR;
  lib->minor = (uint32_t)(r->minor_max < own ? r->minor_max : own);
  lib->vendor = r->vendor ? r->vendor : "";
  lib->version = r->version ? r->version : "";
  return FORGE_OK;
}
