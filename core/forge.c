/* forge.c -- libforge.so is its rooms; this file only gives the linker something to begin with. */
#include <forge/forge.h>
