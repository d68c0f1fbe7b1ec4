/* borrow.h -- arguments of one call, each at the end of pages of its own that can be read until the
 * call returns and never after: whoever keeps a pointer, or reads past an array, is caught. */
#ifndef FORGE_CONFORMANCE_BORROW_H
#define FORGE_CONFORMANCE_BORROW_H

#include <stdbool.h>
#include <stddef.h>

/* A copy of |data| that ends where a page that cannot be touched begins. NULL for NULL. */
void *borrow(const void *data, size_t bytes);
/* The call |function| of this thread returned: what it borrowed is out of reach. */
void borrow_end(const char *function);
/* Lets go of all that is kept out of reach. */
void borrow_forget(void);
/* The function whose borrowed memory |address| belonged to, NULL if it was none's. Signal-safe. */
const char *borrow_was(const void *address);

#endif
