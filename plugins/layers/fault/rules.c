/* rules.c -- what the operator wants to go wrong, and when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

static const char *const calls[CALL_LIMIT] = {
    "mem_alloc", "queue_create", "tl_create", "op_support", "prog_create", "submit",
    "copy",      "tl_query",     "tl_wait",   "dev_query",  "import",      "work"};

const char *rules_call_name(uint32_t call) { return calls[call]; }

uint64_t rules_mix(uint64_t x) { /* splitmix64 */
  x += UINT64_C(0x9E3779B97F4A7C15);
  x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
  return x ^ x >> 31;
}

/* ---- parsing ---- */

static bool number(const char *s, uint64_t *out) {
  char *end;
  if (*s < '0' || *s > '9') return false;
  *out = strtoull(s, &end, 10);
  return !*end;
}

/* "0.25", "1e-3": strtod() would want the comma of the program's locale. */
static double decimal(const char *s, const char **out_end) {
  char *end;
  double value = 0;
  long power = 0;
  *out_end = s;
  if (*s < '0' || *s > '9') return -1;
  for (; *s >= '0' && *s <= '9'; s++) value = value * 10 + (*s - '0');
  if (*s == '.')
    for (s++; *s >= '0' && *s <= '9'; s++, power--) value = value * 10 + (*s - '0');
  *out_end = s;
  if (*s == 'e') {
    const long e = strtol(s + 1, &end, 10);
    power += e > 99 ? 99 : e < -99 ? -99 : e;
    *out_end = end;
  }
  for (; power > 0; power--) value *= 10;
  double divisor = 1;
  for (; power < 0; power++) divisor *= 10;
  return value / divisor;
}

static bool parse_when(rule *r, char *s) {
  const size_t n = strlen(s);
  const char *end;
  if (!strncmp(s, "every", 5)) {
    r->when = WHEN_EVERY;
    return number(s + 5, &r->n) && r->n;
  }
  if (*s == 'p') {
    r->when = WHEN_CHANCE;
    r->chance = decimal(s + 1, &end);
    return !*end && r->chance >= 0 && r->chance <= 1;
  }
  r->when = n && s[n - 1] == '+' ? WHEN_FROM : WHEN_NTH;
  if (r->when == WHEN_FROM) s[n - 1] = 0;
  return number(s, &r->n) && r->n;
}

/* "5ms" in nanoseconds. */
static bool duration(const char *s, const char **out_end, uint64_t *out) {
  static const struct {
    const char *unit;
    double ns;
  } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
  const char *end;
  const double value = decimal(s, &end);
  if (value < 0) return false;
  for (size_t i = 0; i < KIT_COUNT(units); i++) {
    const size_t n = strlen(units[i].unit);
    if (strncmp(end, units[i].unit, n) != 0) continue;
    *out = (uint64_t)(value * units[i].ns);
    *out_end = end + n;
    return value * units[i].ns < 600e9;
  }
  return false;
}

static bool parse_delay(rule *r, const char *s) {
  const char *end;
  r->what = DO_DELAY;
  if (!duration(s, &end, &r->least_ns)) return false;
  r->most_ns = r->least_ns;
  if (!strncmp(end, "..", 2) && !duration(end + 2, &end, &r->most_ns)) return false;
  return !*end && r->most_ns >= r->least_ns;
}

static bool parse_status(const char *s, forge_status *out) {
  static const struct {
    const char *name;
    forge_status status;
  } all[] = {
#define STATUS(name, number, text) {#name, number},
      FORGE_STATUS_MAP(STATUS)
#undef STATUS
  };
  for (size_t i = 0; i < KIT_COUNT(all); i++) {
    *out = all[i].status;
    if (!*out) continue; /* OK would change nothing */
    if (!strcmp(s, all[i].name) || !strcmp(s, all[i].name + 2)) return true;
  }
  return false;
}

/* "flip", "flip=3", "flip@12", "flip=3@12". */
static bool parse_flip(rule *r, char *s) {
  uint64_t bits = 1, op = 0;
  char *at = strchr(s, '@');
  if (at) *at++ = 0;
  if (*s == '=' ? !number(s + 1, &bits) : *s != 0) return false;
  if (at && !number(at, &op)) return false;
  r->what = DO_FLIP;
  r->bits = (uint32_t)bits;
  r->op = at ? (int64_t)op : -1;
  return r->call == CALL_SUBMIT && bits >= 1 && bits <= 32;
}

