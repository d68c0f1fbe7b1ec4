#!/bin/sh
# cache.sh BUILD: kernels are kept on disk, taken from there, and built again when the files are damaged.
set -eu
. "$(dirname "$0")/common.sh"
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
run() { # words that must (or, with a leading !, must not) be said
  rc=0
  "$suite" --slow 10 -o cache_dir="$cache/kernels" --debug op.FILL.f32.odd "$manifest" >"$cache/out" 2>&1 || rc=$?
  [ $rc != 77 ] || skip "no OpenCL device"
  [ $rc = 0 ] || { cat "$cache/out"; wrong "the test itself fails"; }
  case $1 in
  !*) if grep -q "${1#!}" "$cache/out"; then cat "$cache/out"; wrong "said '${1#!}'"; fi ;;
  *) grep -q "$1" "$cache/out" || { cat "$cache/out"; wrong "did not say '$1'"; } ;;
  esac
}
run 'built kernels for'
[ "$(find "$cache/kernels" -name '*.bin' | wc -l)" -gt 0 ] || wrong "nothing was kept"
run '!built kernels for'
for file in "$cache/kernels/"*.bin; do
  size=$(wc -c <"$file")
  printf 'damage' | dd of="$file" bs=1 seek=$((size - 100)) conv=notrunc 2>/dev/null
done
run 'is damaged; the kernels are built again'
run '!built kernels for'
for file in "$cache/kernels/"*.bin; do : >"$file"; done
run 'built kernels for'
[ -z "$(find "$cache/kernels" -name '*.bin.*')" ] || wrong "unfinished files were left behind"
