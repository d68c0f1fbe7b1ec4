/* forge/backend.h -- all a vendor needs: the table a backend fills and the services the core gives
 * it.
 *
 * A backend is a shared object with one exported symbol, forge_backend_entry_v1(). The core calls
 * it once with a forge_hello (and again only after shutdown()); the backend answers with its table.
 * Everything else happens through that table.
 *
 * Lifecycle: DISCOVERED (manifest read) -> LOADED (dlopen NOW|LOCAL|NODELETE, never closed) ->
 * NEGOTIATED -> PROBED -> READY -> device OPEN -> CLOSED -> RETIRED (shutdown). Objects are
 * destroyed child-first: programs, memory, queues, timelines, device. A failure at any step retires
 * this backend with a reason and no other.
 *
 * Threads: probe, dev_*, mem_*, tl_query, tl_wait, op_support, prog_create and the functions of
 * optional blocks may be called concurrently. Calls on one queue are serialised by the core, and
 * nothing is destroyed while a call that names it is under way. A backend may own threads; all are
 * joined by dev_close/shutdown. Host services may be called from any thread, never while holding a
 * lock a table function takes.
 *
 * Order: a submit or copy waits only for points that are reached already or that a submit or copy
 * which has returned before will signal. So nothing waits for what comes later, and a backend may
 * wait inside submit and copy, or hand the waits to its hardware, as it likes.
 *
 * Errors: the return code says what to do (status.h); host->report() says why, once, before the
 * return. A failure after submit returned makes the signalled timelines fail for good. Out of
 * memory leaves every object valid. After E_DEVICE_LOST only destroy functions and dev_close need
 * to work. abort, exit, longjmp and exceptions never cross this boundary. Unknown flag bits are
 * refused with E_UNSUPPORTED.
 *
 * Versions: MAJOR is in the symbol's name. MINOR appends: a slot to the table, a field to a sized
 * struct. A backend is compiled against one minor and sees exactly that layout for ever, on every
 * core that is not older; it needs no version logic. A minor_min below that minor is a promise to
 * run on older cores too, which give and take structs as they were then: a field appended with
 * minor M is neither read nor written where host->minor is below M. |size| is written by the core
 * with the size the backend's minor knows: never compare it. */
#ifndef FORGE_BACKEND_H
#define FORGE_BACKEND_H

#include "ops.h"
#include "status.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Opaque to the core; each belongs to the backend that made it. */
typedef struct forge_dev forge_dev;     /* an open device */
typedef struct forge_mem forge_mem;     /* a block of memory on it */
typedef struct forge_queue forge_queue; /* an order of execution on it */
typedef struct forge_prog forge_prog;   /* a built program */
typedef struct forge_tl forge_tl;       /* a timeline: a 64-bit count that only rises */

/* The moment a timeline reaches |value|. */
typedef struct forge_point {
  forge_tl *tl;
  uint64_t value;
} forge_point;

/* Services of the core, alive until shutdown() returned. Any thread may call them. */
typedef struct forge_host {
  uint32_t size, minor;
  void *ctx; /* first argument of every service */
  /* Says why the call in progress fails, or why a timeline failed. Copies what it keeps. */
  void (*report)(void *ctx, const forge_error *error);
  /* One line of |n| bytes, no newline; level is FORGE_LOG_*. */
  void (*log)(void *ctx, int32_t level, const char *msg, size_t n);
  /* Host memory, |align| a power of two (0: 16). NULL when there is none. free(NULL) is fine. */
  void *(*alloc)(void *ctx, size_t bytes, size_t align);
  void (*free)(void *ctx, void *p);
  /* The timeline created with |cookie| reached |value|, or failed with |status|. */
  void (*tl_notify)(void *ctx, uint64_t cookie, uint64_t value, forge_status status);
} forge_host;

