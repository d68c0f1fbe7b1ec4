/* lint_needs.c -- what a plugin asks of the process it is loaded into: libraries, where it looks
 * for them, the C library's age, and functions that are the process's own business. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lint.h"

/* ---- libraries ---- */

/* With every C toolchain, on every system that has Forge. */
static bool is_usual(const char *library) {
  static const char *const usual[] = {"libc.so.",  "libm.so.", "libdl.so.",    "libpthread.so.",
                                      "librt.so.", "ld-linux", "libgcc_s.so.", "libmvec.so."};
  for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
    if (!strncmp(library, usual[i], strlen(usual[i]))) return true;
  return false;
}

static bool is_sanitizers(const char *library) {
  return !strncmp(library, "libasan.so", 10) || !strncmp(library, "libtsan.so", 10) ||
         !strncmp(library, "libubsan.so", 11) || !strncmp(library, "liblsan.so", 10);
}

static bool is_allowed(const lint_options *o, const char *library) {
  const char *name;
  for (uint32_t i = 0; o->allowed && (name = o->allowed(o->ctx, i)); i++)
    if (!strcmp(name, library)) return true;
  return false;
}

static void judge_library(const char *library, lint_report *out) {
  if (!strncmp(library, "libforge.so", 11))
    lint_say(out, "FB-X8", LINT_FAIL,
             "a plugin sees forge/backend.h alone; services come by the forge_host of its entry",
             "it is linked against the core, %s", library);
  else if (!strncmp(library, "libstdc++", 9) || !strncmp(library, "libc++", 6))
    lint_say(out, "FB-X8", LINT_FAIL,
             "link with -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL",
             "it needs the C++ library %s of its compiler's version, of which a process has one",
             library);
  else
    lint_say(out, "FB-X8", LINT_FAIL,
             "dlopen() it in probe() and say in why_not when it is missing, or link it statically "
             "and hidden; --allow-needed accepts it",
             "it needs %s: where that is missing the plugin cannot be loaded, let alone say so",
             library);
}

static void judge_paths(const char *tag, const char *paths, lint_report *out) {
  bool here = false; /* an empty part is the folder a program was started in */
  while (paths && *paths) {
    const size_t n = strcspn(paths, ":");
    here |= n == 0;
    if (n && strncmp(paths, "$ORIGIN", 7) != 0 && strncmp(paths, "${ORIGIN}", 9) != 0)
      lint_say(out, "FB-X9", LINT_FAIL,
               "clear it (cmake: CMAKE_SKIP_INSTALL_RPATH, INSTALL_RPATH), or begin with $ORIGIN",
               "its libraries are looked for in '%.*s' (%s), whoever may write there", (int)n,
               paths, tag);
    paths += n + (paths[n] == ':');
  }
  if (here)
    lint_say(out, "FB-X9", LINT_FAIL, "clear it (cmake: CMAKE_SKIP_RPATH for the plugin's target)",
             "its libraries are looked for in the current folder: an empty part in its %s", tag);
}

/* ---- the C library's age ---- */

static bool newer(const unsigned a[2], const unsigned b[2]) {
  return a[0] != b[0] ? a[0] > b[0] : a[1] > b[1];
}

static const char *name_of_version(const elf_facts *f, const char *version) {
  for (size_t i = 0; i < f->n_symbols; i++)
    if (!f->symbols[i].defined && !strcmp(f->symbols[i].version, version))
      return f->symbols[i].name;
  return "no symbol";
}

static void judge_glibc(const elf_facts *f, const lint_options *o, lint_report *out) {
  const unsigned allowed[2] = {o->glibc_major, o->glibc_minor};
  unsigned newest[2] = {0, 0};
  for (size_t i = 0; i < f->n_needs; i++) {
    const char *name = f->needs[i].version;
    unsigned v[2];
    if (!strcmp(name, "GLIBC_PRIVATE"))
      lint_say(out, "FB-X10", LINT_FAIL, "use what the C library's manual describes",
               "it uses %s, which changes with every C library", name_of_version(f, name));
    if (sscanf(name, "GLIBC_%u.%u", &v[0], &v[1]) != 2) continue;
    if (newer(v, newest)) memcpy(newest, v, sizeof v);
    if (newer(v, allowed))
      lint_say(out, "FB-X10", LINT_FAIL,
               "build on the oldest system it shall run on, or say --glibc",
               "it needs glibc %u.%u (%s); %u.%u is to be enough", v[0], v[1],
               name_of_version(f, name), allowed[0], allowed[1]);
  }
  char text[80];
  snprintf(text, sizeof text, "it runs with glibc %u.%u and later", newest[0], newest[1]);
  lint_pass(out, "FB-X10", newest[0] ? text : "it asks for no version of the C library");
}

void lint_judge_libraries(const elf_facts *f, const lint_options *o, lint_report *out) {
  for (size_t i = 0; i < f->n_needed; i++)
    if (!is_usual(f->needed[i]) && !is_allowed(o, f->needed[i]) &&
        !(is_sanitizers(f->needed[i]) && lint_sanitized(f)))
      judge_library(f->needed[i], out);
  lint_pass(out, "FB-X8", "it needs libraries only that every system has");
  judge_paths("DT_RPATH", f->rpath, out);
  judge_paths("DT_RUNPATH", f->runpath, out);
  lint_pass(out, "FB-X9", "no folder of the machine it was built on is searched");
  judge_glibc(f, o, out);
}

/* ---- imports that are the process's own business ---- */

typedef struct import_rule {
  const char *name, *rule;
  int level;
  const char *why, *remedy;
} import_rule;

