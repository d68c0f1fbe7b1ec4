/* A plugin looks into the core: must not compile. */
#include "base.h"
