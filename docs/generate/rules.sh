#!/bin/sh
# rules.sh SUITE FILE [--check]: the table of rules between the marks of FILE (docs/backend-guide.md), as SUITE (forge-conformance)
# prints it. --check only compares.
set -eu
suite=$1 file=$2
new=$(mktemp)
table=$(mktemp)
trap 'rm -f "$new" "$table"' EXIT
"$suite" --rules markdown >"$table"
awk -v table="$table" '
  /^<!-- end of rules -->/ { inside = 0 }
  !inside { print }
  /^<!-- rules -->/ { inside = 1; while ((getline line < table) > 0) print line }
' "$file" >"$new"
if [ "${3-}" != --check ]; then
  cat "$new" >"$file"
elif ! cmp -s "$new" "$file"; then
  echo "$file: its rules are not those of $suite; build the target docs"
  exit 1
fi
