/* backend.h -- what backend.c and program.c share. */
#ifndef BACKEND_H
#define BACKEND_H

#include <pthread.h>
#include <stdbool.h>

#include "kernels.h"

struct forge_dev {
  pthread_mutex_t lock;   /* for the timelines of this device, and |lost| */
  pthread_cond_t changed; /* one of them moved */
  bool lost;
};

struct forge_mem {
  uint64_t bytes;
  uint8_t *data;
};

/* Reports why the call in progress fails, and gives |status| back. Once per failing call. */
forge_status fail(forge_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Zeroed host memory from the core, so that one place accounts for it; a failure is reported. */
void *zalloc(size_t bytes);
void release(void *p);

/* E_DEVICE_LOST (reported) once the device is gone. */
forge_status check_alive(forge_dev *dev);
/* E_INVALID (reported) when |bind| is no stretch of its block. */
forge_status check_range(const forge_bind *bind);

/* ---- program.c ---- */
forge_status op_support(forge_dev *dev, const forge_prog_desc *desc, forge_support *out_per_op);
forge_status prog_create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                         forge_prog_out *info);
void prog_destroy(forge_prog *prog);
/* Refuses an order that does not fit the program, before anything is done. */
forge_status prog_check(const forge_prog *prog, const forge_submit *order);
void prog_run(const forge_prog *prog, const forge_submit *order);

#endif
