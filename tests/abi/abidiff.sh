#!/bin/sh
# abidiff.sh SOURCE BUILD: types and functions of libforge.so and of the tables of plugins and layers against every recorded
# ABI: nothing of it is gone or changed.
set -eu
source=$1 build=$2
command -v abidiff >/dev/null || { echo "skipped: no abidiff (Debian package abigail-tools)"; exit 77; }
nm -D "$build/lib/libforge.so" | grep -q __asan && { echo "skipped: sanitizers change what abidiff reads"; exit 77; }
nm -D "$build/lib/libforge.so" | grep -q __tsan && { echo "skipped: sanitizers change what abidiff reads"; exit 77; }
status=0
now=$(mktemp)
trap 'rm -f "$now"' EXIT
for pair in libforge.so:libforge.abi forge/forge-null.so:plugin.abi forge/forge-layer-validate.so:layer.abi; do
  library=$build/lib/${pair%%:*}
  "$source/tests/abi/describe.sh" "$source" "$library" >"$now"
  for recorded in "$source"/abi/recorded/*/"${pair##*:}"; do
    [ -e "$recorded" ] || continue # older than the kind of library
    abidiff --no-added-syms "$recorded" "$now" || {
      echo "$library differs from $recorded: if meant, say so in abi/CHANGELOG.md and run tests/abi/record.sh"
      status=1
    }
  done
done
[ $status = 0 ] && echo "ABI as recorded"
exit $status
