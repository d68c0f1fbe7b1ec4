/* isa.c -- what the machine's processors can do, in the words of /proc/cpuinfo. The kernel lists a
 * feature there only when programs may use it, which cpuid alone does not tell. */
#include <stdio.h>
#include <string.h>

#include "loader_parts.h"

static bool is_feature_line(const char *line) {
  return !strncmp(line, "flags", 5) || !strncmp(line, "Features", 8) || !strncmp(line, "isa", 3);
}

void isa_of_machine(char *out, size_t size) {
  char line[4096];
  FILE *f = fopen("/proc/cpuinfo", "re");
  snprintf(out, size, " ");
  while (f && fgets(line, sizeof line, f)) {
    const char *colon = strchr(line, ':');
    if (!colon || !is_feature_line(line)) continue;
    line[strcspn(line, "\n")] = 0;
    snprintf(out, size, " %s ", colon + 1);
    break;
  }
  if (f) fclose(f);
}

void isa_missing(const char *needed, const char *have, char *out, size_t size) {
  size_t n = 0;
  out[0] = 0;
  while (needed && *needed) {
    needed += strspn(needed, " \t");
    const size_t word = strcspn(needed, " \t");
    char padded[64];
    snprintf(padded, sizeof padded, " %.*s ", (int)word, needed);
    if (word && !strstr(have, padded) && n < size) {
      const int more = snprintf(out + n, size - n, "%s%.*s", n ? " " : "", (int)word, needed);
      n += more > 0 ? (size_t)more : 0;
    }
    needed += word;
  }
}
