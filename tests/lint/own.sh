#!/bin/sh
# own.sh FORGE FOLDER..: no plugin of this build breaks a rule, or comes near.
set -u
forge=$1
shift
bad=0 n=0
for file in $(find "$@" -name 'forge-*.so' 2>/dev/null); do
  n=$((n + 1))
  told=$("$forge" lint "$file") || bad=1
  ! printf '%s\n' "$told" | grep -E "^  (warn|fail)" || { echo "in $file"; bad=1; }
done
[ $n != 0 ] || { echo "no plugin in $*"; exit 1; }
[ $bad = 0 ] && echo "$n plugins break no rule"
exit $bad
