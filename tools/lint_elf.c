/* lint_elf.c -- see lint_elf.h. Headers, the dynamic section and what only needs one look; symbols
 * and relocations are in lint_symbols.c. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lint_read.h"

bool lint_add(void *list, size_t *n, size_t element) {
  void *old, *grown;
  memcpy(&old, list, sizeof old); /* a pointer of any element type */
  if (*n & (*n - 1)) return true; /* room was doubled at the last power of two */
  grown = realloc(old, (*n ? 2 * *n : 1) * element);
  if (!grown) return false;
  memcpy(list, &grown, sizeof grown); /* the caller has it now */
  return true;                        // cppcheck-suppress memleak
}

const char *lint_string(const reader *r, size_t section, uint64_t offset) {
  const char *s = elf_strptr(r->elf, section, offset);
  return s ? s : "";
}

bool lint_broken(reader *r, const char *what) {
  snprintf(r->why, ELF_WHY_BYTES, "it is damaged: %s", what);
  return false;
}

bool lint_no_memory(reader *r) {
  snprintf(r->why, ELF_WHY_BYTES, "there is no memory to read it");
  return false;
}

/* ---- the beginning of the file ---- */

static bool is_text(const unsigned char *p, size_t n) {
  for (size_t i = 0; i < n && i < 64; i++)
    if (!p[i] || (p[i] < 32 && !strchr("\n\r\t\f", p[i]))) return false;
  return true;
}

static bool explain_beginning(reader *r) {
  const unsigned char *p = r->bytes;
  const char *what = "it has no ELF header: no Linux library";
  if (!r->n)
    what = "it is empty";
  else if (r->n >= 8 && !memcmp(p, "!<arch>\n", 8))
    what = "it is an archive (.a) for a linker; link it into a shared object";
  else if (r->n >= 4 && !memcmp(p, "\xCF\xFA\xED\xFE", 4))
    what = "it is a macOS file; build for Linux";
  else if (r->n >= 2 && !memcmp(p, "MZ", 2))
    what = "it is a Windows file; build for Linux";
  else if (is_text(p, r->n))
    what = "it is a text, no library";
  snprintf(r->why, ELF_WHY_BYTES, "%s", what);
  return false;
}

/* Where a table of |count| entries of |size| bytes ends must lie in the file. */
static bool table_inside(reader *r, uint64_t at, uint64_t count, uint64_t size, const char *name) {
  if (!count || (at <= r->n && count <= (r->n - at) / (size ? size : 1))) return true;
  snprintf(r->why, ELF_WHY_BYTES,
           "it is cut short: its %s should begin at byte %llu, and it has %zu bytes", name,
           (unsigned long long)at, r->n);
  return false;
}

static bool read_header(reader *r) {
  GElf_Ehdr h;
  elf_facts *f = r->facts;
  if (r->n < EI_NIDENT || memcmp(r->bytes, ELFMAG, SELFMAG)) return explain_beginning(r);
  elf_version(EV_CURRENT);
  r->elf = f->handle = elf_memory(r->bytes, r->n);
  if (!r->elf || elf_kind(r->elf) != ELF_K_ELF || !gelf_getehdr(r->elf, &h))
    return lint_broken(r, "its ELF header makes no sense");
  f->type = h.e_type;
  f->machine = h.e_machine;
  f->bits = h.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32;
  f->big_endian = h.e_ident[EI_DATA] == ELFDATA2MSB;
  return table_inside(r, h.e_shoff, h.e_shnum, h.e_shentsize, "section headers") &&
         table_inside(r, h.e_phoff, h.e_phnum, h.e_phentsize, "program headers");
}

static bool read_segments(reader *r) {
  size_t n;
  bool stack = false;
  if (elf_getphdrnum(r->elf, &n)) return lint_broken(r, "its program headers cannot be read");
  for (size_t i = 0; i < n; i++) {
    GElf_Phdr p;
    if (i > INT32_MAX || !gelf_getphdr(r->elf, (int)i, &p))
      return lint_broken(r, "its program headers cannot be read");
    if (p.p_type == PT_LOAD && !table_inside(r, p.p_offset, p.p_filesz, 1, "contents"))
      return false;
    if (p.p_type != PT_GNU_STACK) continue;
    stack = true;
    r->facts->executable_stack = p.p_flags & PF_X;
  }
  if (!stack) r->facts->executable_stack = true; /* the loader's default */
  return true;
}

/* ---- the dynamic section ---- */

static bool add_needed(reader *r, const char *name) {
  elf_facts *f = r->facts;
  if (!lint_add(&f->needed, &f->n_needed, sizeof *f->needed)) return lint_no_memory(r);
  f->needed[f->n_needed++] = name;
  return true;
}