static bool is_work(const rule *r) {
  return r->call == CALL_SUBMIT || r->call == CALL_COPY || r->call == CALL_WORK;
}

static bool parse_what(rule *r, char *s) {
  if (!strcmp(s, "lost")) {
    r->what = DO_LOSE;
    return true;
  }
  if (!strncmp(s, "delay=", 6)) return parse_delay(r, s + 6);
  if (!strncmp(s, "flip", 4)) return parse_flip(r, s + 4);
  r->what = DO_STATUS;
  if (strncmp(s, "fail=", 5) != 0) return parse_status(s, &r->status);
  r->what = DO_FAIL;
  return is_work(r) && parse_status(s + 5, &r->status);
}

static bool parse_call(rule *r, const char *s) {
  for (r->call = 0; r->call < CALL_LIMIT; r->call++)
    if (!strcmp(s, calls[r->call])) return true;
  return false;
}

static forge_status parse_rule(const char *s, size_t n, rule *r, const forge_host *host) {
  char text[96];
  if (n >= sizeof text) return kit_fail(host, FORGE_E_CONFIG, "rule '%.*s' is too long", (int)n, s);
  snprintf(text, sizeof text, "%.*s", (int)n, s);
  snprintf(r->text, sizeof r->text, "%s", text);
  char *when = strchr(text, ':'), *what = when ? strchr(when + 1, ':') : NULL;
  if (when) *when++ = 0;
  if (what) *what++ = 0;
  if (!what)
    return kit_fail(host, FORGE_E_CONFIG, "rule '%s' must read CALL:WHEN:WHAT, as mem_alloc:3:OOM",
                    r->text);
  if (!parse_call(r, text))
    return kit_fail(host, FORGE_E_CONFIG,
                    "rule '%s': there is no call '%s'; there is mem_alloc queue_create tl_create "
                    "op_support prog_create submit copy work tl_query tl_wait dev_query import",
                    r->text, text);
  if (!parse_when(r, when))
    return kit_fail(host, FORGE_E_CONFIG,
                    "rule '%s': '%s' must be N, N+ (from then on), everyN or pCHANCE", r->text,
                    when);
  if (!parse_what(r, what))
    return kit_fail(host, FORGE_E_CONFIG,
                    "rule '%s': '%s' must be a status as OOM, lost, or delay=2ms..5ms; of submit "
                    "also flip=BITS@OP, of submit, copy and work also fail=STATUS",
                    r->text, what);
  return FORGE_OK;
}

forge_status rules_parse(const char *text, uint64_t seed, rule_set *out, const forge_host *host) {
  out->seed = seed;
  while (*text) {
    text += strspn(text, " ;\t");
    size_t n = strcspn(text, ";");
    const char *next = text + n;
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t')) n--;
    if (!n) break;
    if (out->n == MAX_RULES)
      return kit_fail(host, FORGE_E_CONFIG, "there may be %d rules", MAX_RULES);
    const forge_status st = parse_rule(text, n, &out->rules[out->n], host);
    if (st) return st;
    out->n++;
    text = next;
  }
  return FORGE_OK;
}

/* ---- striking ---- */

static bool strikes(const rule *r, uint64_t count, uint64_t random) {
  switch (r->when) {
  case WHEN_NTH: return count == r->n;
  case WHEN_FROM: return count >= r->n;
  case WHEN_EVERY: return count % r->n == 0;
  default: return (double)(random >> 11) * 0x1p-53 < r->chance;
  }
}

const rule *rules_strike(rule_set *set, uint32_t call, uint64_t *out_count, uint64_t *out_random) {
  const rule *hit = NULL;
  for (uint32_t i = 0; i < set->n; i++) {
    rule *r = &set->rules[i];
    const bool is_call =
        r->call == call || (r->call == CALL_WORK && (call == CALL_SUBMIT || call == CALL_COPY));
    if (!is_call) continue;
    const uint64_t count = atomic_fetch_add(&r->count, 1) + 1;
    const uint64_t random = rules_mix(rules_mix(set->seed ^ rules_mix(i + 1)) ^ count);
    if (hit || !strikes(r, count, random)) continue;
    hit = r;
    *out_count = count;
    *out_random = rules_mix(random);
  }
  return hit;
}