/* Core to backend. */
typedef struct forge_hello {
  uint32_t size, minor_min, minor_max, rsv; /* minors this core speaks */
  const forge_host *host;                   /* outlives the backend */
} forge_hello;

enum { FORGE_SANITIZER_NONE = 0, FORGE_SANITIZER_ADDRESS = 1, FORGE_SANITIZER_THREAD = 2 };

/* What this is being compiled with, for the reply: gcc says it by a macro, clang by a feature. */
#if defined(__SANITIZE_ADDRESS__)
#define FORGE_SANITIZER_BUILT FORGE_SANITIZER_ADDRESS
#elif defined(__SANITIZE_THREAD__)
#define FORGE_SANITIZER_BUILT FORGE_SANITIZER_THREAD
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FORGE_SANITIZER_BUILT FORGE_SANITIZER_ADDRESS
#elif __has_feature(thread_sanitizer)
#define FORGE_SANITIZER_BUILT FORGE_SANITIZER_THREAD
#endif
#endif
#ifndef FORGE_SANITIZER_BUILT
#define FORGE_SANITIZER_BUILT FORGE_SANITIZER_NONE
#endif

/* Backend to core. The struct is zeroed and |size| set before the call. Strings live for ever. */
typedef struct forge_reply {
  uint32_t size, minor_min, minor_max,
      sanitizer;                       /* minors this backend speaks; FORGE_SANITIZER_BUILT */
  uint64_t layout_id;                  /* FORGE_LAYOUT_ID as the backend was compiled */
  const char *name, *vendor, *version; /* name as in the manifest */
  const struct forge_backend_v1 *table;
} forge_reply;

typedef struct forge_probe {
  uint32_t size, n_devices;
  int32_t score; /* for reports; among variants of one backend the manifest's order decides */
  uint32_t rsv;
  const char *driver;  /* driver or library and its version, NULL if none */
  const char *why_not; /* with n_devices 0: what is missing and what to do; lives for ever */
} forge_probe;

enum { FORGE_DEVICE_CPU = 1, FORGE_DEVICE_GPU = 2, FORGE_DEVICE_ACCELERATOR = 3 };

/* Two devices of any backends with equal uuid, or equal pci and partition, are one device. */
typedef struct forge_dev_info {
  uint32_t size, type;                     /* FORGE_DEVICE_* */
  uint8_t uuid[16];                        /* zeros: none */
  uint32_t pci_domain, pci_bdf, partition; /* pci_bdf 0xFFFFFFFF: not on PCI */
  int32_t numa;                            /* -1: unknown */
  uint64_t mem_total;                      /* bytes, 0: unknown */
  char name[128];                          /* model name, zero-terminated UTF-8 */
} forge_dev_info;

/* Answer to dev_query(); |status| is FORGE_KNOWN, FORGE_ESTIMATED or FORGE_UNKNOWN. */
enum { FORGE_VALUE_U64 = 1, FORGE_VALUE_I64 = 2, FORGE_VALUE_F64 = 3, FORGE_VALUE_STRING = 4 };
typedef struct forge_value {
  uint32_t kind, status;
  union {
    uint64_t u;
    int64_t i;
    double f;
    const char *s;
  } v;
} forge_value;

