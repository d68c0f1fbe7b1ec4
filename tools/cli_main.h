/* cli_main.h -- what cli.c and main.c share; commands see cli.h only. */
#ifndef FORGE_CLI_MAIN_H
#define FORGE_CLI_MAIN_H

#include "cli.h"

typedef struct cli_given {
  const cli_option *option;
  const char *value;
} cli_given;

struct cli {
  const cli_command *command;
  uint32_t n_given, n_args;
  cli_given *given;  /* room for as many as there are words */
  const char **args; /* likewise */
};

/* Fills |c| from the words behind the command's name; prints what is wrong. */
int cli_parse(cli *c, int argc, char **argv);
void cli_help(const cli_command *command);

#endif
