/* build.c -- kernels from text or from disk, once per device, and run once so that no submit has to
 * compile. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "host.h"

static const ocl_source *find_source(const char *name) {
  for (const ocl_source *s = ocl_sources; s->name; s++)
    if (!strcmp(s->name, name)) return s;
  return NULL;
}

forge_status ocl_build_find(forge_dev *dev, const char *file, const char *options,
                            ocl_build **out) {
  const ocl_source *source = find_source(file);
  if (!source) return ocl_fail(FORGE_E_INTERNAL, "opencl: there is no kernels/%s.cl", file);
  const size_t n = strlen(options) + 1;
  ocl_build *fresh = ocl_alloc(sizeof *fresh + n), *b;
  if (!fresh) return FORGE_E_OOM;
  fresh->file = source->name;
  fresh->options = memcpy(fresh + 1, options, n);
  pthread_mutex_lock(&dev->lock);
  for (b = dev->builds; b; b = b->next)
    if (b->file == source->name && !strcmp(b->options, options)) break;
  if (!b) {
    fresh->next = dev->builds;
    dev->builds = fresh;
  }
  pthread_mutex_unlock(&dev->lock);
  if (b) ocl_free(fresh);
  *out = b ? b : fresh;
  return FORGE_OK;
}

void ocl_builds_free(forge_dev *dev) {
  for (ocl_build *b = dev->builds, *next; b; b = next) {
    next = b->next;
    for (ocl_warm *w = b->warm, *after; w; w = after) {
      after = w->next;
      ocl_free(w);
    }
    if (b->program) ocl_cl.ReleaseProgram(b->program);
    ocl_free(b);
  }
  dev->builds = NULL;
}

/* ---- one build ---- */

/* What a kept binary depends on, in words. */
static void describe(const forge_dev *dev, const ocl_build *build, char *out, size_t room) {
  const char *common = ocl_sources[0].text, *text = find_source(build->file)->text;
  const uint64_t hash = ocl_hash(ocl_hash(0, common, strlen(common)), text, strlen(text));
  snprintf(out, room, "%s|%s|%s|%s %s|%016" PRIx64, dev->name, dev->driver, build->file,
           dev->options, build->options, hash);
}

static forge_status fail_build(forge_dev *dev, cl_program program, const ocl_build *build,
                               cl_int code) {
  char log[700] = "";
  size_t n = 0;
  ocl_cl.GetProgramBuildInfo(program, dev->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &n);
  char *whole = n ? ocl_alloc(n + 1) : NULL;
  if (whole) {
    ocl_cl.GetProgramBuildInfo(program, dev->id, CL_PROGRAM_BUILD_LOG, n, whole, NULL);
    for (char *c = whole; *c; c++)
      if (*c == '\n' || *c == '\r') *c = ' ';
    snprintf(log, sizeof log, "%s", whole);
    ocl_free(whole);
  }
  return ocl_fail_cl(code, "opencl: %s does not build kernels/%s.cl with \"%s %s\": %s", dev->name,
                     build->file, dev->options, build->options, log);
}

static cl_int compile(forge_dev *dev, cl_program program, const ocl_build *build) {
  char options[1024];
  snprintf(options, sizeof options, "%s %s", dev->options, build->options);
  return ocl_cl.BuildProgram(program, 1, &dev->id, options, NULL, NULL);
}

/* A kept binary that the driver takes; NULL: there is none. */
static cl_program from_disk(forge_dev *dev, const ocl_build *build, const char *key) {
  size_t bytes;
  uint8_t *binary = ocl_disk_load(dev, key, &bytes);
  if (!binary) return NULL;
  cl_int code, taken = CL_SUCCESS;
  cl_program program = ocl_cl.CreateProgramWithBinary(
      dev->context, 1, &dev->id, &bytes, (const unsigned char **)&binary, &taken, &code);
  if (code) program = NULL;
  if (program && (taken || compile(dev, program, build))) {
    ocl_cl.ReleaseProgram(program);
    program = NULL;
  }
  ocl_free(binary);
  return program;
}

static void keep(forge_dev *dev, cl_program program, const char *key) {
  size_t bytes = 0;
  if (!dev->cache[0] ||
      ocl_cl.GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) || !bytes)
    return;
  uint8_t *binary = ocl_alloc(bytes);
  if (!binary) return;
  if (!ocl_cl.GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL))
    ocl_disk_save(dev, key, binary, bytes);
  ocl_free(binary);
}

static forge_status from_text(forge_dev *dev, const ocl_build *build, cl_program *out) {
  const char *texts[] = {ocl_sources[0].text, "\n", find_source(build->file)->text};
  cl_int code;
  const cl_program program = ocl_cl.CreateProgramWithSource(dev->context, 3, texts, NULL, &code);
  if (code) return ocl_fail_cl(code, "opencl: no program of kernels/%s.cl", build->file);
  if ((code = compile(dev, program, build))) {
    const forge_status status = fail_build(dev, program, build, code);
    ocl_cl.ReleaseProgram(program);
    return status;
  }
  *out = program;
  return FORGE_OK;
}

