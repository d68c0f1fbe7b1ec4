#!/bin/sh
# header.sh HEADER LANGUAGE ABI-FOLDER: the header compiles alone, as C11 or C++11, without a warning and without
# implicit padding in any struct.
set -eu
header=$1 language=$2 abi=$3
case $language in
c) compiler="${CC:-cc} -std=c11 -Wpadded" ;;
c++)
  command -v "${CXX:-c++}" >/dev/null || { echo "skipped: no C++ compiler"; exit 77; }
  compiler="${CXX:-c++} -std=c++11 -Wpadded" ;;
esac
printf '#include <forge/%s.h>\nint main(void) { return 0; }\n' "$header" |
  $compiler -Wall -Wextra -Wpedantic -Wconversion -Werror -I"$abi" -x "$language" -fsyntax-only -
echo "forge/$header.h: $language ok"
