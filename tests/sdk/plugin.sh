#!/bin/sh
# plugin.sh: `forge plugin` as its user meets it, and plugins built outside the tree with pkg-config, with CMake, and staged.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset FORGE_CONFIG FORGE_BACKEND_PATH XDG_CONFIG_HOME XDG_DATA_HOME || true
export HOME="$work" PATH="$FORGE_PREFIX/bin:$PATH" PKG_CONFIG_PATH="$FORGE_PREFIX/lib/pkgconfig" CFLAGS="$FORGE_TEST_CFLAGS"
wrong() { echo "$*"; exit 1; }
refused() { # exit code, words, command ..
  code=$1 words=$2
  shift 2
  rc=0
  "$@" >out 2>&1 || rc=$?
  [ $rc = "$code" ] || { cat out; wrong "'$*' ended with $rc, not $code"; }
  grep -q -- "$words" out || { cat out; wrong "'$*' does not say '$words'"; }
}
ready() { # backend, folder of its manifest
  forge doctor --json --set backend_path="$2" >doctor.json || true
  grep -A3 "\"name\": *\"$1\"" doctor.json | grep -q '"ready"' || { cat doctor.json; wrong "$1 is not ready"; }
}

refused 2 'no name for a backend' forge plugin new Tin
refused 2 'no name for a backend' forge plugin new ../tin
refused 2 'no name for a backend' forge plugin new template
refused 2 'one NAME' forge plugin new
refused 2 'one NAME' forge plugin new tin can
refused 2 'there are new and check' forge plugin bend tin
refused 1 "there is a backend 'cpu' already" forge plugin new cpu
refused 0 'Usage\|usage' forge plugin check --help
forge plugin new tin --dir of-metal/tin 2>/dev/null && wrong "a folder in no folder was made"
forge plugin new tin --dir metal --json | grep -q '"folder": *"metal"' || wrong "--json does not say where"
refused 1 'File exists' forge plugin new tin --dir metal
[ -e metal/tin.ini ] || wrong "the manifest is not called tin.ini"
if grep -rn template metal; then wrong "the template shows through"; fi
echo "forge plugin new: refuses what it should, writes what it should"

mkdir -p by-hand/backends.d
# shellcheck disable=SC2046,SC2086
$CC $CFLAGS -O1 -Wall -Wextra -Werror -o by-hand/forge-tin.so metal/*.c $(pkg-config --cflags --libs forge-plugin) -lm
cp metal/tin.ini by-hand/backends.d/
ready tin "$PWD/by-hand/backends.d"
echo "built with pkg-config: ready"

cmake -S metal -B build -DCMAKE_PREFIX_PATH="$FORGE_PREFIX" -DCMAKE_INSTALL_PREFIX=/opt/forge >log 2>&1 || { cat log; exit 1; }
cmake --build build >log 2>&1 || { cat log; exit 1; }
ready tin "$PWD/build/backends.d"
DESTDIR="$PWD/stage" cmake --install build >log || { cat log; exit 1; }
ready tin "$PWD/stage/opt/forge/lib/forge/backends.d"
exported=$(nm -D --defined-only build/forge-tin.so | wc -l)
[ -n "$FORGE_TEST_CFLAGS" ] || [ "$exported" = 1 ] || wrong "$exported symbols are exported, not one"
echo "built with CMake, staged with DESTDIR: ready, one symbol exported"

mkdir cxx
cat >cxx/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.18)
project(in-cxx CXX)
find_package(forge 0.1 REQUIRED)
forge_add_plugin(in-cxx SOURCES plugin.cc LIBS forge::timeline)
END
cat >cxx/plugin.cc <<'END'
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
#include <forge/backend.h>
#include <forge/timeline.h>
template <class T> struct once { static T &value() { static T *kept = new T; return *kept; } };
struct nothing : std::runtime_error { using runtime_error::runtime_error; };
static forge_status probe(forge_probe *out) try {
  std::map<std::string, std::vector<std::shared_ptr<unsigned>>> seen;
  seen[std::to_string(out->size)].push_back(std::make_shared<unsigned>(out->size));
  if (seen.size() == 1) throw nothing("no hardware is looked for");
  return FORGE_OK;
} catch (const std::exception &e) {
  once<std::string>::value() = e.what();
  out->why_not = once<std::string>::value().c_str();
  return FORGE_OK;
}
static forge_backend_v1 table;
FORGE_BACKEND_ENTRY forge_status forge_backend_entry_v1(const forge_hello *, forge_reply *reply) {
  table.n_slots = FORGE_BACKEND_SLOTS;
  table.probe = probe;
  reply->minor_max = FORGE_ABI_MINOR;
  reply->layout_id = FORGE_LAYOUT_ID;
  reply->name = "in-cxx", reply->vendor = "test", reply->version = "1";
  reply->table = &table;
  return FORGE_OK;
}
END
cmake -S cxx -B cxx/build -DCMAKE_PREFIX_PATH="$FORGE_PREFIX" >log 2>&1 || { cat log; exit 1; }
cmake --build cxx/build >log 2>&1 || { cat log; exit 1; }
[ -n "$FORGE_TEST_CFLAGS" ] || forge lint cxx/build/forge-in-cxx.so >log || { cat log; wrong "a C++ plugin breaks rules"; }
printf '[backend]\nname = in-cxx\nabi_major = 1\nabi_minor_max = 1\nlibrary = ../build/forge-in-cxx.so\n' >cxx/in-cxx.ini
mkdir cxx/backends.d && mv cxx/in-cxx.ini cxx/backends.d
forge doctor --set backend_path="$PWD/cxx/backends.d" >doctor.txt || true
grep -q 'no hardware is looked for' doctor.txt || { cat doctor.txt; wrong "a C++ plugin's exception did not become its answer"; }
echo "built in C++ with templates, exceptions and forge::timeline: breaks no rule of forge lint, is loaded and probed"
