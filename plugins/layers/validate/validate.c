/* validate.c -- a layer that checks how a device is used and what it answers: arguments, lifetimes,
 * order. For those who write frontends, the core or a backend.
 *
 *   objects.c  which handles there are       device.c  memory, blocks, opening, closing
 *   time.c     queues and timelines          program.c programs, and what they read and write
 *   work.c     submit and copy               description.c  what a program may say
 *   order.c    what runs, what is done, what is ordered before what (races) */
#include "validate.h"

static const forge_layer_v1 table = {
    .n_slots = FORGE_LAYER_SLOTS, .open = v_open, .block = v_block};

FORGE_BACKEND_ENTRY forge_status forge_layer_entry_v1(const forge_layer_hello *hello,
                                                      forge_layer_reply *reply) {
  return kit_greet(hello, reply, "validate", &table) ? FORGE_OK : FORGE_E_ABI;
}
