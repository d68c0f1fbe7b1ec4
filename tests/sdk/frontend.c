/* frontend.c -- the smallest program on libforge.so; C and C++. Prints the devices of the installed
 * backends. */
#include <stdio.h>

#include <forge/forge.h>
#include <forge/infer.h>
#include <forge/model.h>
#include <forge/program.h>
#include <forge/state.h>
#include <forge/train.h>

int main(void) {
  forge_runtime *runtime = NULL;
  char *json = NULL;
  if (forge_runtime_create(NULL, &runtime) ||
      forge_runtime_report(runtime, FORGE_REPORT_DOCTOR, &json)) {
    fprintf(stderr, "%s\n", forge_error_last()->msg);
    return 1;
  }
  puts(json);
  forge_text_free(json);
  forge_runtime_destroy(runtime);
  return 0;
}
