/* entry.c -- the sound plugin's entry, with the bug between it and the core. */
#include "plant.h"

const forge_backend_v1 *sound;
forge_backend_v1 planted;
const forge_host *host;
forge_host given;

forge_status refuse(forge_status status, const char *msg) {
  const forge_error error = {.size = sizeof error,
                             .scope = FORGE_SCOPE_CALL,
                             .code = status,
                             .msg = msg,
                             .op_index = FORGE_OP_INDEX_UNKNOWN};
  host->report(host->ctx, &error);
  return status;
}

FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello,
                                                        forge_reply *reply) {
  forge_hello mine = *hello;
  host = hello->host;
  given = *host;
  mine.host = &given;
  const forge_status status = sound_entry(&mine, reply);
  if (status) return status;
  sound = reply->table;
  planted = *sound;
  plant();
  reply->table = &planted;
  return FORGE_OK;
}
