#!/bin/sh
# compare-curves.sh BEFORE AFTER: BEFORE is the metrics file a killed run left, AFTER what the resumed run made of it. Steps
# behind the checkpoint were done twice: their losses must be the same, to the last digit.
set -eu
pairs() { sed -n 's/.*"step": *\([0-9]*\).*"loss": *\([^,}]*\).*/\1 \2/p' | sort -u; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
grep -vxFf "$2" "$1" | pairs >"$work/before" # lines that are in both files were kept, not done again
grep -vxFf "$1" "$2" | pairs >"$work/after"
twice=$(cut -d' ' -f1 "$work/before" "$work/after" | sort | uniq -d | wc -l)
same=$(comm -12 "$work/before" "$work/after" | wc -l)
comm -12 "$work/before" "$work/after" | sort -n | sed 's/^/  step, loss: /'
echo "  $same of $twice logged steps that were done twice have the same loss, to the last digit"
[ "$twice" -gt 0 ] && [ "$same" = "$twice" ]
