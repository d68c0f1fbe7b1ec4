/* fault.h -- what the files of the layer fault share. */
#ifndef FORGE_FAULT_H
#define FORGE_FAULT_H

#include <pthread.h>
#include <stdatomic.h>

#include "wrap.h"

/* ---- rules.c: CALL:WHEN:WHAT; CALL:WHEN:WHAT; .. ---- */

enum {
  CALL_MEM_ALLOC = 0,
  CALL_QUEUE_CREATE,
  CALL_TL_CREATE,
  CALL_OP_SUPPORT,
  CALL_PROG_CREATE,
  CALL_SUBMIT,
  CALL_COPY,
  CALL_TL_QUERY,
  CALL_TL_WAIT,
  CALL_DEV_QUERY,
  CALL_IMPORT,
  CALL_WORK, /* submit and copy, counted together */
  CALL_LIMIT
};
enum { WHEN_NTH = 1, WHEN_FROM, WHEN_EVERY, WHEN_CHANCE };
enum { DO_STATUS = 1, DO_LOSE, DO_DELAY, DO_FLIP, DO_FAIL };

typedef struct rule {
  uint32_t call, when, what;
  uint64_t n;    /* NTH, FROM, EVERY */
  double chance; /* CHANCE: 0 to 1 */
  forge_status status;
  uint64_t least_ns, most_ns; /* DELAY */
  uint32_t bits;              /* FLIP */
  int64_t op;                 /* FLIP: in this op of the program; -1: any */
  _Atomic uint64_t count;     /* calls it has seen */
  char text[96];              /* as the operator wrote it */
} rule;

enum { MAX_RULES = 16 };
typedef struct rule_set {
  rule rules[MAX_RULES];
  uint32_t n;
  uint64_t seed;
} rule_set;

/* Fails: E_CONFIG, reported through |host| with the rule and what it may be. */
forge_status rules_parse(const char *text, uint64_t seed, rule_set *out, const forge_host *host);
const char *rules_call_name(uint32_t call);
/* The rule that strikes this call, NULL: none; every rule of the call counts it. |out_random| is
 * decided by seed, rule and count alone, so that threads do not change it. */
const rule *rules_strike(rule_set *set, uint32_t call, uint64_t *out_count, uint64_t *out_random);
uint64_t rules_mix(uint64_t x);

/* ---- the layer's own objects ---- */

typedef struct fdev fdev;

/* A value of a timeline that is shown later than it is reached, or never. */
typedef struct hold {
  struct hold *next;
  uint64_t value, floor; /* what may be shown before: the value promised last before |value| */
  uint64_t delay_ns, until_ns; /* until 0: not reached yet */
  forge_status status;         /* not 0: then the timeline fails */
} hold;

typedef struct ftl {
  wrap_tl w;
  struct ftl *next;
  hold *holds;                            /* by value */
  uint64_t promised, before, seen, shown; /* before: promised before the last promise */
  uint32_t telling;                       /* the host is being told of it */
  forge_status failed, injected;          /* injected: by a rule */
} ftl;

typedef struct output {
  forge_slot slot;
  uint32_t op_index, output;
  uint16_t op;
} output;

typedef struct fprog {
  wrap_prog w;
  output *outputs;
  size_t n_outputs, cap_outputs;
} fprog;

struct fdev {
  wrap_dev w;
  rule_set rules;
  _Atomic uint32_t lost;
  pthread_mutex_t lock;
  pthread_cond_t moved; /* a timeline rose or failed, or a hold was added */
  pthread_t timer;
  bool has_timer, stop;
  ftl *timelines;
  pthread_mutex_t own_lock; /* one result is changed at a time */
  forge_tl *own_tl;         /* inner: to wait for work whose result is changed */
  uint64_t own_value;
};

static inline fdev *fdev_of(wrap_dev *d) { return (fdev *)(void *)d; }

/* What a rule does to a call that is neither submit nor copy. OK: go on. */
forge_status fault_call(fdev *d, uint32_t call);
/* The failure of everything once the device is gone; OK while it is not. */
forge_status fault_check_lost(fdev *d);
/* The device is gone: work under way is let finish below, and its timelines fail. */
void fault_lose(fdev *d);

/* ---- time.c ---- */

forge_status f_tl_create(forge_dev *dev, uint64_t initial, uint64_t cookie, forge_tl **out);
void f_tl_destroy(forge_tl *tl);
forge_status f_tl_query(forge_tl *tl, uint64_t *out_value);
forge_status f_tl_wait(forge_tl *tl, uint64_t value, uint64_t timeout_ns);
/* Before the work is given: its signals are promised, and held for |delay_ns| or until they fail
 * with |status|, if either is not 0. false: no memory. */
bool time_promise(fdev *d, const forge_submit *order, uint64_t delay_ns, forge_status status);
/* The work was refused after all. */
void time_withdraw(fdev *d, const forge_submit *order);
void time_lose(fdev *d);
void time_finish(fdev *d);

/* ---- work.c ---- */

forge_status f_prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info);
void f_prog_destroy(forge_prog *prog);
forge_status f_submit(forge_queue *queue, forge_prog *prog, const forge_submit *order);
forge_status f_copy(forge_queue *queue, const forge_copy *copies, uint32_t n,
                    const forge_submit *order);

#endif