/* clang-format off */
/* generated from registry/query.csv and registry/block.csv; do not edit */
enum {
  FORGE_QUERY_THREADS = 1, /* u: worker threads the device computes with */
  FORGE_QUERY_PEER = 2, /* u: 1 if it copies directly to and from the device whose ordinal is arg */
  FORGE_QUERY_COMPUTE_UNITS = 3, /* u: cores or multiprocessors */
  FORGE_QUERY_ISA = 4, /* p: static C string naming the instruction set in use */
  FORGE_QUERY_HOST_VISIBLE = 5, /* u: 1 if DEVICE memory has a host pointer */
};
enum {
  FORGE_BLOCK_COLL = 1, /* collectives between devices */
  FORGE_BLOCK_IPC = 2, /* memory and timelines shared with other processes */
  FORGE_BLOCK_VMM = 3, /* reserve and map address ranges */
  FORGE_BLOCK_QUIESCE = 4, /* release everything that ties the device to this process */
  FORGE_BLOCK_GRAPH = 5, /* change a program without building it again */
  FORGE_BLOCK_PROF = 6, /* time stamps per op */
  FORGE_BLOCK_TELEMETRY = 7, /* energy power temperature and clocks */
  FORGE_BLOCK_HOSTREG = 8, /* use the host's own pages as device memory */
  FORGE_BLOCK_INTEROP = 9, /* native streams contexts and pointers */
  FORGE_BLOCK_CACHE = 10, /* save and load built programs */
  FORGE_BLOCK_FILEIO = 11, /* reads and writes ordered by timelines */
  FORGE_BLOCK_KERNEL = 12, /* a kernel given at run time as an op */
  FORGE_BLOCK_TESTING = 13, /* faults on request for conformance tests */
};
/* end of generated text */
/* clang-format on */

enum { FORGE_MEM_DEVICE = 1, FORGE_MEM_HOST_PINNED = 2, FORGE_MEM_HOST_SHARED = 3 };

typedef struct forge_mem_desc {
  uint32_t size, kind; /* FORGE_MEM_* */
  uint64_t bytes, align;
  uint32_t export_caps, flags; /* 0 */
} forge_mem_desc;

typedef struct forge_mem_out {
  uint32_t size, flags;
  uint64_t dev_addr;    /* 0 if the backend has no addresses */
  uint64_t granularity; /* blocks smaller than this waste memory */
  void *host_ptr;       /* where the host sees the block, NULL if it does not */
} forge_mem_out;

/* A stretch of memory, as a program or a copy uses it. */
typedef struct forge_bind {
  forge_mem *mem;
  uint64_t off, len; /* bytes */
} forge_bind;

/* Where a tensor of a program lives: |offset| bytes into binding number |bind| of each submit. */
enum {
  FORGE_SLOT_CONSTANT =
      1 /* the contents stay the same from submit to submit while the binding is the same */
};
typedef struct forge_slot {
  forge_tensor tensor;
  uint64_t offset;
  uint32_t bind, flags; /* FORGE_SLOT_CONSTANT */
} forge_slot;

enum {
  FORGE_PROGRAM_ONE_SHOT = 1,     /* submitted once: do not spend time on building */
  FORGE_PROGRAM_REPLAYABLE = 2,   /* submitted many times */
  FORGE_PROGRAM_DETERMINISTIC = 4 /* the same inputs give the same bits, or prog_create refuses */
};

/* A program: |n_ops| records in |ops| (ops.h), executed as if in order. The description is borrowed
 * for the call. It was checked by the core: ids are in range, dims agree, views stay inside their
 * binding. */
typedef struct forge_prog_desc {
  uint32_t size, flags; /* FORGE_PROGRAM_* */
  uint32_t n_slots, n_ops;
  const forge_slot *slots;
  const void *ops;
  uint64_t ops_bytes;
  uint32_t n_bind, n_scalars;
  uint64_t prog_id; /* for error records */
} forge_prog_desc;

typedef struct forge_prog_out {
  uint32_t size, flags;
  uint64_t workspace_bytes; /* memory the program holds for itself */
  uint64_t build_ns;
} forge_prog_out;

enum { FORGE_SUPPORT_NO = 0, FORGE_SUPPORT_DECOMPOSED = 1, FORGE_SUPPORT_NATIVE = 2 };
enum {
  FORGE_REASON_NONE = 0,
  FORGE_REASON_OP = 1,
  FORGE_REASON_DTYPE = 2,
  FORGE_REASON_SHAPE = 3,
  FORGE_REASON_STRIDES = 4,
  FORGE_REASON_ATTRIBUTES = 5,
  FORGE_REASON_HARDWARE = 6
};
/* DECOMPOSED: "give me the primitives instead"; NO: "not even those". |reason| is required unless
 * NATIVE. */
