#!/bin/sh
# rules.sh SUITE GUIDE: every rule has a test, and the table in the guide between the lines "rules: begin" and
# "rules: end" is what the suite prints. With --write it is put there.
set -eu
suite=$1 guide=$2
table=$(mktemp)
trap 'rm -f "$table" "$table.guide"' EXIT
"$suite" --rules markdown >"$table"
grep -q 'rules: begin' "$guide" || { echo "skipped: $guide has no place for the table of rules"; exit 77; }
if [ "${3-}" = --write ]; then
  sed -e "/rules: begin/r $table" -e '/rules: begin/,/rules: end/{/rules: begin/!{/rules: end/!d}}' "$guide" >"$table.guide"
  cat "$table.guide" >"$guide"
fi
sed -n '/rules: begin/,/rules: end/p' "$guide" | sed '1d;$d' | diff - "$table" ||
  { echo "the guide's table of rules is not the suite's; run $0 SUITE GUIDE --write"; exit 1; }
echo "the guide's table of rules is the suite's"
