#!/bin/sh
# registry.sh ABI-FOLDER: the headers hold what the registries say, and no recorded row was changed or removed.
set -eu
abi=$1
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
python3 "$abi/registry/generate.py" --check
for old in "$abi"/recorded/*/registry/*.csv; do
  new=$abi/registry/$(basename "$old")
  # Numbers and names of recorded rows stand for ever; a wording may improve.
  cut -d, -f1,2 "$old" | sort >"${TMPDIR:-/tmp}/forge-registry-old.$$"
  cut -d, -f1,2 "$new" | sort >"${TMPDIR:-/tmp}/forge-registry-new.$$"
  gone=$(comm -23 "${TMPDIR:-/tmp}/forge-registry-old.$$" "${TMPDIR:-/tmp}/forge-registry-new.$$")
  rm -f "${TMPDIR:-/tmp}/forge-registry-old.$$" "${TMPDIR:-/tmp}/forge-registry-new.$$"
  [ -z "$gone" ] || { echo "$new: rows of $old changed or removed: $gone"; exit 1; }
done
echo "registries only grew"
