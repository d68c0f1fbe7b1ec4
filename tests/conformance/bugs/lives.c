/* lives.c -- bugs of lifetime, of threads and forks, and of manners in somebody else's process. */
#include <fcntl.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "plant.h"

static __attribute__((unused)) void forget(const void *p) { __asm__ volatile("" ::"r"(p)); }

static __attribute__((unused)) forge_status open_sound(uint32_t ordinal, const char *const *options,
                                                       forge_dev **out) {
  return sound->dev_open(ordinal, options, out);
}

#if defined(BUG_DOUBLE_FREE)
/* Gives a block back in prog_destroy() that submit() has given back already. */
static void *staging;
static forge_status create(forge_dev *dev, const forge_prog_desc *desc, forge_prog **out,
                           forge_prog_out *info) {
  staging = host->alloc(host->ctx, 512, 64);
  return sound->prog_create(dev, desc, out, info);
}
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  host->free(host->ctx, staging);
  return sound->submit(queue, prog, order);
}
static void destroy(forge_prog *prog) {
  if (prog) host->free(host->ctx, staging);
  sound->prog_destroy(prog);
}
void plant(void) {
  planted.prog_create = create;
  planted.submit = submit;
  planted.prog_destroy = destroy;
}

#elif defined(BUG_LEAK_PER_OPEN)
/* A table made by dev_open() and forgotten by dev_close(). */
static forge_status leak(uint32_t ordinal, const char *const *options, forge_dev **out) {
  const forge_status status = open_sound(ordinal, options, out);
  if (!status) forget(host->alloc(host->ctx, 96, 0));
  return status;
}
void plant(void) { planted.dev_open = leak; }

#elif defined(BUG_LEAK_OF_MALLOC)
/* The same from the C library, where the core's accounts do not see it. */
static forge_status leak(uint32_t ordinal, const char *const *options, forge_dev **out) {
  void *table = malloc(4096);
  if (table) memset(table, 1, 4096);
  forget(table);
  return open_sound(ordinal, options, out);
}
void plant(void) { planted.dev_open = leak; }

#elif defined(BUG_LEAK_PER_SUBMIT)
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  forget(host->alloc(host->ctx, 48, 0));
  return sound->submit(queue, prog, order);
}
void plant(void) { planted.submit = submit; }

#elif defined(BUG_FD_LEAK)
/* The driver's device file stays open. */
static forge_status leak(uint32_t ordinal, const char *const *options, forge_dev **out) {
  const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  return fd < 0 ? FORGE_E_FAULT : open_sound(ordinal, options, out);
}
void plant(void) { planted.dev_open = leak; }

#elif defined(BUG_THREAD_LEAK)
/* A thread for completions that nobody joins. */
static void *idle(void *arg) {
  for (;;) pause();
  return arg;
}
static forge_status start(uint32_t ordinal, const char *const *options, forge_dev **out) {
  pthread_t thread;
  const forge_status status = open_sound(ordinal, options, out);
  if (!status && !pthread_create(&thread, NULL, idle, NULL)) pthread_detach(thread);
  return status;
}
void plant(void) { planted.dev_open = start; }

#elif defined(BUG_THREAD_IN_PROBE)
/* Asks the driver on a thread that stays, and waits for its answer under a lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool asked, started;
static void *answer(void *arg) {
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!asked) pthread_cond_wait(&wake, &lock);
    asked = false;
    pthread_cond_broadcast(&wake);
  }
  return arg;
}
static forge_status probe(forge_probe *out) {
  pthread_t thread;
  if (!started) started = !pthread_create(&thread, NULL, answer, NULL);
  pthread_mutex_lock(&lock);
  asked = true;
  pthread_cond_broadcast(&wake);
  while (asked) pthread_cond_wait(&wake, &lock);
  pthread_mutex_unlock(&lock);
  return sound->probe(out);
}
void plant(void) { planted.probe = probe; }

#elif defined(BUG_USES_OLD_HOST)
/* Keeps the services of the first hello for ever. */
static void *first_alloc(void *ctx, size_t bytes, size_t align) {
  static const forge_host *first;
  (void)ctx;
  if (!first) first = host;
  return first->alloc(first->ctx, bytes, align);
}
void plant(void) { given.alloc = first_alloc; }

#elif defined(BUG_WRITES_STDOUT)
/* A banner. */
static forge_status greet(uint32_t ordinal, const char *const *options, forge_dev **out) {
  printf("Chip driver 12.0 (c) Vendor\n");
  fflush(stdout);
  return open_sound(ordinal, options, out);
}
void plant(void) { planted.dev_open = greet; }

#elif defined(BUG_ROUNDING_MODE)
/* Kernels that round toward zero, and do not put it back. */
static forge_status submit(forge_queue *queue, forge_prog *prog, const forge_submit *order) {
  const forge_status status = sound->submit(queue, prog, order);
  fesetround(FE_TOWARDZERO);
  return status;
}
void plant(void) { planted.submit = submit; }

#elif defined(BUG_SIGNAL_HANDLER)
/* A run-time library's crash handler. */
static void on_fault(int number) { _exit(128 + number); }
static forge_status install(uint32_t ordinal, const char *const *options, forge_dev **out) {
  signal(SIGFPE, on_fault);
  return open_sound(ordinal, options, out);
}
void plant(void) { planted.dev_open = install; }

#elif defined(BUG_WORKING_DIRECTORY)
/* Goes where its kernels are cached, and stays there. */
static forge_status move(uint32_t ordinal, const char *const *options, forge_dev **out) {
  if (chdir("/")) return FORGE_E_IO;
  return open_sound(ordinal, options, out);
}
void plant(void) { planted.dev_open = move; }
#endif
