/* lint_rules.c -- the rules about the file itself: what it shows, and what it does when it is
 * loaded. */
#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lint.h"
#include "lint_read.h"

void lint_say(lint_report *report, const char *rule, int level, const char *remedy,
              const char *format, ...) {
  if (!lint_add(&report->list, &report->n, sizeof *report->list)) {
    report->incomplete = true;
    return;
  }
  lint_finding *f = &report->list[report->n++];
  *f = (lint_finding){.rule = rule, .level = level, .remedy = remedy};
  va_list args;
  va_start(args, format);
  vsnprintf(f->text, sizeof f->text, format, args);
  va_end(args);
  if (level > report->worst) report->worst = level;
}

void lint_pass(lint_report *report, const char *rule, const char *what) {
  if (report->n && !strcmp(report->list[report->n - 1].rule, rule)) return;
  lint_say(report, rule, LINT_OK, NULL, "%s", what);
}

void lint_finish(lint_report *report) {
  free(report->list);
  *report = (lint_report){0};
}

bool lint_sanitized(const elf_facts *f) {
  for (size_t i = 0; i < f->n_symbols; i++)
    if (!strncmp(f->symbols[i].name, "__asan_init", 11) ||
        !strncmp(f->symbols[i].name, "__tsan_init", 11) ||
        !strncmp(f->symbols[i].name, "__ubsan_handle", 14))
      return true;
  return false;
}

bool lint_is_library(const elf_facts *f, char why[ELF_WHY_BYTES]) {
  const char *what = NULL;
  if (f->type == ET_REL)
    what = "it is an object file (.o); link it: cc -shared";
  else if (f->type == ET_EXEC || f->pie)
    what = "it is a program, no library";
  else if (f->type == ET_CORE)
    what = "it is the memory of a crashed program";
  else if (f->type != ET_DYN)
    what = "it is an ELF file of another kind, no library";
  else if (!f->sections)
    what = "its section headers were removed, so there is nothing to read; strip(1) leaves them";
  else if (!f->dynamic)
    what = "it has no dynamic section: a static program, or the debug half of a library";
  if (what) snprintf(why, ELF_WHY_BYTES, "%s", what);
  return !what;
}

/* ---- what it shows to others ---- */

static const char backend_entry[] = "forge_backend_entry_v1",
                  layer_entry[] = "forge_layer_entry_v1";

static bool is_entry(const char *name) {
  return !strcmp(name, backend_entry) || !strcmp(name, layer_entry);
}

/* What the linker adds to every library. */
static bool is_linkers(const char *name) {
  static const char *const names[] = {"_init",       "_fini",       "_edata",
                                      "_end",        "__bss_start", "__bss_start__",
                                      "__bss_end__", "_bss_end__",  "__end__"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcmp(names[i], name)) return true;
  return false;
}

static bool is_export(const elf_symbol *s) {
  return s->defined && *s->name && s->bind != STB_LOCAL &&
         (s->visibility == STV_DEFAULT || s->visibility == STV_PROTECTED) && !is_linkers(s->name);
}

static const elf_symbol *find_export(const elf_facts *f, const char *name) {
  for (size_t i = 0; i < f->n_symbols; i++)
    if (is_export(&f->symbols[i]) && !strcmp(f->symbols[i].name, name)) return &f->symbols[i];
  return NULL;
}

static void judge_entry(const elf_facts *f, lint_report *out) {
  const elf_symbol *backend = find_export(f, backend_entry), *layer = find_export(f, layer_entry);
  const char *other = NULL;
  for (size_t i = 0; i < f->n_symbols; i++)
    if (is_export(&f->symbols[i]) && (!strncmp(f->symbols[i].name, "forge_backend_entry_v", 21) ||
                                      !strncmp(f->symbols[i].name, "forge_layer_entry_v", 19)))
      other = f->symbols[i].name;
  out->kind = backend ? "backend" : layer ? "layer" : NULL;
  if (backend && layer)
    lint_say(out, "FB-X1", LINT_FAIL, "make two libraries of it", "it exports both %s and %s",
             backend_entry, layer_entry);
  else if (backend || layer)
    lint_say(out, "FB-X1", (backend ? backend : layer)->type == STT_FUNC ? LINT_OK : LINT_FAIL,
             "define it as a function", "its entry is %s", (backend ? backend : layer)->name);
  else if (other)
    lint_say(out, "FB-X1", LINT_FAIL, "build it with the headers of this Forge",
             "it exports %s: made for another ABI major", other);
  else
    lint_say(out, "FB-X1", LINT_FAIL,
             "if it should be one: FORGE_BACKEND_ENTRY makes the entry visible under "
             "-fvisibility=hidden",
             "it is a library, but no Forge plugin: it exports neither %s nor %s", backend_entry,
             layer_entry);
}

