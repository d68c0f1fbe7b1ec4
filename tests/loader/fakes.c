/* fakes.c -- the null backend with one defect, chosen by -DFAKE_x and named by -DFAKE_NAME. What
 * the core makes of each is in test_loader.c. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define forge_backend_entry_v1 null_entry /* the sound one, called by the defective one */
#include "null.c"
#undef forge_backend_entry_v1

#if defined(FAKE_STATIC_TLS)
/* Initial-exec storage must fit into what the process has left over; this never does. */
static _Thread_local __attribute__((tls_model("initial-exec"))) volatile char big[1 << 20];
#endif

#if defined(FAKE_NEXT_MIN_0)
enum { OLDEST_MINOR = 0 };
#elif defined(FAKE_NEXT_MIN_1)
enum { OLDEST_MINOR = FORGE_ABI_MINOR };
#elif defined(FAKE_NEXT_MIN_2)
enum { OLDEST_MINOR = FORGE_ABI_MINOR + 1 };
#endif

#if defined(FAKE_NEXT_MIN_0) || defined(FAKE_NEXT_MIN_1) || defined(FAKE_NEXT_MIN_2)
#define FAKE_NEXT
/* A backend of the next minor: one slot more than this core knows. */
static struct {
  forge_backend_v1 known;
  forge_status (*future)(void);
} longer;
static forge_status future(void) { abort(); }
#endif

/* What abi/recorded/1.0 says. */
#define LAYOUT_OF_1_0 UINT64_C(74800091643665216)

static forge_backend_v1 changed;

static forge_status probe_with_defect(forge_probe *out) {
#if defined(FAKE_HANG_IN_PROBE)
  for (;;) pause();
#elif defined(FAKE_CRASH_IN_PROBE)
  raise(SIGSEGV);
#elif defined(FAKE_PROBE_FAILS)
  (void)out;
  return fail(FORGE_E_FAULT, "the driver is older than 12.0; install a newer one");
#elif defined(FAKE_NO_DEVICE)
  out->why_not = "no such card in this machine; is it powered?";
  return FORGE_OK;
#elif defined(FAKE_MANY_DEVICES)
  out->n_devices = UINT32_MAX;
  return FORGE_OK;
#endif
  return probe(out);
}

#if defined(FAKE_NO_HANDLES)
static forge_status give_nothing(uint32_t ordinal, const char *const *options, forge_dev **out) {
  (void)ordinal;
  (void)options;
  *out = NULL;
  return FORGE_OK;
}
#elif defined(FAKE_LATIN_NAME)
static forge_status latin_info(uint32_t ordinal, forge_dev_info *out) {
  const forge_status status = dev_info(ordinal, out);
  strcpy(out->name, "Chip\xAE 3");
  return status;
}
#endif

static void apply_defect(forge_reply *reply) {
  changed = table;
  changed.probe = probe_with_defect;
  reply->table = &changed;
#if defined(FAKE_SHORT_TABLE)
  changed.n_slots = 12;
#elif defined(FAKE_NEXT)
  changed.n_slots = FORGE_BACKEND_SLOTS + 1;
  longer.known = changed;
  longer.future = future;
  reply->table = &longer.known;
  reply->minor_min = OLDEST_MINOR;
  reply->minor_max = FORGE_ABI_MINOR + 1;
  reply->layout_id = 1; /* of the later minor's structs */
#elif defined(FAKE_NO_HANDLES)
  changed.dev_open = give_nothing;
#elif defined(FAKE_LATIN_NAME)
  changed.dev_info = latin_info;
#elif defined(FAKE_NULL_REQUIRED)
  changed.copy = NULL;
#elif defined(FAKE_NULL_OPTIONAL)
  changed.dev_query = NULL;
  changed.get_block = NULL;
  changed.shutdown = NULL;
#elif defined(FAKE_LAYOUT)
  reply->layout_id = 1;
#elif defined(FAKE_MINOR_0)
  reply->minor_max = 0;
  reply->layout_id = LAYOUT_OF_1_0;
#elif defined(FAKE_MINOR_0_LAYOUT)
  reply->minor_max = 0;
  reply->layout_id = LAYOUT_OF_1_0 + 1;
#elif defined(FAKE_MINOR)
  reply->minor_min = reply->minor_max = 7;
#elif defined(FAKE_OTHER_NAME)
  reply->name = "somebody-else";
#elif defined(FAKE_NO_TABLE)
  reply->table = NULL;
#elif defined(FAKE_STATIC_TLS)
  big[0] = 1;
#elif defined(FAKE_SANITIZER)
  reply->sanitizer = FORGE_SANITIZER_BUILT == FORGE_SANITIZER_THREAD ? FORGE_SANITIZER_ADDRESS
                                                                     : FORGE_SANITIZER_THREAD;
#endif
}

#if defined(FAKE_NO_SYMBOL)
#define ENTRY forge_backend_query
#elif defined(FAKE_WRONG_MAJOR)
#define ENTRY forge_backend_entry_v2
#else
#define ENTRY forge_backend_entry_v1
#endif

FORGE_BACKEND_ENTRY forge_status ENTRY(const forge_hello *hello, forge_reply *reply);
FORGE_BACKEND_ENTRY forge_status ENTRY(const forge_hello *hello, forge_reply *reply) {
#if defined(FAKE_ABORT_IN_ENTRY)
  abort();
#elif defined(FAKE_ENTRY_FAILS)
  host = hello->host;
  return fail(FORGE_E_FAULT, "the firmware is not loaded; run the vendor's loader");
#endif
  null_entry(hello, reply);
  reply->name = FAKE_NAME;
  apply_defect(reply);
  return FORGE_OK;
}
