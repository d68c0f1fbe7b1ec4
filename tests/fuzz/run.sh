#!/bin/sh
# run.sh [PARSER [SECONDS]]: fuzzes one parser with libFuzzer under ASan and UBSan, starting from its seed corpus. Without
# arguments lists the parsers. Findings stay in build/fuzz/found; inputs worth keeping go to tests/fuzz/corpus by hand.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
if [ $# = 0 ]; then
  ls "$source"/tests/fuzz/fuzz_*.c | sed 's/.*fuzz_\(.*\)\.c/\1/'
  exit 0
fi
name=$1 seconds=${2:-3600}
cd "$source"
command -v clang >/dev/null || { echo "fuzzing needs clang and libclang-rt-14-dev" >&2; exit 1; }
cmake --preset fuzz >/dev/null
cmake --build build/fuzz --target "fuzz_$name"
mkdir -p "build/fuzz/corpus/$name" "build/fuzz/found"
exec "build/fuzz/bin/fuzz_$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1 \
  -artifact_prefix="build/fuzz/found/$name-" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name"