static void note_flags(elf_facts *f, uint64_t flags) {
  f->text_relocations |= (flags & DF_TEXTREL) != 0;
  f->static_tls |= (flags & DF_STATIC_TLS) != 0;
  f->symbolic |= (flags & DF_SYMBOLIC) != 0;
}

static bool read_entry(reader *r, const GElf_Dyn *d, size_t strings) {
  elf_facts *f = r->facts;
  const uint64_t value = d->d_un.d_val;
  switch (d->d_tag) {
  case DT_NEEDED: return add_needed(r, lint_string(r, strings, value));
  case DT_RPATH: f->rpath = lint_string(r, strings, value); break;
  case DT_RUNPATH: f->runpath = lint_string(r, strings, value); break;
  case DT_TEXTREL: f->text_relocations = true; break;
  case DT_SYMBOLIC: f->symbolic = true; break;
  case DT_FLAGS: note_flags(f, value); break;
  case DT_FLAGS_1: f->pie = value & DF_1_PIE; break;
  case DT_INIT: f->init = value; break;
  case DT_FINI: f->fini = value; break;
  default: break;
  }
  return true;
}

static bool read_dynamic(reader *r, Elf_Scn *section, const GElf_Shdr *header) {
  Elf_Data *data = elf_getdata(section, NULL);
  if (!data || !data->d_buf) return lint_broken(r, "its dynamic section lies outside the file");
  r->facts->dynamic = true;
  for (int i = 0;; i++) {
    GElf_Dyn d;
    if (!gelf_getdyn(data, i, &d) || d.d_tag == DT_NULL) return true;
    if (!read_entry(r, &d, header->sh_link)) return false;
  }
}

/* ---- sections ---- */

static bool read_section(reader *r, Elf_Scn *section, const GElf_Shdr *h, const char *name) {
  elf_facts *f = r->facts;
  f->sections = true;
  switch (h->sh_type) {
  case SHT_DYNAMIC: return read_dynamic(r, section, h);
  case SHT_DYNSYM: r->dynsym = section; break;
  case SHT_SYMTAB: r->symtab = section; break;
  case SHT_GNU_versym: r->versym = section; break;
  case SHT_GNU_verneed: r->verneed = section; break;
  case SHT_INIT_ARRAY: r->init_array = section; break;
  case SHT_FINI_ARRAY: r->fini_array = section; break;
  default: break;
  }
  if (!strcmp(name, ".init")) f->init_section = h->sh_addr;
  if (!strcmp(name, ".fini")) f->fini_section = h->sh_addr;
  if (!strncmp(name, ".debug_", 7) || !strncmp(name, ".zdebug_", 8)) f->debug_info = true;
  return true;
}

static bool read_sections(reader *r) {
  size_t names;
  if (elf_getshdrstrndx(r->elf, &names)) return lint_broken(r, "its sections have no names");
  for (Elf_Scn *s = elf_nextscn(r->elf, NULL); s; s = elf_nextscn(r->elf, s)) {
    GElf_Shdr h;
    if (!gelf_getshdr(s, &h)) return lint_broken(r, "a section header cannot be read");
    if (!read_section(r, s, &h, lint_string(r, names, h.sh_name))) return false;
  }
  r->facts->names = r->symtab != NULL;
  return true;
}

/* ---- all of it ---- */

bool elf_facts_read(void *bytes, size_t n, elf_facts *out, char why[ELF_WHY_BYTES]) {
  *out = (elf_facts){0};
  reader r = {.bytes = bytes, .n = n, .facts = out, .why = why};
  const bool ok = read_header(&r) && read_segments(&r) && read_sections(&r) &&
                  lint_read_symbols(&r) && lint_read_relocations(&r);
  if (!ok) elf_facts_close(out);
  return ok;
}

void elf_facts_close(elf_facts *f) {
  elf_end(f->handle);
  free(f->needed);
  free(f->symbols);
  free(f->needs);
  free(f->hooks);
  *f = (elf_facts){0};
}

const char *elf_machine_name(uint16_t machine, char out[32]) {
  static const struct {
    uint16_t machine;
    const char *name;
  } names[] = {{EM_X86_64, "x86-64"},  {EM_AARCH64, "AArch64"}, {EM_386, "32-bit x86"},
               {EM_ARM, "32-bit ARM"}, {EM_RISCV, "RISC-V"},    {EM_PPC64, "PowerPC 64"},
               {EM_S390, "IBM Z"},     {EM_CUDA, "NVIDIA GPU"}, {EM_AMDGPU, "AMD GPU"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].machine == machine) return names[i].name;
  snprintf(out, 32, "machine %u", machine);
  return out;
}

uint16_t elf_own_machine(void) {
#if defined(__x86_64__)
  return EM_X86_64;
#elif defined(__aarch64__)
  return EM_AARCH64;
#elif defined(__riscv)
  return EM_RISCV;
#else
  return EM_NONE; /* nothing is taken for foreign */
#endif
}