typedef struct forge_support {
  uint8_t answer, reason;
  uint16_t alt_layout;
  uint32_t rel_cost; /* 100 = as fast as this device can; 0 = not said */
  uint64_t workspace;
} forge_support;

enum {
  FORGE_COPY_TO_DEVICE = 1,
  FORGE_COPY_TO_HOST = 2,
  FORGE_COPY_ON_DEVICE = 3,
  FORGE_COPY_FILL = 4
};
/* TO_DEVICE: host -> dst. TO_HOST: src -> host. ON_DEVICE: src -> dst, equal lengths, not
 * overlapping. FILL: dst filled with the low byte of |pattern|. |host| stays valid until the
 * signalled point. */
typedef struct forge_copy {
  uint32_t kind, rsv;
  forge_bind dst, src;
  void *host;
  uint64_t pattern;
} forge_copy;

/* One execution. Work starts when all waits are reached; then all signals are reached or fail
 * together. bind has the program's n_bind entries, scalar its n_scalars. Arrays are borrowed for
 * the call. */
typedef struct forge_submit {
  uint32_t size, n_bind, n_scalar, n_wait, n_signal, flags;
  const forge_bind *bind;
  const uint64_t *scalar;
  const forge_point *wait, *signal;
} forge_submit;

enum { FORGE_QUEUE_COMPUTE = 1, FORGE_QUEUE_COPY = 2 };
#define FORGE_WAIT_FOREVER UINT64_MAX

/* The table. Append-only within a major; |n_slots| is what the backend was compiled with. A slot a
 * backend does not have is NULL and answers E_UNSUPPORTED. Required: probe, dev_info, dev_open,
 * dev_close, mem_alloc, mem_free, queue_create, queue_destroy, tl_create, tl_destroy, tl_query,
 * tl_wait, op_support, prog_create, prog_destroy, submit, copy. */
typedef struct forge_backend_v1 {
  uint32_t n_slots, rsv; /* FORGE_BACKEND_SLOTS */

  /* -- backend -- */
  /* How many devices there are, without making a context or a thread: a process may fork
   * afterwards. */
  forge_status (*probe)(forge_probe *out);
  /* The table of an optional block (FORGE_BLOCK_*), or E_UNSUPPORTED. */
  forge_status (*get_block)(uint32_t id, uint32_t minor, const void **out_table);
  /* Joins every thread. No device is open. The library stays mapped. Not called in a child of
   * fork() that inherited an open device: its threads are the parent's. */
  void (*shutdown)(void);

  /* -- device -- */
  forge_status (*dev_info)(uint32_t ordinal, forge_dev_info *out);
  /* |options|: key, value, key, value, .. NULL, as checked against the manifest; borrowed. NULL:
   * none. */
  forge_status (*dev_open)(uint32_t ordinal, const char *const *options, forge_dev **out);
  void (*dev_close)(forge_dev *dev);
  /* FORGE_QUERY_*; an unknown key is E_UNSUPPORTED. */
  forge_status (*dev_query)(forge_dev *dev, uint32_t key, uint64_t arg, forge_value *out);

  /* -- memory: big blocks; the core sub-allocates -- */
  /* Contents are undefined. E_OOM leaves everything as it was. */
  forge_status (*mem_alloc)(forge_dev *dev, const forge_mem_desc *desc, forge_mem **out,
                            forge_mem_out *info);
  /* No submitted work uses |mem| any more. NULL is fine. */
  void (*mem_free)(forge_dev *dev, forge_mem *mem);

  /* -- queues and time -- */
  forge_status (*queue_create)(forge_dev *dev, uint32_t kind, int32_t priority, forge_queue **out);
  void (*queue_destroy)(forge_queue *queue); /* its work is finished; NULL is fine */
  /* |cookie| is handed to host->tl_notify() each time the value rises or the timeline fails. */
  forge_status (*tl_create)(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out);
  /* NULL is fine. When it has returned no tl_notify() of |tl| is under way, and none comes. */
  void (*tl_destroy)(forge_tl *tl);
  /* The value reached. A negative return: the timeline failed, for good. */
  forge_status (*tl_query)(forge_tl *tl, uint64_t *out_value);
  /* Waits until |value| is reached: OK, E_TIMEOUT after |timeout_ns|, or the timeline's failure. */
  forge_status (*tl_wait)(forge_tl *tl, uint64_t value, uint64_t timeout_ns);

  /* -- work -- */
  /* Answers for each op of |desc|. Must agree with what prog_create and submit then do. */
  forge_status (*op_support)(forge_dev *dev, const forge_prog_desc *desc,
                             forge_support *out_per_op);
  forge_status (*prog_create)(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                              forge_prog_out *info);
  void (*prog_destroy)(forge_prog *prog); /* no submit of it is running; NULL is fine */
  /* Ordered within the queue; across queues only by waits and signals. May return before the work
   * is done. */
  forge_status (*submit)(forge_queue *queue, forge_prog *prog, const forge_submit *submit);
  /* |n| copies as one piece of work; |order| carries only waits and signals, NULL: none. */
  forge_status (*copy)(forge_queue *queue, const forge_copy *copies, uint32_t n,
                       const forge_submit *order);
} forge_backend_v1;

