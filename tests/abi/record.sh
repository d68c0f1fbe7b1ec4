#!/bin/sh
# record.sh BUILD: records today's ABI in abi/recorded/MAJOR.MINOR as the one later builds are held to. Run it on a release
# build, on purpose, with a line in abi/CHANGELOG.md. The recordings of earlier minors stay as they are.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$source/build/release}
to=$source/abi/recorded/$("$source/tests/abi/version.sh" "$source")
mkdir -p "$to/registry"
python3 "$source/tests/abi/layout.py" "$source/abi" >"$to/layout.def"
cp "$source"/abi/registry/*.csv "$to/registry/"
nm -D --defined-only "$build/lib/libforge.so" | awk '$2 ~ /[TDBRVW]/ {sub(/@.*/, "", $3); print $3}' | grep -v '^FORGE_' | sort >"$to/symbols.txt"
"$source/tests/abi/describe.sh" "$source" "$build/lib/libforge.so" >"$to/libforge.abi"
"$source/tests/abi/describe.sh" "$source" "$build/lib/forge/forge-null.so" >"$to/plugin.abi"
"$source/tests/abi/describe.sh" "$source" "$build/lib/forge/forge-layer-validate.so" >"$to/layer.abi"
wc -l "$to"/*.txt "$to"/*.abi