static forge_status make(forge_dev *dev, ocl_build *build, bool *from_source) {
  char key[2048];
  cl_program program;
  describe(dev, build, key, sizeof key);
  *from_source = false;
  if ((program = from_disk(dev, build, key))) return build->program = program, FORGE_OK;
  const forge_status status = from_text(dev, build, &program);
  if (status) return status;
  *from_source = true;
  keep(dev, program, key);
  build->program = program;
  return FORGE_OK;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

forge_status ocl_build_make(forge_dev *dev, ocl_build *build, bool *from_source) {
  *from_source = false;
  pthread_mutex_lock(&dev->lock);
  while (build->state == OCL_BUILDING) pthread_cond_wait(&dev->built, &dev->lock);
  const bool ready = build->state == OCL_READY;
  if (!ready) build->state = OCL_BUILDING;
  pthread_mutex_unlock(&dev->lock);
  if (ready) return FORGE_OK;
  const double start = now();
  const forge_status status = make(dev, build, from_source);
  ocl_log(FORGE_LOG_DEBUG, "kernels/%s.cl %s: %s, %.2f s", build->file, build->options,
          *from_source ? "built" : "from disk", now() - start);
  pthread_mutex_lock(&dev->lock);
  build->state = status ? OCL_WANTED : OCL_READY;
  pthread_cond_broadcast(&dev->built);
  pthread_mutex_unlock(&dev->lock);
  return status;
}

/* ---- a program's ---- */

/* How far the building is, for whoever watches: a line every few seconds. */
typedef struct progress {
  const forge_dev *dev;
  uint32_t done, total, made;
  double start, told;
} progress;

static void tell(progress *p, bool end) {
  const double t = now(), seconds = t - p->start;
  if (end && p->made)
    ocl_log(FORGE_LOG_INFO, "built kernels for %s in %.1f s (%" PRIu32 " files)%s%s", p->dev->name,
            seconds, p->made, p->dev->cache[0] ? ", kept in " : "", p->dev->cache);
  else if (!end && t - p->told > 2.0) {
    ocl_log(FORGE_LOG_INFO, "building kernels for %s: %" PRIu32 " of %" PRIu32 ", %.0f s so far",
            p->dev->name, p->done, p->total, seconds);
    p->told = t;
  }
}

static forge_status make_kernel(forge_dev *dev, ocl_wanted *k, progress *p) {
  bool from_source;
  cl_int code;
  const forge_status status = ocl_build_make(dev, k->build, &from_source);
  if (status) return status;
  p->made += from_source;
  k->kernel = ocl_cl.CreateKernel(k->build->program, k->name, &code);
  if (!code) return FORGE_OK;
  k->kernel = NULL;
  return ocl_fail_cl(code, "opencl: no kernel %s in kernels/%s.cl", k->name, k->build->file);
}

/* Points every view at the dummy. */
static void point_at_dummy(forge_prog *prog) {
  for (uint64_t i = 0; i < prog->n_views; i++) {
    prog->views[i].mem = prog->dev->dummy;
    prog->views[i].off = 0;
  }
}

/* Runs each kernel that was not run before with nothing to do. */
static forge_status warm_up(forge_prog *prog, progress *p) {
  forge_dev *dev = prog->dev;
  ocl_launch l = {.prog = prog, .queue = dev->own, .warm = true};
  point_at_dummy(prog);
  for (uint32_t i = 0; i < prog->n_steps && !l.status; i++) {
    const cl_event before = l.event;
    l.status = ocl_step_run(&l, &prog->steps[i]);
    if (l.event == before) continue;
    const cl_int code = ocl_cl.WaitForEvents(1, &l.event);
    if (code && !l.status) l.status = ocl_fail_cl(code, "opencl: a kernel fails on %s", dev->name);
    tell(p, false);
  }
  if (l.event) ocl_cl.ReleaseEvent(l.event);
  return l.status;
}

forge_status ocl_prog_build(forge_prog *prog) {
  const double start = now();
  progress p = {.dev = prog->dev, .total = prog->n_kernels, .start = start, .told = start};
  forge_status status = FORGE_OK;
  ocl_signals signals;
  ocl_signals_note(&signals);
  for (; p.done < prog->n_kernels && !status; p.done++) {
    status = make_kernel(prog->dev, &prog->kernels[p.done], &p);
    tell(&p, false);
  }
  if (!status) status = warm_up(prog, &p);
  ocl_signals_restore(&signals);
  tell(&p, true);
  return status;
}
