/* lint_read.h -- what lint_elf.c and lint_symbols.c share while they read one file. */
#ifndef FORGE_LINT_READ_H
#define FORGE_LINT_READ_H

#include <gelf.h>

#include "lint_elf.h"

typedef struct reader {
  void *bytes;
  size_t n;
  elf_facts *facts;
  char *why; /* ELF_WHY_BYTES */
  Elf *elf;
  Elf_Scn *dynsym, *symtab, *versym, *verneed, *init_array, *fini_array;
} reader;

/* Room for one more element behind *n in the array whose pointer is at |list|. */
bool lint_add(void *list, size_t *n, size_t element);
/* A name out of a string section, "" where there is none inside it. */
const char *lint_string(const reader *r, size_t section, uint64_t offset);
/* Say why, and answer false. */
bool lint_broken(reader *r, const char *what);
bool lint_no_memory(reader *r);

bool lint_read_symbols(reader *r);
bool lint_read_relocations(reader *r);

#endif
