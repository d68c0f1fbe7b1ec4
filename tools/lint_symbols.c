/* lint_symbols.c -- dynamic symbols with the versions they ask for, relocations, and the functions
 * that run at load and unload. */
#include <elf.h>
#include <string.h>

#include "lint_read.h"

/* Far above what real libraries have: damaged counts must not make reading long. */
enum { MAX_NEEDS = 4096, MAX_HOOKS = 4096 };

/* ---- versions ---- */

static bool add_need(reader *r, const char *library, const char *version, uint16_t index) {
  elf_facts *f = r->facts;
  if (!lint_add(&f->needs, &f->n_needs, sizeof *f->needs)) return lint_no_memory(r);
  f->needs[f->n_needs++] = (elf_need){library, version, index};
  return true;
}

/* Each link leads forward, so the chains end with the section. */
static bool read_one_need(reader *r, Elf_Data *data, size_t strings, int at,
                          const GElf_Verneed *need) {
  const char *library = lint_string(r, strings, need->vn_file);
  uint64_t aux_at = (uint64_t)at + need->vn_aux;
  for (uint32_t k = 0; k < need->vn_cnt; k++) {
    GElf_Vernaux aux;
    if (aux_at >= data->d_size || !gelf_getvernaux(data, (int)aux_at, &aux)) return true;
    if (!add_need(r, library, lint_string(r, strings, aux.vna_name), aux.vna_other)) return false;
    if (!aux.vna_next) break;
    aux_at += aux.vna_next;
  }
  return true;
}

static bool read_needs(reader *r) {
  GElf_Shdr h;
  Elf_Data *data = r->verneed ? elf_getdata(r->verneed, NULL) : NULL;
  if (!data || !data->d_buf || !gelf_getshdr(r->verneed, &h) || data->d_size > INT32_MAX)
    return true;
  for (uint64_t at = 0; at < data->d_size;) {
    GElf_Verneed need;
    if (!gelf_getverneed(data, (int)at, &need)) return true;
    if (r->facts->n_needs > MAX_NEEDS) return true;
    if (!read_one_need(r, data, h.sh_link, (int)at, &need)) return false;
    if (!need.vn_next) return true;
    at += need.vn_next;
  }
  return true;
}

static const elf_need *find_need(const elf_facts *f, uint16_t index) {
  for (size_t i = 0; i < f->n_needs; i++)
    if (f->needs[i].index == index) return &f->needs[i];
  return NULL;
}

/* ---- symbols ---- */

static size_t count_of(const reader *r, const Elf_Data *data, Elf_Type type) {
  const size_t one = gelf_fsize(r->elf, type, 1, EV_CURRENT);
  const size_t n = data && data->d_buf && one ? data->d_size / one : 0;
  return n < INT32_MAX ? n : INT32_MAX;
}

static void add_symbol(reader *r, const GElf_Sym *s, const char *name, Elf_Data *versions, int i) {
  elf_facts *f = r->facts;
  GElf_Versym index;
  const elf_need *need = NULL;
  if (s->st_shndx == SHN_UNDEF && versions && versions->d_buf &&
      gelf_getversym(versions, i, &index))
    need = find_need(f, index & 0x7FFF);
  f->symbols[f->n_symbols++] = (elf_symbol){.name = name,
                                            .version = need ? need->version : "",
                                            .library = need ? need->library : "",
                                            .value = s->st_value,
                                            .bind = GELF_ST_BIND(s->st_info),
                                            .type = GELF_ST_TYPE(s->st_info),
                                            .visibility = GELF_ST_VISIBILITY(s->st_other),
                                            .defined = s->st_shndx != SHN_UNDEF};
}

/* Symbol number i of the file is symbols[i]. */
bool lint_read_symbols(reader *r) {
  GElf_Shdr h;
  elf_facts *f = r->facts;
  if (!read_needs(r)) return false;
  if (!r->dynsym) return true;
  Elf_Data *data = elf_getdata(r->dynsym, NULL);
  Elf_Data *versions = r->versym ? elf_getdata(r->versym, NULL) : NULL;
  if (!data || !data->d_buf || !gelf_getshdr(r->dynsym, &h))
    return lint_broken(r, "its dynamic symbols lie outside the file");
  const size_t n = count_of(r, data, ELF_T_SYM);
  for (size_t i = 0; i < n; i++) {
    GElf_Sym s;
    if (!gelf_getsym(data, (int)i, &s)) return lint_broken(r, "a symbol cannot be read");
    if (!lint_add(&f->symbols, &f->n_symbols, sizeof *f->symbols)) return lint_no_memory(r);
    add_symbol(r, &s, lint_string(r, h.sh_link, s.st_name), versions, (int)i);
  }
  return true;
}