#define FORGE_BACKEND_SLOTS 20u

/* Block HOSTREG, minor 0: host pages as device memory, so that mapped weights need no copy. */
typedef struct forge_block_hostreg_v0 {
  uint32_t n_slots, rsv; /* 2 */
  /* |bytes| at |host| (page-aligned start) become a forge_mem; read-only unless |writable|. The
   * pages stay mapped until release(). E_UNSUPPORTED: the core copies instead. */
  forge_status (*import)(forge_dev *dev, void *host, uint64_t bytes, uint32_t writable,
                         forge_mem **out, forge_mem_out *info);
  void (*release)(forge_dev *dev, forge_mem *mem);
} forge_block_hostreg_v0;

/* Block TESTING, minor 0 (since 1.1): what conformance tests ask of a device and no other caller
 * does. Optional; without it the tests that need it are skipped. */
typedef struct forge_block_testing_v0 {
  uint32_t n_slots, rsv; /* 1 */
  /* From now on |dev| behaves as if its hardware had gone: work that has not finished and work
   * given to it later ends in E_DEVICE_LOST (the call's answer, or the failure of the timelines it
   * was to signal), waits for it end with that, calls that need the hardware answer it; destroy
   * functions, mem_free and dev_close work. Other devices stay as they are. Again is fine. */
  forge_status (*lose)(forge_dev *dev);
} forge_block_testing_v0;

/* A number that differs when a compiler flag or an edited header changed any layout above. */
#define FORGE_LAYOUT_ID                                                                            \
  ((((((((uint64_t)sizeof(forge_tensor) * 131 + sizeof(forge_slot)) * 131 +                        \
        sizeof(forge_prog_desc)) *                                                                 \
           131 +                                                                                   \
       sizeof(forge_submit)) *                                                                     \
          131 +                                                                                    \
      sizeof(forge_copy)) *                                                                        \
         131 +                                                                                     \
     sizeof(forge_dev_info)) *                                                                     \
        131 +                                                                                      \
    sizeof(forge_error)) *                                                                         \
       131 +                                                                                       \
   offsetof(forge_backend_v1, copy))

/* The one exported symbol: FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(...) { .. } */
#if defined(__GNUC__)
#define FORGE_BACKEND_ENTRY __attribute__((visibility("default")))
#else
#define FORGE_BACKEND_ENTRY
#endif
FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *hello,
                                                        forge_reply *reply);

#ifdef __cplusplus
}
#endif
#endif