/* ", " between names; what does not fit is counted. */
typedef struct names {
  char text[240];
  size_t n, left_out;
} names;

static void add_name(names *list, const char *name) {
  const size_t at = strlen(list->text);
  if (at + strlen(name) + 3 > sizeof list->text)
    list->left_out++;
  else
    snprintf(list->text + at, sizeof list->text - at, "%s%s", at ? ", " : "", name);
  list->n++;
}

static const char *more(const names *list, char out[40]) {
  snprintf(out, 40, " and %zu more", list->left_out);
  return list->left_out ? out : "";
}

static void judge_exports(const elf_facts *f, lint_report *out) {
  names shown = {0}, unique = {0}, late = {0};
  char rest[40];
  for (size_t i = 0; i < f->n_symbols; i++) {
    const elf_symbol *s = &f->symbols[i];
    if (!is_export(s)) continue;
    if (s->bind == STB_GNU_UNIQUE) add_name(&unique, s->name);
    if (!is_entry(s->name)) add_name(&shown, s->name);
    if (s->bound_late && s->visibility == STV_DEFAULT && !f->symbolic) add_name(&late, s->name);
  }
  if (shown.n)
    lint_say(
        out, "FB-X2", LINT_FAIL,
        "compile with -fvisibility=hidden; static libraries: link with -Wl,--exclude-libs,ALL; "
        "templates of C++: with a version script, { global: forge_*_entry_v1; local: *; };",
        "beside its entry it exports %s%s", shown.text, more(&shown, rest));
  lint_pass(out, "FB-X2", "nothing but the entry is exported");
  if (unique.n)
    lint_say(out, "FB-X3", LINT_FAIL,
             "compile with -fno-gnu-unique and -fvisibility=hidden -fvisibility-inlines-hidden",
             "symbols that are one for the whole process (STB_GNU_UNIQUE): %s%s", unique.text,
             more(&unique, rest));
  lint_pass(out, "FB-X3", "no symbol that is shared by force (STB_GNU_UNIQUE)");
  if (late.n)
    lint_say(out, "FB-X4", LINT_FAIL, "link with -Wl,-Bsymbolic, and hide them",
             "another library's symbol of the same name may take the place of its own %s%s",
             late.text, more(&late, rest));
  lint_pass(out, "FB-X4", "its own calls stay inside it");
}

/* ---- what happens when it is loaded ---- */

static void judge_loading(const elf_facts *f, lint_report *out) {
  if (f->static_tls)
    lint_say(
        out, "FB-X5", LINT_FAIL,
        "compile with -ftls-model=global-dynamic and -fPIC, libraries linked into it too",
        "thread-local variables in static storage (DF_STATIC_TLS, initial-exec): loading fails "
        "when a process has none left");
  lint_pass(out, "FB-X5", "no static thread-local storage");
  if (f->text_relocations)
    lint_say(out, "FB-X6", LINT_FAIL, "compile everything in it with -fPIC",
             "its code is changed when it is loaded (DT_TEXTREL); hardened systems refuse that");
  lint_pass(out, "FB-X6", "its code is loaded as it is");
  if (f->executable_stack)
    lint_say(
        out, "FB-X7", LINT_FAIL,
        "add .section .note.GNU-stack,\"\",@progbits to assembler files, avoid nested functions,"
        " or link with -Wl,-z,noexecstack",
        "loading it makes every thread's stack executable (PT_GNU_STACK)");
  lint_pass(out, "FB-X7", "stacks stay without code");
}

static bool begins(const char *name, const char *const *list, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!strncmp(name, list[i], strlen(list[i]))) return true;
  return false;
}

#define BEGINS(name, list) begins(name, list, sizeof(list) / sizeof *(list))

/* What compilers put into every library, and the C++ library into one that contains it: that is how
 * a plugin in C++ should be linked. */
