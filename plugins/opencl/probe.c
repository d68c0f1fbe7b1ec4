/* probe.c -- which devices there are. OpenCL libraries start threads as soon as they are asked, and
 * a process must stay free to fork after a probe; so a child process asks, and tells through a
 * pipe. Only opening a device brings OpenCL into this process. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

#define MAX_PLATFORMS 16
#define CHILD_MS      20000
#define UUID_KHR      0x106A /* cl_khr_device_uuid */
#define PCI_KHR       0x410F /* cl_khr_pci_bus_info */
#define PCI_BUS_NV    0x4008 /* cl_nv_device_attribute_query */
#define PCI_SLOT_NV   0x4009
#define PCI_DOMAIN_NV 0x400A

typedef struct findings {
  uint32_t n, n_platforms, n_unusable;
  char missing[256];
  ocl_found device[OCL_MAX_DEVICES];
} findings;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static findings known;
static bool probed, here; /* here: OpenCL lives in this process anyway */
static char why_not[512], drivers[128];

/* ---- asking OpenCL ---- */

static void device_text(cl_device_id d, cl_device_info what, char *out, size_t room) {
  char text[1024] = "";
  ocl_cl.GetDeviceInfo(d, what, sizeof text - 1, text, NULL);
  const size_t skip = strspn(text, " ");
  snprintf(out, room, "%s", text + skip);
}

static cl_ulong device_number(cl_device_id d, cl_device_info what, size_t bytes) {
  cl_ulong n = 0;
  ocl_cl.GetDeviceInfo(d, what, bytes, &n, NULL);
  return n;
}

static bool is_usable(cl_device_id d) {
  char version[64];
  int major = 0, minor = 0;
  device_text(d, CL_DEVICE_VERSION, version, sizeof version);
  if (sscanf(version, "OpenCL %d.%d", &major, &minor) != 2 || major * 10 + minor < 12) return false;
  return device_number(d, CL_DEVICE_AVAILABLE, sizeof(cl_bool)) &&
         device_number(d, CL_DEVICE_COMPILER_AVAILABLE, sizeof(cl_bool)) &&
         device_number(d, CL_DEVICE_ENDIAN_LITTLE, sizeof(cl_bool));
}

static void read_place(cl_device_id d, forge_dev_info *out) {
  uint32_t pci[4], bus, slot, domain = 0;
  uint8_t uuid[16];
  if (!ocl_cl.GetDeviceInfo(d, UUID_KHR, sizeof uuid, uuid, NULL))
    memcpy(out->uuid, uuid, sizeof uuid);
  out->pci_bdf = 0xFFFFFFFFu;
  if (!ocl_cl.GetDeviceInfo(d, PCI_KHR, sizeof pci, pci, NULL)) {
    out->pci_domain = pci[0];
    out->pci_bdf = pci[1] << 8 | pci[2] << 3 | pci[3];
  } else if (!ocl_cl.GetDeviceInfo(d, PCI_BUS_NV, sizeof bus, &bus, NULL) &&
             !ocl_cl.GetDeviceInfo(d, PCI_SLOT_NV, sizeof slot, &slot, NULL)) {
    ocl_cl.GetDeviceInfo(d, PCI_DOMAIN_NV, sizeof domain, &domain, NULL);
    out->pci_domain = domain;
    out->pci_bdf = bus << 8 | slot;
  }
}

static void describe(cl_platform_id p, cl_device_id d, ocl_found *out) {
  const cl_ulong type = device_number(d, CL_DEVICE_TYPE, sizeof(cl_device_type));
  memset(out, 0, sizeof *out);
  out->info.type = type & CL_DEVICE_TYPE_CPU   ? FORGE_DEVICE_CPU
                   : type & CL_DEVICE_TYPE_GPU ? FORGE_DEVICE_GPU
                                               : FORGE_DEVICE_ACCELERATOR;
  out->info.numa = -1;
  out->info.mem_total = device_number(d, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(cl_ulong));
  read_place(d, &out->info);
  device_text(d, CL_DEVICE_NAME, out->info.name, sizeof out->info.name);
  device_text(d, CL_DRIVER_VERSION, out->driver, sizeof out->driver);
  ocl_cl.GetPlatformInfo(p, CL_PLATFORM_NAME, sizeof out->platform - 1, out->platform, NULL);
}

/* Goes through the usable devices of all platforms; |out| gets their description, or the two ids
 * those of number |wanted|. */
static void walk(findings *out, uint32_t wanted, cl_platform_id *platform, cl_device_id *device) {
  cl_platform_id platforms[MAX_PLATFORMS];
  cl_device_id devices[OCL_MAX_DEVICES];
  cl_uint n_platforms = 0;
  if (ocl_cl.GetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms)) n_platforms = 0;
  if (n_platforms > MAX_PLATFORMS) n_platforms = MAX_PLATFORMS;
  out->n_platforms = n_platforms;
  for (cl_uint p = 0; p < n_platforms; p++) {
    cl_uint n = 0;
    if (ocl_cl.GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, OCL_MAX_DEVICES, devices, &n))
      continue;
    for (cl_uint i = 0; i < n && i < OCL_MAX_DEVICES && out->n < OCL_MAX_DEVICES; i++) {
      if (!is_usable(devices[i])) {
        out->n_unusable++;
        continue;
      }
      if (out->n == wanted) {
        *platform = platforms[p];
        *device = devices[i];
      }
      describe(platforms[p], devices[i], &out->device[out->n++]);
    }
  }
}

