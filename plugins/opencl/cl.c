/* cl.c -- the OpenCL library, if there is one. Never closed: drivers leave threads behind. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cl.h"

ocl_functions ocl_cl;
static char missing[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
#define ROW(name) {"cl" #name, offsetof(ocl_functions, name)},
  static const struct {
    const char *name;
    size_t at;
  } rows[] = {OCL_FUNCTIONS(ROW)};
#undef ROW
  void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(missing, sizeof missing,
             "libOpenCL.so.1 is not installed; install an ICD loader (Debian: ocl-icd-libopencl1) "
             "and the driver of your device");
    return;
  }
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    void *f = dlsym(library, rows[i].name);
    if (!f && !missing[0])
      snprintf(missing, sizeof missing,
               "libOpenCL.so.1 has no %s; OpenCL 1.2 is needed, update the ICD loader",
               rows[i].name);
    memcpy((char *)&ocl_cl + rows[i].at, &f, sizeof f);
  }
}

const char *ocl_load(void) {
  pthread_once(&once, load);
  return missing[0] ? missing : NULL;
}

const char *ocl_code_name(cl_int code) {
#define NAME(c)                                                                                    \
  case c: return #c;
  switch (code) {
    NAME(CL_DEVICE_NOT_FOUND)
    NAME(CL_DEVICE_NOT_AVAILABLE)
    NAME(CL_COMPILER_NOT_AVAILABLE)
    NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE)
    NAME(CL_OUT_OF_RESOURCES)
    NAME(CL_OUT_OF_HOST_MEMORY)
    NAME(CL_BUILD_PROGRAM_FAILURE)
    NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET)
    NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
    NAME(CL_INVALID_VALUE)
    NAME(CL_INVALID_DEVICE)
    NAME(CL_INVALID_CONTEXT)
    NAME(CL_INVALID_COMMAND_QUEUE)
    NAME(CL_INVALID_MEM_OBJECT)
    NAME(CL_INVALID_BINARY)
    NAME(CL_INVALID_BUILD_OPTIONS)
    NAME(CL_INVALID_KERNEL_NAME)
    NAME(CL_INVALID_ARG_INDEX)
    NAME(CL_INVALID_ARG_VALUE)
    NAME(CL_INVALID_ARG_SIZE)
    NAME(CL_INVALID_KERNEL_ARGS)
    NAME(CL_INVALID_WORK_GROUP_SIZE)
    NAME(CL_INVALID_WORK_ITEM_SIZE)
    NAME(CL_INVALID_EVENT)
    NAME(CL_INVALID_BUFFER_SIZE)
  default: return "an unknown code";
  }
#undef NAME
}
