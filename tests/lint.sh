#!/bin/sh
# lint.sh [BUILD]: formatting, cppcheck and clang-tidy over the tree, with the configurations at its top. BUILD (default
# build/release) provides compile_commands.json. A tool that is not installed is named and skipped.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$source/build/release}
cd "$source"
status=0
files=$(git ls-files '*.c' '*.h')

if command -v clang-format >/dev/null; then
  # shellcheck disable=SC2086
  clang-format --dry-run -Werror $files || status=1
  echo "clang-format: looked at $(echo "$files" | wc -l) files"
else echo "skipped: no clang-format"; fi

if command -v cppcheck >/dev/null; then
  cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
    --suppressions-list=tests/cppcheck.txt -j "$(nproc)" -I abi -I sdk/timeline -I tests \
    -i tests/loader/fakes.c -i tests/conformance/bugs -i plugins/opencl/kernels \
    abi core backends plugins sdk tools tests examples || status=1
  echo "cppcheck: done"
else echo "skipped: no cppcheck"; fi

if command -v clang-tidy >/dev/null && [ -e "$build/compile_commands.json" ]; then
  git ls-files 'core/*.c' 'backends/*.c' 'plugins/*.c' 'sdk/*.c' 'tools/*.c' ':!plugins/opencl' |
    xargs -P "$(nproc)" -n 8 clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p "$build" 2>/dev/null || status=1
  echo "clang-tidy: done"
else echo "skipped: no clang-tidy or no $build/compile_commands.json"; fi
exit $status
