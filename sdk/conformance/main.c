/* main.c -- forge-conformance. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_list.h"

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  test_set.library = argv[1];
  test_list list = {0};
  test_list_fill(&list);
  for (size_t i = 0; i < list.n; i++) {
    const pid_t child = fork();
    int status;
    if (!child) test_run_child(&list.test[i], 1);
    waitpid(child, &status, 0);
    printf(" %s\n", list.test[i].id);
    fflush(stdout);
  }
  test_list_free(&list);
  return 0;
}