#define ENDS    "ends the whole process"
#define AT_EXIT "leaves code behind that runs when the process ends, after the devices are closed"
#define HANDLER "changes how the whole process takes signals"
#define STATE   "changes the state of the whole process"
#define ANSWER  "answer a status and report why"
#define UNDO    "release things in dev_close() and shutdown()"
#define LEAVE   "leave it to the program"

static const import_rule imports[] = {
    {"exit", "FB-X12", LINT_FAIL, ENDS, ANSWER},
    {"_exit", "FB-X12", LINT_FAIL, ENDS, ANSWER},
    {"_Exit", "FB-X12", LINT_FAIL, ENDS, ANSWER},
    {"quick_exit", "FB-X12", LINT_FAIL, ENDS, ANSWER},
    {"err", "FB-X12", LINT_FAIL, ENDS, ANSWER},
    {"errx", "FB-X12", LINT_FAIL, ENDS, ANSWER},
    {"abort", "FB-X12", LINT_WARN, ENDS,
     ANSWER "; if only a library in it does, make sure it cannot"},
    {"__assert_fail", "FB-X12", LINT_WARN, ENDS, "compile with -DNDEBUG, or " ANSWER},
    {"longjmp", "FB-X12", LINT_WARN, "must not cross the plugin's boundary", "jump inside it only"},
    {"_longjmp", "FB-X12", LINT_WARN, "must not cross the plugin's boundary",
     "jump inside it only"},
    {"siglongjmp", "FB-X12", LINT_WARN, "must not cross the plugin's boundary",
     "jump inside it only"},
    {"__longjmp_chk", "FB-X12", LINT_WARN, "must not cross the plugin's boundary",
     "jump inside it only"},
    {"atexit", "FB-X13", LINT_WARN, AT_EXIT, UNDO},
    {"on_exit", "FB-X13", LINT_WARN, AT_EXIT, UNDO},
    {"at_quick_exit", "FB-X13", LINT_WARN, AT_EXIT, UNDO},
    {"__cxa_atexit", "FB-X13", LINT_WARN, AT_EXIT,
     UNDO "; C++: no static objects with destructors"},
    {"signal", "FB-X13", LINT_WARN, HANDLER, LEAVE},
    {"sigaction", "FB-X13", LINT_WARN, HANDLER, LEAVE},
    {"sigaltstack", "FB-X13", LINT_WARN, HANDLER, LEAVE},
    {"sigprocmask", "FB-X13", LINT_WARN, HANDLER,
     "pthread_sigmask() in threads of its own is fine"},
    {"setlocale", "FB-X13", LINT_WARN, STATE, "newlocale() and uselocale() are for one thread"},
    {"setenv", "FB-X13", LINT_WARN, STATE, "take options from the manifest"},
    {"putenv", "FB-X13", LINT_WARN, STATE, "take options from the manifest"},
    {"chdir", "FB-X13", LINT_WARN, STATE, "use openat()"},
    {"umask", "FB-X13", LINT_WARN, STATE, "give modes to open()"},
};

static const import_rule *find_rule(const char *name) {
  for (size_t i = 0; i < sizeof imports / sizeof *imports; i++)
    if (!strcmp(imports[i].name, name)) return &imports[i];
  return NULL;
}

/* Names of the C++ ABI, except those that the C library itself has. */
static bool is_cplusplus(const char *name) {
  static const char *const glibc[] = {"__cxa_finalize", "__cxa_atexit", "__cxa_at_quick_exit",
                                      "__cxa_thread_atexit_impl"};
  for (size_t i = 0; i < sizeof glibc / sizeof *glibc; i++)
    if (!strcmp(glibc[i], name)) return false;
  return !strncmp(name, "_Z", 2) || !strncmp(name, "__cxa_", 6) || !strncmp(name, "__gxx_", 6);
}

static void judge_import(const elf_symbol *s, const char *rule, lint_report *out) {
  const import_rule *found = find_rule(s->name);
  if (found && !strcmp(found->rule, rule))
    lint_say(out, rule, found->level, found->remedy, "it calls %s(), which %s", s->name,
             found->why);
}

static void judge_cplusplus(const elf_facts *f, lint_report *out) {
  size_t n = 0;
  const char *first = NULL;
  const char *throws = NULL;
  for (size_t i = 0; i < f->n_symbols; i++) {
    const elf_symbol *s = &f->symbols[i];
    if (s->defined || s->bind == STB_WEAK || !is_cplusplus(s->name)) continue;
    if (!n++) first = s->name;
    if (!strcmp(s->name, "__cxa_throw")) throws = s->name;
  }
  if (n)
    lint_say(
        out, "FB-X14", LINT_FAIL,
        "link with -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL; catch everything at "
        "the boundary, or compile with -fno-exceptions",
        "%zu symbol%s of C++ must come from elsewhere in the process: %s%s", n, n == 1 ? "" : "s",
        throws ? throws : first, throws ? ", so it throws exceptions" : "");
}

void lint_judge_imports(const elf_facts *f, lint_report *out) {
  static const char *const rules[][2] = {
      {"FB-X12", "it calls nothing that ends the process"},
      {"FB-X13", "it leaves exit, signals and the process's state alone"}};
  for (size_t r = 0; r < 2; r++) {
    for (size_t i = 0; i < f->n_symbols; i++)
      if (!f->symbols[i].defined) judge_import(&f->symbols[i], rules[r][0], out);
    lint_pass(out, rules[r][0], rules[r][1]);
  }
  judge_cplusplus(f, out);
  lint_pass(out, "FB-X14", "no C++ symbol must come from elsewhere");
}
