/* lint_elf.h -- what `forge lint` reads out of a shared object: plain facts, no judgement. libelf
 * parses; every count, offset and name is checked here before it is used, since the file may be
 * anything. */
#ifndef FORGE_LINT_ELF_H
#define FORGE_LINT_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A dynamic symbol. |version| and |library|: what an import asks for; "" if nothing. */
typedef struct elf_symbol {
  const char *name, *version, *library;
  uint64_t value;
  uint8_t bind, type, visibility;
  bool defined;
  bool bound_late; /* the library's own references to it are resolved when it is loaded */
} elf_symbol;

/* A version some symbol is needed in. */
typedef struct elf_need {
  const char *library, *version;
  uint16_t index;
} elf_need;

/* A function that runs when the library is loaded (or unloaded), without having been called. */
typedef struct elf_hook {
  uint64_t address;
  const char *name; /* NULL: nothing in the file names it */
  bool at_load;
} elf_hook;

typedef struct elf_facts {
  uint16_t type, machine;
  uint8_t bits; /* 32 or 64 */
  bool big_endian, pie, dynamic, sections;
  bool text_relocations, static_tls, symbolic, executable_stack;
  bool debug_info, names; /* names: the full symbol table is there */
  const char *rpath, *runpath;
  uint64_t init, fini, init_section, fini_section; /* addresses, 0: none */
  const char **needed;
  elf_symbol *symbols;
  elf_need *needs;
  elf_hook *hooks;
  size_t n_needed, n_symbols, n_needs, n_hooks;
  void *handle; /* of libelf */
} elf_facts;

enum { ELF_WHY_BYTES = 256 };

/* Reads |n| bytes, which stay as they are and where they are until elf_facts_close(). False with
 * |why| filled ("it is a text", "it ends at byte 100 of ..") for what is no ELF file or a broken
 * one; the facts are closed then. */
bool elf_facts_read(void *bytes, size_t n, elf_facts *out, char why[ELF_WHY_BYTES]);
void elf_facts_close(elf_facts *facts);

/* "x86-64", "AArch64"; "machine 243" for one without a name here. */
const char *elf_machine_name(uint16_t machine, char out[32]);
/* The machine number this program was built for. */
uint16_t elf_own_machine(void);

#endif