/* ---- what runs at load ---- */

typedef struct hook_array {
  uint64_t address, bytes;
  size_t first, count; /* among the facts' hooks */
} hook_array;

static bool open_array(reader *r, Elf_Scn *section, bool at_load, hook_array *out) {
  GElf_Shdr h;
  elf_facts *f = r->facts;
  *out = (hook_array){.first = f->n_hooks};
  Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
  if (!data || !data->d_buf || !gelf_getshdr(section, &h)) return true;
  const size_t word = f->bits / 8;
  *out = (hook_array){h.sh_addr, data->d_size, f->n_hooks, data->d_size / word};
  if (out->count > MAX_HOOKS) return lint_broken(r, "thousands of functions run when it is loaded");
  for (size_t i = 0; i < out->count; i++) {
    uint64_t address = 0; /* what stands there counts only where no relocation says otherwise */
    if (!f->big_endian) memcpy(&address, (const char *)data->d_buf + i * word, word);
    if (!lint_add(&f->hooks, &f->n_hooks, sizeof *f->hooks)) return lint_no_memory(r);
    f->hooks[f->n_hooks++] = (elf_hook){.address = address, .at_load = at_load};
  }
  return true;
}

static void set_hook(reader *r, const hook_array *a, const GElf_Rela *rela,
                     const elf_symbol *symbol) {
  const uint64_t offset = rela->r_offset - a->address;
  if (rela->r_offset < a->address || offset >= a->bytes) return;
  const uint64_t i = offset / (r->facts->bits / 8);
  if (i >= a->count) return;
  r->facts->hooks[a->first + i].address = (uint64_t)rela->r_addend + (symbol ? symbol->value : 0);
}

static void name_hooks_from(reader *r, Elf_Scn *section) {
  GElf_Shdr h;
  Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
  if (!data || !data->d_buf || !gelf_getshdr(section, &h)) return;
  const size_t n = count_of(r, data, ELF_T_SYM);
  for (size_t i = 0; i < n; i++) {
    GElf_Sym s;
    if (!gelf_getsym(data, (int)i, &s) || GELF_ST_TYPE(s.st_info) != STT_FUNC ||
        s.st_shndx == SHN_UNDEF)
      continue;
    for (size_t k = 0; k < r->facts->n_hooks; k++) {
      elf_hook *hook = &r->facts->hooks[k];
      if (!hook->name && hook->address == s.st_value)
        hook->name = lint_string(r, h.sh_link, s.st_name);
    }
  }
}

/* ---- relocations ---- */

static bool is_static_tls(uint16_t machine, uint64_t type) {
  if (machine == EM_X86_64) return type == R_X86_64_TPOFF64 || type == R_X86_64_TPOFF32;
  return machine == EM_AARCH64 && type == R_AARCH64_TLS_TPREL;
}

static void read_relocation(reader *r, const GElf_Rela *rela, const hook_array arrays[2]) {
  elf_facts *f = r->facts;
  const uint64_t index = GELF_R_SYM(rela->r_info);
  elf_symbol *symbol = index && index < f->n_symbols ? &f->symbols[index] : NULL;
  if (symbol && symbol->defined) symbol->bound_late = true;
  if (is_static_tls(f->machine, GELF_R_TYPE(rela->r_info))) f->static_tls = true;
  for (int i = 0; i < 2; i++) set_hook(r, &arrays[i], rela, symbol);
}

static void read_relocation_section(reader *r, Elf_Scn *section, const GElf_Shdr *h,
                                    const hook_array arrays[2]) {
  Elf_Data *data = elf_getdata(section, NULL);
  const size_t n = h->sh_type == SHT_RELA ? count_of(r, data, ELF_T_RELA) : 0;
  for (size_t i = 0; i < n; i++) {
    GElf_Rela rela;
    if (gelf_getrela(data, (int)i, &rela)) read_relocation(r, &rela, arrays);
  }
}

bool lint_read_relocations(reader *r) {
  hook_array arrays[2];
  const size_t dynsym = r->dynsym ? elf_ndxscn(r->dynsym) : 0;
  if (!open_array(r, r->init_array, true, &arrays[0])) return false;
  if (!open_array(r, r->fini_array, false, &arrays[1])) return false;
  for (Elf_Scn *s = elf_nextscn(r->elf, NULL); s && dynsym; s = elf_nextscn(r->elf, s)) {
    GElf_Shdr h;
    if (gelf_getshdr(s, &h) && h.sh_link == dynsym) read_relocation_section(r, s, &h, arrays);
  }
  name_hooks_from(r, r->symtab);
  name_hooks_from(r, r->dynsym);
  return true;
}
