/* memory.c -- blocks of device memory, and stretches of them as kernels are given. */
#include <inttypes.h>

#include "host.h"

static forge_status check_wish(const forge_dev *dev, const forge_mem_desc *desc) {
  if (desc->flags || desc->export_caps)
    return ocl_fail(FORGE_E_UNSUPPORTED,
                    "opencl: memory flags %#" PRIx32 " or export %#" PRIx32
                    " are not known; give 0",
                    desc->flags, desc->export_caps);
  if (desc->kind == FORGE_MEM_HOST_PINNED || desc->kind == FORGE_MEM_HOST_SHARED)
    return ocl_fail(FORGE_E_UNSUPPORTED,
                    "opencl: no host memory; copies take any host address as it is");
  if (desc->kind != FORGE_MEM_DEVICE || desc->bytes == 0 || (desc->align & (desc->align - 1)))
    return ocl_fail(FORGE_E_INVALID,
                    "opencl: memory of kind %" PRIu32 ", %" PRIu64 " bytes, alignment %" PRIu64
                    "; kinds are 1..3, sizes over 0, alignments powers of two",
                    desc->kind, desc->bytes, desc->align);
  if (desc->bytes > dev->max_alloc)
    return ocl_fail(FORGE_E_OOM,
                    "opencl: a block of %" PRIu64 " bytes; %s has %" PRIu64 " at most in one block",
                    desc->bytes, dev->name, dev->max_alloc);
  return FORGE_OK;
}

/* Drivers may put off getting memory until a kernel needs it, where running out is a failure of the
 * work (PoCL: an abort); so it is asked for here. Where host and device share it, memory the host
 * could see is made at once; elsewhere moving the buffer to the device makes it. */
cl_mem ocl_new_buffer(forge_dev *dev, uint64_t bytes, cl_int *code) {
  const cl_mem_flags flags = CL_MEM_READ_WRITE | (dev->caps.is_cpu ? CL_MEM_ALLOC_HOST_PTR : 0);
  cl_mem mem = ocl_cl.CreateBuffer(dev->context, flags, bytes, NULL, code);
  if (*code) return NULL;
  if (dev->caps.is_cpu) return mem;
  *code = ocl_cl.EnqueueMigrateMemObjects(dev->own, 1, &mem,
                                          CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL, NULL);
  if (!*code) *code = ocl_cl.Finish(dev->own);
  if (!*code) return mem;
  ocl_cl.ReleaseMemObject(mem);
  return NULL;
}

forge_status ocl_mem_alloc(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                           forge_mem_out *info) {
  forge_status status = ocl_check_alive(dev);
  if (!status) status = check_wish(dev, desc);
  if (status) return status;
  forge_mem *mem = ocl_alloc(sizeof *mem);
  if (!mem) return FORGE_E_OOM;
  cl_int code;
  pthread_mutex_init(&mem->lock, NULL);
  mem->dev = dev;
  mem->bytes = desc->bytes;
  mem->mem = ocl_new_buffer(dev, desc->bytes, &code);
  if (code) {
    ocl_mem_free(dev, mem);
    return ocl_fail_cl(code, "opencl: no block of %" PRIu64 " bytes on %s; free some", desc->bytes,
                       dev->name);
  }
  info->flags = 0;
  info->dev_addr = 0;
  info->granularity = dev->mem_align > 4096 ? dev->mem_align : 4096;
  info->host_ptr = NULL;
  *out = mem;
  return FORGE_OK;
}

void ocl_mem_free(forge_dev *dev, forge_mem *mem) {
  (void)dev;
  if (!mem) return;
  for (int i = 0; i < OCL_SUBS; i++)
    if (mem->subs[i].mem) ocl_cl.ReleaseMemObject(mem->subs[i].mem);
  if (mem->mem) ocl_cl.ReleaseMemObject(mem->mem);
  pthread_mutex_destroy(&mem->lock);
  ocl_free(mem);
}

forge_status ocl_bind_check(const forge_bind *bind) {
  const forge_mem *mem = bind->mem;
  if (!mem) return ocl_fail(FORGE_E_INVALID, "opencl: a binding has no memory; bind it first");
  if (bind->off > mem->bytes || bind->len > mem->bytes - bind->off)
    return ocl_fail(FORGE_E_INVALID,
                    "opencl: bytes %" PRIu64 " + %" PRIu64 " leave a memory block of %" PRIu64,
                    bind->off, bind->len, mem->bytes);
  return FORGE_OK;
}

/* A sub-buffer of the stretch, from the kept ones or new; NULL: the driver will not have it. Under
 * the lock. */
static cl_mem find_sub(forge_mem *mem, uint64_t off, uint64_t len) {
  for (int i = 0; i < OCL_SUBS; i++)
    if (mem->subs[i].mem && mem->subs[i].off == off && mem->subs[i].len == len)
      return mem->subs[i].mem;
  const cl_buffer_region region = {off, len};
  cl_int code;
  cl_mem sub = ocl_cl.CreateSubBuffer(mem->mem, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION,
                                      &region, &code);
  if (code) return NULL;
  ocl_sub *place = &mem->subs[mem->next++ % OCL_SUBS];
  if (place->mem) ocl_cl.ReleaseMemObject(place->mem);
  *place = (ocl_sub){off, len, sub};
  return sub;
}

cl_mem ocl_bind_buffer(const forge_bind *bind, uint64_t *out_off) {
  forge_mem *mem = bind->mem;
  const bool whole = bind->off == 0 && bind->len == mem->bytes;
  cl_mem sub = NULL;
  pthread_mutex_lock(&mem->lock);
  if (!whole && bind->len && bind->off % mem->dev->mem_align == 0)
    sub = find_sub(mem, bind->off, bind->len);
  ocl_cl.RetainMemObject(sub ? sub : mem->mem);
  pthread_mutex_unlock(&mem->lock);
  *out_off = sub ? 0 : bind->off;
  return sub ? sub : mem->mem;
}
