/* device.c -- what there is, and opening it. */
#include <string.h>

#include "host.h"
#include "plugin.h"
#include "work.h"

static uint32_t devices(void) {
  forge_probe probe = {.size = sizeof probe};
  rig_expect(rig_table()->probe(&probe), "probe");
  if (!probe.n_devices) test_skip("there is no device");
  return probe.n_devices;
}

static forge_dev_info ask(uint32_t ordinal) {
  forge_dev_info info = {.size = sizeof info};
  rig_expect(rig_table()->dev_info(ordinal, &info), "dev_info");
  return info;
}

static void info_is_filled(const void *arg) {
  (void)arg;
  for (uint32_t i = 0, n = devices(); i < n; i++) {
    const forge_dev_info info = ask(i);
    CHECK(info.size == sizeof info, "dev_info changed size to %u", info.size);
    CHECK(info.type >= FORGE_DEVICE_CPU && info.type <= FORGE_DEVICE_ACCELERATOR,
          "type of device %u is %u, none of FORGE_DEVICE_*", i, info.type);
    const size_t n_name = strnlen(info.name, sizeof info.name);
    CHECK(n_name < sizeof info.name, "the name of device %u is not ended inside its array", i);
    CHECK(n_name > 0 && host_is_text(info.name, n_name),
          "the name of device %u is empty or not UTF-8", i);
    CHECK(info.numa >= -1 && info.numa < 65536, "numa of device %u is %d", i, info.numa);
    CHECK(info.pci_bdf == UINT32_MAX || info.pci_bdf <= 0xFFFF,
          "pci_bdf of device %u is 0x%x: 16 bits, or 0xFFFFFFFF where it is not on PCI", i,
          info.pci_bdf);
  }
}

static void info_stays(const void *arg) {
  (void)arg;
  for (uint32_t i = 0, n = devices(); i < n; i++) {
    forge_dev_info a = ask(i), b = ask(i);
    a.name[sizeof a.name - 1] = b.name[sizeof b.name - 1] = 0;
    CHECK(a.type == b.type && !memcmp(a.uuid, b.uuid, 16) && a.pci_domain == b.pci_domain &&
              a.pci_bdf == b.pci_bdf && a.partition == b.partition && a.numa == b.numa &&
              a.mem_total == b.mem_total && !strcmp(a.name, b.name),
          "dev_info(%u) answers differently the second time", i);
  }
}

static void devices_differ(const void *arg) {
  (void)arg;
  static const uint8_t none[16];
  const uint32_t n = devices();
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = i + 1; k < n; k++) {
      const forge_dev_info a = ask(i), b = ask(k);
      CHECK(!memcmp(a.uuid, none, 16) || memcmp(a.uuid, b.uuid, 16) != 0,
            "devices %u and %u have one uuid", i, k);
      CHECK(a.pci_bdf == UINT32_MAX || a.pci_bdf != b.pci_bdf || a.pci_domain != b.pci_domain ||
                a.partition != b.partition,
            "devices %u and %u have one PCI address and partition", i, k);
    }
}

static void bad_ordinals(const void *arg) {
  (void)arg;
  const uint32_t n = devices(), bad[] = {n, n + 1, 0x7FFFFFFF, UINT32_MAX};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    forge_dev_info info = {.size = sizeof info};
    forge_dev *dev = NULL;
    forge_status status = rig_table()->dev_info(bad[i], &info);
    CHECK(status == FORGE_E_INVALID, "dev_info(%u) of %u devices answers %s (%d), not E_INVALID",
          bad[i], n, rig_status_name(status), status);
    status = rig_table()->dev_open(bad[i], NULL, &dev);
    CHECK(status == FORGE_E_INVALID, "dev_open(%u) of %u devices answers %s (%d), not E_INVALID",
          bad[i], n, rig_status_name(status), status);
  }
}

