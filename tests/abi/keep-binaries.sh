#!/bin/sh
# keep-binaries.sh COMMIT VERSION: builds the core, two plugins and tests/abi/frontend.c as they were at COMMIT, whose ABI
# is VERSION (as "1.0"), and keeps them in tests/abi/binaries/VERSION-MACHINE. Done once, for the commit before the
# headers become the next minor, on the oldest system that is supported; later cores are held to what is kept.
set -eu
[ $# = 2 ] || { echo "usage: keep-binaries.sh COMMIT VERSION" >&2; exit 2; }
commit=$1 version=$2
source=$(cd "$(dirname "$0")/../.." && pwd)
to=$source/tests/abi/binaries/$version-$(uname -m)
[ ! -e "$to" ] || { echo "$to is there already; what was kept does not change" >&2; exit 1; }
work=$(mktemp -d)
trap 'git -C "$source" worktree remove --force "$work/forge" 2>/dev/null; rm -rf "$work"' EXIT
git -C "$source" worktree add -q --detach "$work/forge" "$commit"
[ "$(sed -n 's/^#define FORGE_ABI_MINOR \([0-9]*\)u$/\1/p' "$work/forge/abi/forge/types.h")" = "${version#*.}" ] ||
  { echo "$commit is not of ABI $version" >&2; exit 1; }

# No path of this machine in what is kept.
maps="-ffile-prefix-map=$work/forge=forge -ffile-prefix-map=$work/build=build"
cmake -S "$work/forge" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE="-O2 $maps" \
  -DCMAKE_SKIP_RPATH=ON >"$work/log"
ninja -C "$work/build" forge forge-null forge-cpu-portable >>"$work/log" || { tail -n 20 "$work/log" >&2; exit 1; }
cp "$source/tests/abi/frontend.c" "$work/build/frontend.c"
# shellcheck disable=SC2086
cc -std=c11 -O2 $maps -I "$work/forge/abi" "$work/build/frontend.c" -L "$work/build/lib" -lforge -o "$work/build/frontend"

mkdir -p "$to/bin" "$to/lib/forge/backends.d"
strip --strip-unneeded -o "$to/bin/frontend" "$work/build/frontend"
strip --strip-unneeded -o "$to/lib/libforge.so.1" "$work/build/lib/libforge.so.1"
for plugin in null cpu-portable; do
  strip --strip-unneeded -o "$to/lib/forge/forge-$plugin.so" "$work/build/lib/forge/forge-$plugin.so"
done
cp "$work/build/lib/forge/backends.d/null.ini" "$to/lib/forge/backends.d/"
# Of the CPU's variants the one that runs on every machine.
sed '/^\[variant avx/,/^$/d; /^\[variant neon/,/^$/d' "$work/build/lib/forge/backends.d/cpu.ini" >"$to/lib/forge/backends.d/cpu.ini"
! grep -rlaF -e "$work" -e "$source" "$to" || { echo "a path of this machine is in the files above" >&2; exit 1; }
(cd "$to" && find . -type f | sort | xargs sha256sum >"$work/sums" && mv "$work/sums" SHA256SUMS)
git -C "$source" rev-parse "$commit" >"$to/COMMIT"
du -sh "$to"
