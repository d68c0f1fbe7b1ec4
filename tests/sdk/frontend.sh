#!/bin/sh
# frontend.sh SOURCE: programs on an installed libforge.so, in C and C++, found by pkg-config and by find_package, run from
# an empty folder; and the installation works after it was moved.
set -eu
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PKG_CONFIG_PATH="$FORGE_PREFIX/lib/pkgconfig" XDG_CONFIG_HOME="$work" XDG_DATA_HOME="$work"
says_cpu() { # what, command ..
  what=$1; shift
  "$@" >report.json || { echo "$what does not run"; exit 1; }
  grep -q '"name": *"cpu"' report.json || { echo "$what does not see the cpu backend"; exit 1; }
  echo "$what: runs and sees the cpu backend"
}

for language in c c++; do
  # shellcheck disable=SC2046,SC2086
  $CC -x $language "$source/frontend.c" -x none -o by-pkg-config-$language $FORGE_TEST_CFLAGS \
    $(pkg-config --cflags --libs forge) -Wl,-rpath,"$FORGE_PREFIX/lib" -Wall -Wextra -Werror
  says_cpu "$language by pkg-config" ./by-pkg-config-$language
done

mkdir cmake
cp "$source/frontend.c" cmake/frontend.c
cp "$source/frontend.c" cmake/frontend.cc
cat >cmake/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.16)
project(outsider LANGUAGES C CXX)
find_package(forge 0.1 REQUIRED)
add_executable(in-c frontend.c)
add_executable(in-cxx frontend.cc)
target_link_libraries(in-c PRIVATE forge::forge)
target_link_libraries(in-cxx PRIVATE forge::forge)
END
cmake -S cmake -B build -DCMAKE_PREFIX_PATH="$FORGE_PREFIX" -DCMAKE_C_FLAGS="$FORGE_TEST_CFLAGS" \
  -DCMAKE_CXX_FLAGS="$FORGE_TEST_CFLAGS" >cmake.log 2>&1 || { cat cmake.log; exit 1; }
cmake --build build >cmake.log 2>&1 || { cat cmake.log; exit 1; }
says_cpu "C by find_package" build/in-c
says_cpu "C++ by find_package" build/in-cxx

cp -r "$FORGE_PREFIX" moved
says_cpu "a moved installation's forge" moved/bin/forge doctor --json
env -u LD_LIBRARY_PATH ldd moved/bin/forge | grep -q "$work/moved/.*lib/libforge.so.1 " ||
  { echo "moved/bin/forge does not use the libforge.so beside it"; exit 1; }
soname=$(readelf -d moved/lib/libforge.so | sed -n 's/.*soname: \[\(.*\)\]/\1/p')
[ "$soname" = libforge.so.1 ] || { echo "libforge.so has soname '$soname', not libforge.so.1"; exit 1; }
if grep -rIl "$FORGE_PREFIX" moved; then echo "these files name the folder they were installed to"; exit 1; fi
