/* file.c -- bugs of the file itself: the plugin behaves, but does not belong into a process with
 * others. forge lint finds them without running anything. */
#include "plant.h"

void plant(void) {}

#if defined(BUG_STATIC_TLS)
/* A variable per thread that has to fit into what the process reserved at its start. */
static _Thread_local __attribute__((tls_model("initial-exec"), used)) volatile char scratch[256];
__attribute__((used)) static void touch(void) { scratch[0] = 1; }
#elif defined(BUG_TWO_EXPORTS)
/* A helper without static. */
__attribute__((visibility("default"))) int chip_debug_level(void);
int chip_debug_level(void) { return 3; }
#elif defined(BUG_UNIQUE_SYMBOL)
/* What g++ makes of a static in an inline function: one for the process, never unloaded. */
__asm__(".pushsection .data\n"
        ".globl _ZZ8instancevE4self\n"
        ".type _ZZ8instancevE4self, @gnu_unique_object\n"
        ".size _ZZ8instancevE4self, 8\n"
        "_ZZ8instancevE4self: .quad 0\n"
        ".popsection\n");
#elif defined(BUG_CONSTRUCTOR)
/* Runs at dlopen, before anybody could have refused it. */
static volatile int ready;
__attribute__((constructor)) static void prepare(void) { ready = 1; }
#elif defined(BUG_TEXT_RELOCATION)
/* Assembler that was not written for libraries: an address among the code. */
__asm__(".pushsection .text\n"
        "chip_table: .quad chip_table\n"
        ".popsection\n");
#endif
/* executable_stack, foreign_library and search_path are made by the link alone: CMakeLists.txt. */
