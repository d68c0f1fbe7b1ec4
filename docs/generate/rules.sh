#!/bin/sh
# rules.sh SUITE LIMITS FILE [--check]: what stands between marks of FILE (docs/backend-guide.md): the table of rules as SUITE
# (forge-conformance) prints it, and that of times out of LIMITS (sdk/conformance/limits.def). --check only compares.
set -eu
suite=$1 limits=$2 file=$3
new=$(mktemp)
rules=$(mktemp)
times=$(mktemp)
trap 'rm -f "$new" "$rules" "$times"' EXIT
"$suite" --rules markdown >"$rules"
{
  echo "| seconds | calls |"
  echo "|---|---|"
  sed -n 's/^LIMIT(\([a-z_]*\), \([0-9.]*\))$/\2 \1/p' "$limits" | sort -n -s -k1,1 |
    awk '$1 != last { if (last != "") print " |"; printf "| %s | `%s`", $1, $2; last = $1; next } { printf ", `%s`", $2 } END { print " |" }'
} >"$times"
awk -v rules="$rules" -v times="$times" '
  function put(table,   line) { while ((getline line < table) > 0) print line }
  /^<!-- end of / { inside = 0 }
  !inside { print }
  /^<!-- rules -->/ { inside = 1; put(rules) }
  /^<!-- limits -->/ { inside = 1; put(times) }
' "$file" >"$new"
if [ "${4-}" != --check ]; then
  cat "$new" >"$file"
elif ! cmp -s "$new" "$file"; then
  echo "$file: its rules or times are not those of $suite; build the target docs"
  exit 1
fi
