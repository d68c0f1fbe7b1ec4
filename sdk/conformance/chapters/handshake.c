/* handshake.c -- the entry, the reply and the table. */
#include <string.h>

#include "host.h"
#include "plugin.h"
#include "rig.h"

static void answers(const void *arg) {
  (void)arg;
  forge_reply reply;
  const forge_status status = plugin_negotiate(&reply);
  CHECK(!status, "the entry answers %s (%d): %s", rig_status_name(status), status, rig_words());
  CHECK(reply.table, "the entry answers OK and gives no table");
}

void chapter_handshake(test_list *list) { TEST(list, "handshake.entry", answers, FB_H1); }
