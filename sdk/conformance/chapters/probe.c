/* probe.c -- looking for devices, before anything is opened. */
#include <string.h>

#include "host.h"
#include "plugin.h"
#include "process.h"
#include "work.h"

static forge_probe look(void) {
  forge_probe probe = {.size = sizeof probe};
  rig_expect(rig_table()->probe(&probe), "probe");
  return probe;
}

static void answers(const void *arg) {
  (void)arg;
  const forge_probe probe = look();
  CHECK(probe.size == sizeof probe, "probe changed the answer's size to %u", probe.size);
  CHECK(!probe.driver || host_is_text(probe.driver, strlen(probe.driver)), "driver is not UTF-8");
  if (probe.n_devices) return;
  CHECK(probe.why_not && probe.why_not[0], "there is no device and why_not does not say why");
  CHECK(host_is_text(probe.why_not, strlen(probe.why_not)), "why_not is not UTF-8");
}

static void same_again(const void *arg) {
  (void)arg;
  const forge_probe first = look();
  for (int i = 0; i < 3; i++) {
    const forge_probe next = look();
    CHECK(next.n_devices == first.n_devices, "probe finds %u devices, then %u", first.n_devices,
          next.n_devices);
  }
}

static void makes_no_thread(const void *arg) {
  (void)arg;
  const process_state before = process_look();
  const forge_probe probe = look();
  CHECK(process_look().threads == before.threads, "there are %u threads after probe(), %u before",
        process_look().threads, before.threads);
  for (uint32_t i = 0; i < probe.n_devices; i++) {
    forge_dev_info info = {.size = sizeof info};
    rig_expect(rig_table()->dev_info(i, &info), "dev_info");
  }
  CHECK(process_look().threads == before.threads,
        "there are %u threads after dev_info(), %u before", process_look().threads, before.threads);
}

void chapter_probe(test_list *list) {
  TEST(list, "probe.answers", answers, FB_P1);
  TEST(list, "probe.same_again", same_again, FB_P3);
  TEST(list, "probe.no_thread", makes_no_thread, FB_P2);
}
