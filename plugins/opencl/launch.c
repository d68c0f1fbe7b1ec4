/* launch.c -- what opencl.h lets ops do: ask for kernels while a program is planned, launch them
 * while it runs. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host.h"

/* ---- planning ---- */

static forge_status grow_kernels(forge_prog *p) {
  const uint32_t room = p->room ? 2 * p->room : 16;
  ocl_wanted *more = ocl_alloc(room * sizeof *more);
  if (!more) return FORGE_E_OOM;
  if (p->n_kernels) memcpy(more, p->kernels, p->n_kernels * sizeof *more);
  ocl_free(p->kernels);
  p->kernels = more;
  p->room = room;
  return FORGE_OK;
}

/* The program's number of kernel |name| of |build|. */
static forge_status find_kernel(forge_prog *p, ocl_build *build, const char *name, uint16_t *out) {
  for (uint32_t i = 0; i < p->n_kernels; i++)
    if (p->kernels[i].build == build && !strcmp(p->kernels[i].name, name))
      return *out = (uint16_t)i, FORGE_OK;
  if (p->n_kernels == UINT16_MAX)
    return ocl_fail(FORGE_E_UNSUPPORTED, "opencl: a program of more than %d kernels", UINT16_MAX);
  if (p->n_kernels == p->room && grow_kernels(p)) return FORGE_E_OOM;
  p->kernels[p->n_kernels] = (ocl_wanted){.build = build, .name = name};
  *out = (uint16_t)p->n_kernels++;
  return FORGE_OK;
}

forge_status ocl_want(ocl_plan *plan, const char *file, const char *name, const char *options,
                      ...) {
  char text[256];
  va_list args;
  va_start(args, options);
  const int n = vsnprintf(text, sizeof text, options, args);
  va_end(args);
  if (n < 0 || n >= (int)sizeof text || plan->n == OCL_MAX_WANTS)
    return ocl_fail(FORGE_E_INTERNAL, "opencl: %s asks for too much", name);
  ocl_build *build;
  forge_status status = ocl_build_find(plan->dev, file, text, &build);
  if (!status) status = find_kernel(plan->prog, build, name, &plan->wants[plan->n]);
  if (!status) plan->n++;
  return status;
}

void ocl_scratch(ocl_plan *plan, uint64_t bytes) {
  if (plan->scratch < bytes) plan->scratch = bytes;
}

/* ---- launching ---- */

void ocl_begin(ocl_launch *l, uint32_t want) {
  l->arg = 0;
  if (l->status) return;
  if (want < l->step->n_wants)
    l->kernel = &l->prog->kernels[l->step->wants[want]];
  else
    l->status =
        ocl_fail(FORGE_E_INTERNAL,
                 "opencl: op number %u launches kernel %" PRIu32 " of the %" PRIu32 " it asked for",
                 l->step->call.op, want, l->step->n_wants);
}

static void set_arg(ocl_launch *l, size_t bytes, const void *value) {
  if (l->status) return;
  const cl_int code = ocl_cl.SetKernelArg(l->kernel->kernel, l->arg++, bytes, value);
  if (code)
    l->status = ocl_fail_cl(code, "opencl: argument %u of kernel %s", l->arg - 1, l->kernel->name);
}

static void set_memory(ocl_launch *l, cl_mem mem, uint64_t off) {
  const cl_ulong at = off;
  set_arg(l, sizeof mem, mem ? &mem : NULL);
  set_arg(l, sizeof at, &at);
}

void ocl_arg_view(ocl_launch *l, const ocl_view *v) {
  set_memory(l, v->there ? v->mem : NULL, v->there ? v->off : 0);
}

void ocl_arg_scratch(ocl_launch *l, uint64_t off) {
  set_memory(l, l->warm ? l->prog->dev->dummy : l->prog->scratch, l->warm ? 0 : off);
}

