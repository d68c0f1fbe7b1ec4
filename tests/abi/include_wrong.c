/* base looks to the right: must not compile. */
#include "device.h"
