/* device.c -- the open device: context, limits, options. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host.h"

#define DUMMY_BYTES 4096
/* PoCL sets it for its own use of hwloc and leaves it to the program's children. */
#define HWLOC_VARIABLE "HWLOC_PLUGINS_PATH"

static forge_status read_switch(const char *key, const char *text, bool *out) {
  static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcasecmp(text, words[i])) continue;
    *out = i & 1;
    return FORGE_OK;
  }
  return ocl_fail(FORGE_E_INVALID, "opencl: option %s is \"%s\"; give yes or no", key, text);
}

#define TEAM_GPU 64
#define TEAM_MAX 256

static forge_status read_team(const char *text, uint32_t *out) {
  char *end;
  const unsigned long n = strtoul(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end || n > TEAM_MAX)
    return ocl_fail(FORGE_E_INVALID, "opencl: option team is \"%s\"; give 0 to %d", text, TEAM_MAX);
  *out = (uint32_t)n;
  return FORGE_OK;
}

static forge_status read_options(const char *const *options, forge_dev *dev) {
  const char *folder = "";
  bool cache = true;
  for (; options && options[0]; options += 2) {
    forge_status status = FORGE_OK;
    if (!strcmp(options[0], "cache_dir"))
      folder = options[1];
    else if (!strcmp(options[0], "cache"))
      status = read_switch(options[0], options[1], &cache);
    else if (!strcmp(options[0], "build_options"))
      snprintf(dev->options, sizeof dev->options, "%s", options[1]);
    else if (!strcmp(options[0], "only_primitives"))
      status = read_switch(options[0], options[1], &dev->only_primitives);
    else if (!strcmp(options[0], "team"))
      status = read_team(options[1], &dev->caps.team);
    else
      status = ocl_fail(FORGE_E_INVALID,
                        "opencl: unknown option \"%s\"; there are cache, cache_dir, build_options, "
                        "team and only_primitives",
                        options[0]);
    if (status) return status;
  }
  if (cache) ocl_disk_folder(folder, dev->cache, sizeof dev->cache);
  return FORGE_OK;
}

static uint64_t number(const forge_dev *dev, cl_device_info what, size_t bytes) {
  uint64_t n = 0;
  ocl_cl.GetDeviceInfo(dev->id, what, bytes, &n, NULL);
  return n;
}

/* Texts longer than |room| are cut; OpenCL would give none of them. */
static void text(const forge_dev *dev, cl_device_info what, char *out, size_t room) {
  char whole[1024] = "";
  ocl_cl.GetDeviceInfo(dev->id, what, sizeof whole - 1, whole, NULL);
  snprintf(out, room, "%s", whole);
}

static void read_limits(forge_dev *dev) {
  dev->caps.is_cpu = number(dev, CL_DEVICE_TYPE, sizeof(cl_device_type)) & CL_DEVICE_TYPE_CPU;
  dev->caps.fp64 = number(dev, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof(cl_device_fp_config)) != 0;
  dev->caps.units = (uint32_t)number(dev, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(cl_uint));
  dev->caps.max_group = (uint32_t)number(dev, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t));
  dev->caps.local_bytes = number(dev, CL_DEVICE_LOCAL_MEM_SIZE, sizeof(cl_ulong));
  if (!dev->caps.max_group) dev->caps.max_group = 1;
  if (!dev->caps.team) dev->caps.team = dev->caps.is_cpu ? 1 : TEAM_GPU;
  if (dev->caps.team > dev->caps.max_group) dev->caps.team = dev->caps.max_group;
  dev->max_alloc = number(dev, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong));
  dev->mem_align = number(dev, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof(cl_uint)) / 8;
  if (!dev->mem_align) dev->mem_align = 128;
  text(dev, CL_DEVICE_NAME, dev->name, sizeof dev->name);
  text(dev, CL_DRIVER_VERSION, dev->driver, sizeof dev->driver);
}

/* Rounding as the ABI wants it, where the device offers a choice. */
static void add_options(forge_dev *dev) {
  const uint64_t f32 = number(dev, CL_DEVICE_SINGLE_FP_CONFIG, sizeof(cl_device_fp_config));
  char user[sizeof dev->options];
  snprintf(user, sizeof user, "%s", dev->options);
  snprintf(dev->options, sizeof dev->options, "-cl-std=CL1.2%s%s%s%s",
           f32 & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT ? " -cl-fp32-correctly-rounded-divide-sqrt"
                                                     : "",
           dev->caps.fp64 ? " -DOCL_FP64" : "", user[0] ? " " : "", user);
}

