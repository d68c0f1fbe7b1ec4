/* main.c -- the `forge` command: finds the command named and runs it. */
#include <stdlib.h>
#include <string.h>

#include "cli_main.h"

#define ENTRY(name) &cmd_##name,
static const cli_command *const commands[] = {CLI_COMMANDS(ENTRY)};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void overview(FILE *to) {
  fprintf(
      to,
      "forge %s -- train, run and move models on any accelerator\n\nUsage: forge COMMAND ...\n\n",
      forge_version());
  for (int i = 0; i < N_COMMANDS; i++)
    fprintf(to, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
  fprintf(to,
          "\nforge COMMAND --help shows its options and examples.\n"
          "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 stopped on request with state saved.\n");
}

static int run(const cli_command *command, int argc, char **argv) {
  cli c = {.command = command,
           .given = calloc((size_t)argc + 1, sizeof *c.given),
           .args = calloc((size_t)argc + 1, sizeof *c.args)};
  int rc = CLI_FAILED;
  if (!c.given || !c.args)
    fprintf(stderr, "forge: out of memory\n");
  else if (!(rc = cli_parse(&c, argc, argv))) {
    if (cli_flag(&c, "help"))
      cli_help(command);
    else
      rc = command->run(&c);
  }
  free(c.given);
  free(c.args);
  if (fflush(stdout) || ferror(stdout)) {
    fprintf(stderr, "forge: writing to standard output failed\n");
    if (!rc) rc = CLI_FAILED;
  }
  return rc;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    overview(stderr);
    return CLI_USAGE;
  }
  if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
    overview(stdout);
    return CLI_OK;
  }
  if (!strcmp(argv[1], "--version")) {
    printf("forge %s\n", forge_version());
    return CLI_OK;
  }
  for (int i = 0; i < N_COMMANDS; i++)
    if (!strcmp(argv[1], commands[i]->name)) return run(commands[i], argc - 2, argv + 2);
  fprintf(stderr, "forge: there is no command '%s'\n\n", argv[1]);
  overview(stderr);
  return CLI_USAGE;
}
