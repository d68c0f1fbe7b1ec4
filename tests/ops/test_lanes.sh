#!/bin/sh
# test_lanes.sh CC SOURCE_DIR WORK_DIR -- builds lanes_bits.c for every instruction set this machine can run, NEON by
# qemu-user where a cross compiler is installed, and fails unless all print the same digest.
set -eu
cc=$1 source=$2 work=$3
cpu=$source/backends/cpu
files="$source/tests/ops/lanes_bits.c $cpu/gemm.c $cpu/gemv.c $cpu/quant.c $cpu/quant_encode.c $cpu/view.c"
flags="-std=gnu11 -O2 -ffp-contract=off -fno-math-errno -I$source/abi -I$cpu"
mkdir -p "$work"
want=
skipped=

# build_and_run NAME RUNNER COMPILER FLAG ..
build_and_run() {
  name=$1 runner=$2 compiler=$3
  shift 3
  "$compiler" $flags "$@" $files -o "$work/lanes-$name" -lm
  got=$($runner "$work/lanes-$name") || { echo "$name: a fused multiply-add was not exact"; exit 1; }
  echo "$name: $got"
  [ -n "$want" ] || want=$got
  [ "$got" = "$want" ] || { echo "$name differs"; exit 1; }
}

has() { for word in "$@"; do grep -qw "$word" /proc/cpuinfo || return 1; done; }

build_and_run portable "" "$cc" -DFORGE_CPU_PORTABLE
case $(uname -m) in
x86_64)
  has avx2 fma f16c && build_and_run avx2 "" "$cc" -mavx2 -mfma -mf16c
  has avx512f avx512dq avx512bw avx512vl &&
    build_and_run avx512 "" "$cc" -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mf16c
  if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
    build_and_run neon qemu-aarch64 aarch64-linux-gnu-gcc -static
    build_and_run arm-portable qemu-aarch64 aarch64-linux-gnu-gcc -static -DFORGE_CPU_PORTABLE
  else
    skipped="NEON: install gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user to try it"
  fi
  ;;
aarch64) build_and_run neon "" "$cc" ;;
esac
[ -z "$skipped" ] || { echo "skipped: $skipped"; exit 77; }
