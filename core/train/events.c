/* events.c -- see events.h. Field numbers are those of TensorFlow's event.proto and summary.proto.
 */
#include "events.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 256 };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_LOG = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, LOG_STATUS = 1, STATUS_START = 1 };

typedef struct message {
  uint8_t s[MESSAGE];
  size_t n;
} message;

uint32_t events_crc32c(const void *bytes, size_t n) {
  const uint8_t *at = bytes;
  uint32_t crc = ~0u;
  for (size_t i = 0; i < n; i++) {
    crc ^= at[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

static uint32_t masked(const void *bytes, size_t n) {
  const uint32_t crc = events_crc32c(bytes, n);
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static void put(message *m, const void *bytes, size_t n) {
  memcpy(m->s + m->n, bytes, n);
  m->n += n;
}

static void put_varint(message *m, uint64_t value) {
  for (; value > 127; value >>= 7) m->s[m->n++] = (uint8_t)(value | 128);
  m->s[m->n++] = (uint8_t)value;
}

static void put_key(message *m, uint32_t field, uint32_t wire) { put_varint(m, field << 3 | wire); }

static void put_bytes(message *m, uint32_t field, const void *bytes, size_t n) {
  put_key(m, field, WIRE_BYTES);
  put_varint(m, n);
  put(m, bytes, n);
}

static message event(uint64_t step, double wall_time) {
  message m = {.n = 0};
  put_key(&m, EVENT_WALL_TIME, WIRE_64);
  put(&m, &wall_time, sizeof wall_time);
  put_key(&m, EVENT_STEP, WIRE_VARINT);
  put_varint(&m, step);
  return m;
}

static forge_status write_record(events *e, const message *m) {
  const uint64_t n = m->n;
  const uint32_t head = masked(&n, sizeof n), tail = masked(m->s, m->n);
  if (fwrite(&n, sizeof n, 1, e->stream) != 1 || fwrite(&head, sizeof head, 1, e->stream) != 1 ||
      fwrite(m->s, m->n, 1, e->stream) != 1 || fwrite(&tail, sizeof tail, 1, e->stream) != 1 ||
      fflush(e->stream))
    return base_fail_errno(FORGE_E_IO, "writing the TensorBoard events");
  return FORGE_OK;
}

static forge_status write_start(events *e, uint64_t step) {
  static const char version[] = "brain.Event:2";
  const double now = (double)time(NULL);
  message first = event(0, now), start = event(step, now), log = {.n = 0};
  put_bytes(&first, EVENT_VERSION, version, sizeof version - 1);
  TRY(write_record(e, &first));
  put_key(&log, LOG_STATUS, WIRE_VARINT);
  put_varint(&log, STATUS_START);
  put_bytes(&start, EVENT_LOG, log.s, log.n);
  return write_record(e, &start);
}

/* The names sort by time, which is how TensorBoard orders them. */
static forge_status open_new(const char *folder, events *out) {
  for (int try = 0; try < 100; try++) {
    char *path = mem_printf("%s/events.out.tfevents.%010lld.forge.%ld.%02d", folder,
                            (long long)time(NULL), (long)getpid(), try);
    if (!path) return FAIL(FORGE_E_OOM, "%s: no memory", folder);
    out->stream = fopen(path, "wxbe");
    mem_free(path);
    if (out->stream) return FORGE_OK;
  }
  return base_fail_errno(FORGE_E_IO, "%s: no event file can be made", folder);
}

forge_status events_open(const char *folder, uint64_t step, events *out) {
  *out = (events){0};
  TRY(open_new(folder, out));
  const forge_status st = write_start(out, step);
  if (st) events_close(out);
  return st;
}

void events_close(events *e) {
  if (e->stream) fclose(e->stream);
  *e = (events){0};
}

forge_status events_scalar(events *e, uint64_t step, double time_, const char *tag, double value) {
  const float simple = (float)value;
  message m = event(step, time_), summary = {.n = 0}, one = {.n = 0};
  if (strlen(tag) > 64) return FAIL(FORGE_E_INVALID, "event tag '%s' is too long", tag);
  put_bytes(&one, VALUE_TAG, tag, strlen(tag));
  put_key(&one, VALUE_SIMPLE, WIRE_32);
  put(&one, &simple, sizeof simple);
  put_bytes(&summary, SUMMARY_VALUE, one.s, one.n);
  put_bytes(&m, EVENT_SUMMARY, summary.s, summary.n);
  return write_record(e, &m);
}
