/* cl.h -- OpenCL 1.2 by name, found at run time: the plugin loads where no OpenCL is installed and
 * can say so. ocl_cl.CreateBuffer is clCreateBuffer. */
#ifndef FORGE_OPENCL_CL_H
#define FORGE_OPENCL_CL_H

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#define OCL_FUNCTIONS(X)                                                                           \
  X(GetPlatformIDs)                                                                                \
  X(GetPlatformInfo)                                                                               \
  X(GetDeviceIDs)                                                                                  \
  X(GetDeviceInfo)                                                                                 \
  X(CreateContext)                                                                                 \
  X(ReleaseContext)                                                                                \
  X(CreateCommandQueue)                                                                            \
  X(ReleaseCommandQueue)                                                                           \
  X(CreateBuffer)                                                                                  \
  X(CreateSubBuffer)                                                                               \
  X(RetainMemObject)                                                                               \
  X(ReleaseMemObject)                                                                              \
  X(CreateProgramWithSource)                                                                       \
  X(CreateProgramWithBinary)                                                                       \
  X(BuildProgram)                                                                                  \
  X(GetProgramBuildInfo)                                                                           \
  X(GetProgramInfo)                                                                                \
  X(ReleaseProgram)                                                                                \
  X(CreateKernel)                                                                                  \
  X(ReleaseKernel)                                                                                 \
  X(SetKernelArg)                                                                                  \
  X(EnqueueNDRangeKernel)                                                                          \
  X(EnqueueReadBuffer)                                                                             \
  X(EnqueueWriteBuffer)                                                                            \
  X(EnqueueCopyBuffer)                                                                             \
  X(EnqueueFillBuffer)                                                                             \
  X(EnqueueMigrateMemObjects)                                                                      \
  X(EnqueueMarkerWithWaitList)                                                                     \
  X(EnqueueBarrierWithWaitList)                                                                    \
  X(WaitForEvents)                                                                                 \
  X(GetEventInfo)                                                                                  \
  X(RetainEvent)                                                                                   \
  X(ReleaseEvent)                                                                                  \
  X(Flush)                                                                                         \
  X(Finish)

#define OCL_FUNCTION_(name) __typeof__(&cl##name) name;
typedef struct ocl_functions {
  OCL_FUNCTIONS(OCL_FUNCTION_)
} ocl_functions;
#undef OCL_FUNCTION_

extern ocl_functions ocl_cl; /* filled by ocl_load() */

/* Finds the library and its functions, once. NULL, or what is missing and what to do. */
const char *ocl_load(void);
/* "CL_OUT_OF_RESOURCES" */
const char *ocl_code_name(cl_int code);

#endif