static forge_status open_context(forge_dev *dev) {
  cl_int code;
  const cl_context_properties platform[] = {CL_CONTEXT_PLATFORM,
                                            (cl_context_properties)dev->platform, 0};
  dev->context = ocl_cl.CreateContext(platform, 1, &dev->id, NULL, NULL, &code);
  if (code) return ocl_fail_cl(code, "opencl: no context on %s", dev->name);
  dev->own = ocl_cl.CreateCommandQueue(dev->context, dev->id, 0, &code);
  if (code) return ocl_fail_cl(code, "opencl: no command queue on %s", dev->name);
  dev->dummy = ocl_cl.CreateBuffer(dev->context, CL_MEM_READ_WRITE, DUMMY_BYTES, NULL, &code);
  if (code) return ocl_fail_cl(code, "opencl: no memory on %s", dev->name);
  return FORGE_OK;
}

void ocl_signals_note(ocl_signals *out) {
  for (int i = 1; i < OCL_SIGNALS; i++) sigaction(i, NULL, &out->action[i]);
}

void ocl_signals_restore(const ocl_signals *noted) {
  struct sigaction now;
  for (int i = 1; i < OCL_SIGNALS; i++)
    if (!sigaction(i, NULL, &now) && now.sa_handler != noted->action[i].sa_handler)
      sigaction(i, &noted->action[i], NULL);
}

forge_status ocl_dev_open(uint32_t ordinal, const char *const *options, forge_dev **out) {
  forge_dev *dev = ocl_alloc(sizeof *dev);
  if (!dev) return FORGE_E_OOM;
  pthread_mutex_init(&dev->lock, NULL);
  pthread_cond_init(&dev->built, NULL);
  dev->source = (forge_timeline_source){ocl_host, &ocl_events, dev};
  ocl_signals signals;
  ocl_signals_note(&signals);
  const bool had_plugins = getenv(HWLOC_VARIABLE) != NULL;
  forge_status status = read_options(options, dev);
  if (!status) status = ocl_find_device(ordinal, &dev->platform, &dev->id);
  if (!status) {
    read_limits(dev);
    add_options(dev);
    status = open_context(dev);
  }
  ocl_signals_restore(&signals);
  if (!had_plugins) unsetenv(HWLOC_VARIABLE);
  if (status)
    ocl_dev_close(dev);
  else
    *out = dev;
  return status;
}

void ocl_dev_close(forge_dev *dev) {
  if (!dev) return;
  ocl_builds_free(dev);
  if (dev->dummy) ocl_cl.ReleaseMemObject(dev->dummy);
  if (dev->own) ocl_cl.ReleaseCommandQueue(dev->own);
  if (dev->context) ocl_cl.ReleaseContext(dev->context);
  pthread_cond_destroy(&dev->built);
  pthread_mutex_destroy(&dev->lock);
  ocl_free(dev);
}

forge_status ocl_dev_query(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out) {
  (void)arg;
  *out = (forge_value){.kind = FORGE_VALUE_U64, .status = FORGE_KNOWN};
  switch (key) {
  case FORGE_QUERY_PEER: out->v.u = 0; return FORGE_OK;
  case FORGE_QUERY_COMPUTE_UNITS: out->v.u = dev->caps.units; return FORGE_OK;
  case FORGE_QUERY_HOST_VISIBLE: out->v.u = 0; return FORGE_OK;
  case FORGE_QUERY_ISA:
    out->kind = FORGE_VALUE_STRING;
    out->v.s = "OpenCL C 1.2";
    return FORGE_OK;
  default: return ocl_fail(FORGE_E_UNSUPPORTED, "opencl: unknown query %" PRIu32, key);
  }
}

forge_status ocl_check_alive(const forge_dev *dev) {
  if (!atomic_load(&dev->lost)) return FORGE_OK;
  return ocl_fail(FORGE_E_DEVICE_LOST, "opencl: %s is gone; close it and open it again", dev->name);
}

static forge_status lose(forge_dev *dev) {
  atomic_store(&dev->lost, true);
  return FORGE_OK;
}

const forge_block_testing_v0 ocl_testing = {.n_slots = 1, .lose = lose};
