/* cli.h -- the frame every command of `forge` stands in: options from one table, help from the same
 * table, output rules (results on stdout, all else on stderr), exit codes, progress. Tools see abi/
 * alone. */
#ifndef FORGE_CLI_H
#define FORGE_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <forge/forge.h>

/* What a script may rely on. */
enum {
  CLI_OK = 0,
  CLI_FAILED = 1,
  CLI_USAGE = 2,
  CLI_STOPPED = 3 /* asked to stop; state was saved */
};

/* One option; |value| names its argument ("N", "FILE"), NULL: a switch. A name may be given once
 * only, unless |many|. */
typedef struct cli_option {
  const char *name, *value, *help;
  bool many;
} cli_option;

typedef struct cli cli;
typedef struct cli_command {
  const char *name;            /* "generate" */
  const char *summary;         /* one line */
  const char *usage;           /* "MODEL --prompt TEXT [options]" */
  const char *examples;        /* one per line, each a whole command with a comment behind # */
  const cli_option *options;   /* ended by a NULL name; --config, --set, --json, --help are
                                  everybody's, unless a command has its own of that name */
  const char *verbatim;        /* behind this first argument all words are arguments; or NULL */
  uint32_t min_args, max_args; /* positional */
  int (*run)(cli *c);
  void (*more_help)(void); /* prints what stands between options and examples; NULL: nothing */
} cli_command;

/* Every command: its file defines cmd_NAME. The order is that of the overview. */
#define CLI_COMMANDS(X)                                                                            \
  X(devices)                                                                                       \
  X(doctor)                                                                                        \
  X(config)                                                                                        \
  X(train) X(generate) X(perplexity) X(convert) X(inspect) X(bench) X(plot) X(lint) X(plugin)
#define CLI_DECLARE_(name) extern const cli_command cmd_##name;
CLI_COMMANDS(CLI_DECLARE_)

/* Positional argument |i|, NULL beyond the last; and how many there are. */
const char *cli_arg(const cli *c, uint32_t i);
uint32_t cli_args(const cli *c);
/* Value of an option, |otherwise| when not given. */
const char *cli_text(const cli *c, const char *option, const char *otherwise);
/* Value number |i| of an option that may be given many times, NULL beyond the last. */
const char *cli_text_at(const cli *c, const char *option, uint32_t i);
bool cli_flag(const cli *c, const char *option);
bool cli_json(const cli *c);
/* Numbers: false (message printed, exit with CLI_USAGE) when the text is no number in range. *out
 * is |otherwise| when the option was not given. */
bool cli_u64(const cli *c, const char *option, uint64_t min, uint64_t max, uint64_t otherwise,
             uint64_t *out);
bool cli_f64(const cli *c, const char *option, double min, double max, double otherwise,
             double *out);

/* A runtime from --config (--runtime-config where a command has a --config of its own) and --set;
 * on failure prints why and returns NULL. |extra|: further "key=value" overrides, NULL-terminated,
 * may be NULL. */
forge_runtime *cli_runtime(const cli *c, const char *const *extra);
/* --threads N as the override of cli_runtime(); 0 or none: the backend's choice. Explains and
 * returns false where it is no number. */
enum { CLI_THREADS_MAX = 1024 };
typedef struct cli_threads {
  char text[64];
  const char *extra[2];
} cli_threads;
bool cli_take_threads(const cli *c, cli_threads *out);
/* Opens a device by an option's text (NULL: the configuration's first); prints why when it cannot.
 */
forge_device *cli_device(forge_runtime *runtime, const char *name);

/* Prints "forge COMMAND: WHAT: <last error>" and returns CLI_FAILED. */
int cli_failed(const cli *c, const char *what);
/* Prints "forge COMMAND: <message>" and where help is; returns CLI_USAGE. */
int cli_usage(const cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line on stderr, unless quiet. */
void cli_note(const cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "\033[1m"-style codes for |stream| when it is a terminal and NO_COLOR is unset, "" otherwise. */
enum { CLI_PLAIN, CLI_BOLD, CLI_RED, CLI_GREEN, CLI_YELLOW, CLI_DIM };
const char *cli_colour(FILE *stream, int colour);

/* True once SIGINT or SIGTERM came; a second one ends the process as usual. Call cli_catch_stop()
 * first. */
void cli_catch_stop(void);
bool cli_stop_wanted(void);

/* ---- progress on stderr: a bar with rate and time left on a terminal, a plain line every few
 * seconds elsewhere ---- */
typedef struct cli_progress {
  const char *what, *unit;
  uint64_t total, done, shown_ns, start_ns, start_done;
  bool terminal, drawn, current; /* current: what was drawn last is |done| */
} cli_progress;
void cli_progress_start(cli_progress *p, const char *what, const char *unit, uint64_t done,
                        uint64_t total);
/* |note|: shown behind the bar, may be NULL. */
void cli_progress_step(cli_progress *p, uint64_t done, const char *note);
void cli_progress_end(cli_progress *p, const char *note);
/* "1.2 MiB", "3m 05s": into a caller's 32 bytes; returns it. */
const char *cli_bytes(uint64_t bytes, char out[32]);
const char *cli_seconds(double seconds, char out[32]);

#endif
