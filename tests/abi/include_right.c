/* Of the room itself: compiles. */
#include "base.h"