static bool is_compilers(const elf_facts *f, const elf_hook *hook) {
  static const char *const own[] = {"frame_dummy", "__do_global_dtors_aux", "__do_init",
                                    "__do_fini", "__cpu_indicator_init"};
  static const char *const sanitizers[] = {"asan.module_", "tsan.module_", "sancov.module_",
                                           "_sub_I_00099", "_sub_D_00099"};
  static const char *const cplusplus[] = {
      "_GLOBAL__sub_I_eh_alloc.cc",    "_GLOBAL__sub_I_ios_init.cc",
      "_GLOBAL__sub_I_locale_inst.cc", "_GLOBAL__sub_I_wlocale_inst.cc",
      "_GLOBAL__sub_I_cxx11_",         "_GLOBAL__sub_I_system_error.cc",
      "_GLOBAL__sub_I_future.cc",      "_GLOBAL__sub_I_memory_resource.cc",
      "_GLOBAL__sub_I_globals_io.cc",  "_GLOBAL__sub_I_compatibility"};
  if (!hook->name) return false;
  return BEGINS(hook->name, own) || BEGINS(hook->name, cplusplus) ||
         (lint_sanitized(f) && BEGINS(hook->name, sanitizers));
}

/* In a stripped file the compiler's own functions are nameless as well: one of each kind, and more
 * where the C++ library is inside. So what is more than one is a reason to look, not to refuse. */
static void judge_hooks_at(const elf_facts *f, bool at_load, lint_report *out) {
  static const char remedy[] = "do it in the entry, probe() or dev_open(), and undo it in "
                               "shutdown(); C++: no static objects with constructors";
  names found = {0};
  size_t nameless = 0;
  char rest[40];
  bool compilers = f->names || lint_sanitized(f);
  for (size_t i = 0; i < f->n_hooks; i++) {
    const elf_hook *hook = &f->hooks[i];
    if (hook->at_load != at_load || is_compilers(f, hook)) continue;
    if (hook->name && *hook->name)
      add_name(&found, hook->name);
    else if (!compilers)
      compilers = true;
    else
      nameless++;
  }
  const char *when = at_load ? "loaded" : "unloaded or the process ends";
  if (found.n)
    lint_say(out, "FB-X11", LINT_FAIL, remedy, "these functions run when it is %s: %s%s", when,
             found.text, more(&found, rest));
  if (nameless)
    lint_say(out, "FB-X11", LINT_WARN, "lint the file before it is stripped, to see which",
             "%zu function%s without a name run%s when it is %s", nameless,
             nameless == 1 ? "" : "s", nameless == 1 ? "s" : "", when);
}

static void judge_hooks(const elf_facts *f, lint_report *out) {
  static const char remedy[] = "do not link with -init or -fini";
  judge_hooks_at(f, true, out);
  judge_hooks_at(f, false, out);
  if (f->init && f->init != f->init_section)
    lint_say(out, "FB-X11", LINT_FAIL, remedy, "a function of its own runs first of all (DT_INIT)");
  if (f->fini && f->fini != f->fini_section)
    lint_say(out, "FB-X11", LINT_FAIL, remedy, "a function of its own runs last of all (DT_FINI)");
  lint_pass(out, "FB-X11", "loading it runs none of its code");
}

/* ---- for whom it was built ---- */

static void judge_build(const elf_facts *f, lint_report *out) {
  char theirs[32], ours[32];
  const uint16_t own = elf_own_machine();
  if (own && (f->machine != own || f->bits != 8 * sizeof(void *)))
    lint_say(out, "FB-X15", LINT_WARN, "it is loaded on machines of that kind alone",
             "built for %s (%u bits), this machine is %s", elf_machine_name(f->machine, theirs),
             f->bits, elf_machine_name(own, ours));
  lint_pass(out, "FB-X15", "built for this kind of machine");
  if (!f->debug_info)
    lint_say(out, "FB-X16", LINT_NOTE, "keep an unstripped copy, or the debug half beside it",
             "without debug information: a crash in it is told without lines%s",
             f->names ? "" : " and names");
  lint_pass(out, "FB-X16", "it has debug information");
  if (lint_sanitized(f))
    lint_say(out, "FB-X17", LINT_NOTE, "ship one without; a core without it refuses this one",
             "built with a sanitizer");
  lint_pass(out, "FB-X17", "no sanitizer");
}

void lint_judge(const elf_facts *f, const lint_options *options, lint_report *out) {
  *out = (lint_report){0};
  judge_entry(f, out);
  if (!out->kind) return;
  judge_exports(f, out);
  judge_loading(f, out);
  lint_judge_libraries(f, options, out);
  judge_hooks(f, out);
  lint_judge_imports(f, out);
  judge_build(f, out);
}
