/* test_layout.c -- every struct of the ABI has the sizes and offsets that were recorded, on this
 * compiler; numbers of the generated tables are what the registries gave them. Most of it is
 * decided while compiling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <forge/backend.h>
#include <forge/infer.h>
#include <forge/layer.h>
#include <forge/model.h>
#include <forge/program.h>
#include <forge/state.h>
#include <forge/train.h>

#define AT(type, member, offset)                                                                   \
  _Static_assert(offsetof(type, member) == (offset), #type "." #member " moved");

/* Older minors: a struct may have grown at its end, and no more. */
#define SIZE(type, bytes)                                                                          \
  _Static_assert(sizeof(type) >= (bytes), #type " shrank since an old minor");
#include "../../abi/recorded/1.0/layout.def"
#undef SIZE
#undef FORGE_RECORDED_LAYOUT_ID

/* The newest recording is what these headers are. */
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " changed its size");
#include "../../abi/recorded/1.1/layout.def"
#undef SIZE
#undef AT

static void the_table_has_twenty_slots(void **state) {
  (void)state;
  const size_t slots =
      (sizeof(forge_backend_v1) - offsetof(forge_backend_v1, probe)) / sizeof(void (*)(void));
  assert_int_equal(slots, FORGE_BACKEND_SLOTS);
}

static void the_layout_id_is_the_one_plugins_were_built_with(void **state) {
  (void)state;
  assert_true(FORGE_LAYOUT_ID == FORGE_RECORDED_LAYOUT_ID);
}

static void every_block_type_packs_its_elements_in_whole_bytes(void **state) {
  (void)state;
#define BLOCK(name, number, elems, bytes, text)                                                    \
  assert_in_range(number, 1, 255);                                                                 \
  assert_true((elems) >= 1 && (bytes) >= 1);
  FORGE_DTYPE_MAP(BLOCK)
#undef BLOCK
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_table_has_twenty_slots),
      cmocka_unit_test(the_layout_id_is_the_one_plugins_were_built_with),
      cmocka_unit_test(every_block_type_packs_its_elements_in_whole_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