static void look(findings *out) {
  const char *missing = ocl_load();
  cl_platform_id ignored_platform;
  cl_device_id ignored_device;
  memset(out, 0, sizeof *out);
  if (missing)
    snprintf(out->missing, sizeof out->missing, "%s", missing);
  else
    walk(out, UINT32_MAX, &ignored_platform, &ignored_device);
}

forge_status ocl_find_device(uint32_t ordinal, cl_platform_id *platform, cl_device_id *device) {
  const char *missing = ocl_load();
  if (missing) return ocl_fail(FORGE_E_NOT_FOUND, "opencl: %s", missing);
  findings *found = ocl_alloc(sizeof *found);
  if (!found) return FORGE_E_OOM;
  pthread_mutex_lock(&lock);
  here = true;
  pthread_mutex_unlock(&lock);
  walk(found, ordinal, platform, device);
  const uint32_t n = found->n;
  ocl_free(found);
  if (ordinal < n) return FORGE_OK;
  return ocl_fail(FORGE_E_INVALID,
                  "opencl: there is no device %" PRIu32 "; %" PRIu32
                  " found on all platforms (clinfo -l lists them)",
                  ordinal, n);
}

/* ---- the child ---- */

static void child(int fd) {
  static findings found;
  look(&found);
  const char *from = (const char *)&found;
  for (size_t done = 0; done < sizeof found;) {
    const ssize_t n = write(fd, from + done, sizeof found - done);
    if (n <= 0 && errno != EINTR) _exit(1);
    if (n > 0) done += (size_t)n;
  }
  _exit(0);
}

static bool receive(int fd, findings *out) {
  char *to = (char *)out;
  for (size_t done = 0; done < sizeof *out;) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    const int ready = poll(&wait, 1, CHILD_MS);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t n = read(fd, to + done, sizeof *out - done);
    if (n == 0 || (n < 0 && errno != EINTR)) return false;
    if (n > 0) done += (size_t)n;
  }
  return true;
}

static bool ask_child(findings *out) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) {
    snprintf(out->missing, sizeof out->missing, "no pipe to ask OpenCL through: %s",
             strerror(errno));
    return false;
  }
  const pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    child(ends[1]);
  }
  close(ends[1]);
  const bool answered = pid > 0 && receive(ends[0], out);
  close(ends[0]);
  if (pid > 0) {
    if (!answered) kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
  }
  if (!answered) {
    memset(out, 0, sizeof *out);
    snprintf(
        out->missing, sizeof out->missing,
        "an OpenCL driver crashed or hung when it was asked for devices; try clinfo, and remove "
        "the driver's file from /etc/OpenCL/vendors");
  }
  return answered;
}

/* ---- the table's slots ---- */

static void explain(const findings *f) {
  if (f->missing[0])
    snprintf(why_not, sizeof why_not, "%s", f->missing);
  else if (!f->n_platforms)
    snprintf(why_not, sizeof why_not,
             "no OpenCL platform: no driver in /etc/OpenCL/vendors; install your device's, or for "
             "the processor pocl-opencl-icd");
  else
    snprintf(why_not, sizeof why_not,
             "%" PRIu32 " OpenCL platforms, but no device with OpenCL 1.2 and a compiler (%" PRIu32
             " without); update the driver",
             f->n_platforms, f->n_unusable);
}

static void ensure_probed(void) {
  pthread_mutex_lock(&lock);
  if (!probed || (here && !known.n)) {
    if (here)
      look(&known);
    else
      ask_child(&known);
    explain(&known);
    if (known.n)
      snprintf(drivers, sizeof drivers, "%s %s", known.device[0].platform, known.device[0].driver);
    probed = true;
  }
  pthread_mutex_unlock(&lock);
}

forge_status ocl_probe(forge_probe *out) {
  ensure_probed();
  out->n_devices = known.n;
  out->score = 0;
  out->driver = known.n ? drivers : NULL;
  out->why_not = known.n ? NULL : why_not;
  return FORGE_OK;
}

forge_status ocl_dev_info(uint32_t ordinal, forge_dev_info *out) {
  ensure_probed();
  if (ordinal >= known.n)
    return ocl_fail(FORGE_E_INVALID,
                    "opencl: there is no device %" PRIu32 "; %" PRIu32 " found%s%s", ordinal,
                    known.n, known.n ? "" : ": ", known.n ? "" : why_not);
  const uint32_t size = out->size;
  *out = known.device[ordinal].info;
  out->size = size;
  return FORGE_OK;
}
