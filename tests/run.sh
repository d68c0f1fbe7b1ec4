#!/bin/sh
# run.sh [CTEST ARGUMENTS]: builds everything and runs all tests, after installing what that needs. The last line is
# ctest's own summary. PRESET=dev (ASan+UBSan) or tsan for the long way round; see docs/testing.md.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
cd "$source"
preset=${PRESET:-release}
cmake/setup-debian.sh
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset"
exec ctest --preset "$preset" -j "$(nproc)" --no-tests=error "$@"
