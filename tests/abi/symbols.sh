#!/bin/sh
# symbols.sh SOURCE BUILD: libforge.so exports exactly the list recorded last and what the headers declare, and nothing an older
# recording has is gone; every plugin exports its entry and nothing else.
set -eu
source=$1 build=$2
found=$(nm -D --defined-only "$build/lib/libforge.so" | awk '$2 ~ /[TDBRVW]/ {sub(/@.*/, "", $3); print $3}' | grep -v '^FORGE_' | sort)
declared=$(cat "$source"/abi/forge/*.h | tr '\n' ' ' | grep -oE 'FORGE_API [^;(]*\(' | grep -oE 'forge_[a-z0-9_]+\($' | tr -d '(' | sort -u)
newest=$source/abi/recorded/$("$source/tests/abi/version.sh" "$source")
recorded=$(sort "$newest/symbols.txt")
differ=0
compare() {
  difference=$(printf '%s\n' "$1" >"${TMPDIR:-/tmp}/forge-a.$$"; printf '%s\n' "$2" >"${TMPDIR:-/tmp}/forge-b.$$"
    comm -3 "${TMPDIR:-/tmp}/forge-a.$$" "${TMPDIR:-/tmp}/forge-b.$$"; rm -f "${TMPDIR:-/tmp}/forge-a.$$" "${TMPDIR:-/tmp}/forge-b.$$")
  [ -z "$difference" ] || { echo "$3:"; echo "$difference"; differ=1; }
}
compare "$found" "$declared" "exported (left) and declared with FORGE_API (right) differ"
compare "$found" "$recorded" "exported (left) and recorded in $newest/symbols.txt (right) differ; tests/abi/record.sh records"
for old in "$source"/abi/recorded/*/symbols.txt; do
  for name in $(cat "$old"); do
    printf '%s\n' "$found" | grep -qx "$name" || { echo "$name of $old is gone: old programs do not start"; differ=1; }
  done
done
for plugin in "$build"/lib/forge/forge-*.so; do
  symbols=$(nm -D --defined-only "$plugin" | awk '{print $3}' | grep -vE '^(__|_init$|_fini$|_edata$|_end$)' | tr '\n' ' ')
  case $plugin in */forge-layer-*) entry=forge_layer_entry_v1 ;; *) entry=forge_backend_entry_v1 ;; esac
  [ "$symbols" = "$entry " ] || { echo "$plugin exports: $symbols"; differ=1; }
done
[ $differ = 0 ] && echo "exports as recorded"
exit $differ
