#!/bin/sh
# old-binaries.sh CASE SOURCE BUILD: what was built for an earlier minor runs with what is built today, and gives the
# numbers that today's own give, bit for bit.
#   plugin    kept plugins on today's core
#   frontend  kept programs on today's libforge.so
#   core      today's plugins on the oldest core that is supported, under the program of that time
set -eu
case=$1 source=$2 build=$3
machine=$(uname -m)
set -- "$source"/tests/abi/binaries/*-"$machine" # in order: the oldest first
[ -d "$1" ] || { echo "skipped: no binaries were kept for $machine"; exit 77; }
if [ "$case" != plugin ] && nm -D "$build/lib/libforge.so" | grep -qE '__(asan|tsan)_'; then
  echo "skipped: a program without sanitizers cannot run a library with them, and the reverse"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset FORGE_CONFIG FORGE_LOG_LEVEL
export HOME="$work" XDG_CONFIG_HOME="$work" XDG_DATA_HOME="$work"

run() { # NAME FRONTEND CORE PLUGINS DEVICE [FOLDER]: what it prints goes to work/NAME
  name=$1 frontend=$2 core=$3 plugins=$4 device=$5
  needed=$(LD_LIBRARY_PATH=$core ldd "$frontend" "$core"/libforge.so.1 | grep -E 'not found' | sort -u || true)
  [ -z "$needed" ] || { echo "skipped: this system lacks$needed"; exit 77; }
  rm -rf "$work/folder"
  mkdir "$work/folder"
  LD_LIBRARY_PATH=$core FORGE_BACKEND_PATH=$plugins "$frontend" "$device" ${6:+"$work/folder"} >"$work/$name" 2>"$work/$name.err" ||
    { echo "$name: $device of $plugins under $frontend on $core failed:"; cat "$work/$name" "$work/$name.err"; exit 1; }
}
both() { # LABEL FRONTEND CORE PLUGINS
  run null "$2" "$3" "$4" null:0
  run numbers "$2" "$3" "$4" cpu/portable:0 with-numbers
  cmp "$work/today" "$work/numbers" || { echo "$1: other numbers than today's:"; diff "$work/today" "$work/numbers"; exit 1; }
  echo "$1: null ran, cpu trained and generated with today's bits"
}
now=$build/bin/abi_frontend
run today "$now" "$build/lib" "$build/lib/forge/backends.d" cpu/portable:0 with-numbers

for kept in "$@"; do
  version=$(basename "$kept" "-$machine")
  (cd "$kept" && sha256sum --quiet -c SHA256SUMS)
  case $case in
  plugin) both "plugins of ABI $version on today's core" "$now" "$build/lib" "$kept/lib/forge/backends.d" ;;
  frontend) both "a program of ABI $version on today's core" "$kept/bin/frontend" "$build/lib" "$build/lib/forge/backends.d" ;;
  core)
    both "today's plugins on the core of ABI $version" "$kept/bin/frontend" "$kept/lib" "$build/lib/forge/backends.d"
    run best "$kept/bin/frontend" "$kept/lib" "$build/lib/forge/backends.d" cpu:0 with-numbers
    break ;;
  esac
done