void ocl_arg_int(ocl_launch *l, int64_t value) {
  const cl_int v = l->warm ? 0 : (cl_int)value;
  if (!l->status && (value < INT32_MIN || value > INT32_MAX))
    l->status = ocl_fail(FORGE_E_UNSUPPORTED,
                         "opencl: kernel %s counts in 32 bits and cannot count %" PRId64,
                         l->kernel->name, value);
  set_arg(l, sizeof v, &v);
}

void ocl_arg_long(ocl_launch *l, int64_t value) {
  const cl_long v = l->warm ? 0 : value;
  set_arg(l, sizeof v, &v);
}

void ocl_arg_float(ocl_launch *l, double value) {
  const cl_float v = l->warm ? 0 : (cl_float)value;
  set_arg(l, sizeof v, &v);
}

void ocl_arg_struct(ocl_launch *l, const void *p, size_t bytes) {
  static const uint64_t zeros[128];
  if (!l->status && bytes > sizeof zeros)
    l->status = ocl_fail(FORGE_E_INTERNAL, "opencl: an argument of %zu bytes for kernel %s", bytes,
                         l->kernel->name);
  set_arg(l, bytes, l->warm ? (const void *)zeros : p);
}

void ocl_arg_local(ocl_launch *l, size_t bytes) { set_arg(l, bytes, NULL); }

/* Whether this kernel has to be run once to be compiled; says yes once. */
static bool is_cold(ocl_launch *l, uint32_t rank, const size_t *local) {
  forge_dev *dev = l->prog->dev;
  ocl_warm *w, *node = ocl_alloc(sizeof *node);
  if (!node) return true; /* twice does no harm */
  *node = (ocl_warm){.name = l->kernel->name,
                     .local = {local[0], rank > 1 ? local[1] : 1, rank > 2 ? local[2] : 1}};
  pthread_mutex_lock(&dev->lock);
  for (w = l->kernel->build->warm; w; w = w->next)
    if (!strcmp(w->name, node->name) && !memcmp(w->local, node->local, sizeof w->local)) break;
  if (!w) {
    node->next = l->kernel->build->warm;
    l->kernel->build->warm = node;
  }
  pthread_mutex_unlock(&dev->lock);
  if (w) ocl_free(node);
  return !w;
}

void ocl_run(ocl_launch *l, uint32_t rank, const size_t *groups, const size_t *local) {
  size_t global[3] = {0};
  if (l->status || (l->warm && !is_cold(l, rank, local))) return;
  for (uint32_t k = 0; k < rank; k++) {
    if (groups[k] == 0 && !l->warm) return;
    global[k] = (l->warm ? 1 : groups[k]) * local[k];
  }
  cl_event event;
  const cl_int code = ocl_cl.EnqueueNDRangeKernel(l->queue, l->kernel->kernel, rank, NULL, global,
                                                  local, 0, NULL, &event);
  if (code) {
    l->status = ocl_fail_cl(code, "opencl: kernel %s with %zu work-items in groups of %zu",
                            l->kernel->name, global[0], local[0]);
    return;
  }
  if (l->event) ocl_cl.ReleaseEvent(l->event);
  l->event = event;
}

void ocl_run1(ocl_launch *l, int64_t groups, uint32_t local) {
  const size_t g = (size_t)groups, n = local;
  ocl_run(l, 1, &g, &n);
}

void ocl_run2(ocl_launch *l, int64_t groups0, int64_t groups1, uint32_t local0, uint32_t local1) {
  const size_t g[2] = {(size_t)groups0, (size_t)groups1}, n[2] = {local0, local1};
  ocl_run(l, 2, g, n);
}

bool ocl_is_warming(const ocl_launch *l) { return l->warm; }

forge_status ocl_done(ocl_launch *l) { return l->status; }

forge_status ocl_step_run(ocl_launch *l, const ocl_step *step) {
  l->step = step;
  return step->row->launch(l, &step->call);
}