static void unknown_options(const void *arg) {
  (void)arg;
  devices();
  const char *options[] = {"no_such_option_of_any_backend", "1", NULL};
  forge_dev *dev = NULL;
  const forge_status status = rig_open_device(options, &dev);
  CHECK(status == FORGE_E_INVALID || status == FORGE_E_UNSUPPORTED,
        "dev_open with an option that does not exist answers %s (%d), not E_INVALID",
        rig_status_name(status), status);
}

static void opens_again(const void *arg) {
  (void)arg;
  for (int i = 0; i < 3; i++) {
    rig *r = rig_open();
    forge_mem *mem = rig_alloc(r, 1024);
    work_put(r, mem, 1024, (uint64_t)i);
    work_expect(r, mem, 1024, (uint64_t)i, "memory of a device opened again");
    rig_free_mem(r, mem);
    rig_close(r);
  }
}

/* ---- questions ---- */

static void check_value(uint32_t key, const forge_value *v) {
  static const struct {
    uint32_t key, kind;
  } known[] = {{FORGE_QUERY_THREADS, FORGE_VALUE_U64},
               {FORGE_QUERY_PEER, FORGE_VALUE_U64},
               {FORGE_QUERY_COMPUTE_UNITS, FORGE_VALUE_U64},
               {FORGE_QUERY_ISA, FORGE_VALUE_STRING},
               {FORGE_QUERY_HOST_VISIBLE, FORGE_VALUE_U64}};
  CHECK(v->status == FORGE_KNOWN || v->status == FORGE_ESTIMATED || v->status == FORGE_UNKNOWN,
        "dev_query(%u): status is %u, none of KNOWN, ESTIMATED, UNKNOWN", key, v->status);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].key == key)
      CHECK(v->kind == known[i].kind, "dev_query(%u): kind is %u, the registry says %u", key,
            v->kind, known[i].kind);
  if (v->kind == FORGE_VALUE_STRING && v->status != FORGE_UNKNOWN)
    CHECK(v->v.s && host_is_text(v->v.s, strlen(v->v.s)), "dev_query(%u): no UTF-8 string", key);
  if ((key == FORGE_QUERY_PEER || key == FORGE_QUERY_HOST_VISIBLE) && v->status != FORGE_UNKNOWN)
    CHECK(v->v.u <= 1, "dev_query(%u) is %llu; it is 0 or 1", key, (unsigned long long)v->v.u);
}

static void queries(const void *arg) {
  (void)arg;
  rig *r = rig_open();
  for (uint32_t key = 1; key < 64; key++) {
    forge_value v = {.kind = 99, .status = 99};
    const forge_status status = rig_table()->dev_query(rig_device(r), key, 0, &v);
    CHECK(!status || status == FORGE_E_UNSUPPORTED, "dev_query(%u) answers %s (%d)", key,
          rig_status_name(status), status);
    if (!status) check_value(key, &v);
  }
  rig_close(r);
}

static void unknown_queries(const void *arg) {
  (void)arg;
  static const uint32_t keys[] = {0, 9999, UINT32_MAX};
  rig *r = rig_open();
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    forge_value v = {0};
    const forge_status status = rig_table()->dev_query(rig_device(r), keys[i], 0, &v);
    CHECK(status == FORGE_E_UNSUPPORTED, "dev_query(%u) answers %s (%d), not E_UNSUPPORTED",
          keys[i], rig_status_name(status), status);
  }
  rig_close(r);
}

void chapter_device(test_list *list) {
  TEST(list, "device.info", info_is_filled, FB_D1);
  TEST(list, "device.info_stays", info_stays, FB_D1);
  TEST(list, "device.identities", devices_differ, FB_D1);
  TEST(list, "device.bad_ordinal", bad_ordinals, FB_D2);
  TEST(list, "device.unknown_option", unknown_options, FB_D3);
  TEST(list, "device.queries", queries, FB_D4);
  TEST(list, "device.unknown_query", unknown_queries, FB_D4);
  TEST(list, "device.opens_again", opens_again, FB_D5);
}
