#!/bin/sh
# compare-curves.sh BEFORE AFTER: the steps that both metrics files hold must have the same loss, to the last digit.
set -eu
pairs() { sed -n 's/.*"step": *\([0-9]*\).*"loss": *\([^,}]*\).*/\1 \2/p' "$1" | sort -u; }
pairs "$1" >"$1.pairs"
pairs "$2" >"$2.pairs"
both=$(cut -d' ' -f1 "$1.pairs" "$2.pairs" | sort | uniq -d | wc -l)
same=$(comm -12 "$1.pairs" "$2.pairs" | wc -l)
comm -12 "$1.pairs" "$2.pairs" | sort -n | tail -n 3 | sed 's/^/  step, loss: /'
rm -f "$1.pairs" "$2.pairs"
echo "  $same of $both steps logged in both runs have the same loss, to the last digit"
[ "$both" -gt 0 ] && [ "$same" = "$both" ]
