#!/bin/sh
# races.sh BUILD: kernels under oclgrind, a simulator of OpenCL that reports data races and accesses outside of buffers.
set -eu
. "$(dirname "$0")/common.sh"
icd=/usr/lib/oclgrind/liboclgrind-rt-icd.so
[ -e "$icd" ] || skip "no oclgrind (Debian: oclgrind)"
vendors=$(mktemp -d)
trap 'rm -rf "$vendors"' EXIT
echo "$icd" >"$vendors/oclgrind.icd"
export OCL_ICD_VENDORS="$vendors" OCLGRIND_DATA_RACES=1 OCLGRIND_MAX_ERRORS=5 XDG_CACHE_HOME="$build/cache-oclgrind"
check() { # team, test ids ..
  team=$1
  shift
  for id in "$@"; do
    "$suite" --debug "$id" -o team="$team" "$manifest" >"$vendors/out" 2>&1 || { cat "$vendors/out"; wrong "$id fails under oclgrind"; }
    if grep -q 'data race\|Invalid \(read\|write\)' "$vendors/out"; then
      cat "$vendors/out"
      wrong "$id: oclgrind has found something"
    fi
  done
}
check 1 op.BINARY.f32.strided op.REDUCE.sum.f32.odd op.REDUCE.argmax.f32.odd op.SOFTMAX.f32.odd op.TOPK.f32.odd \
  op.SCATTER_ROWS.add.f32.odd op.GATHER_ROWS.f32.odd op.MASK.causal.f32.odd op.RNG_PHILOX.normal.odd
check 1 op.MATMUL.f32.odd op.QMATMUL.q8_0.odd op.LAYERNORM_BWD.f32.odd op.GLOBAL_NORM.f32.odd
# As on GPUs: teams of several items, local memory and barriers.
check 8 op.MATMUL.f32.odd op.QMATMUL.q8_0.odd op.RMSNORM.f32.odd op.RMSNORM_BWD.f32.odd op.ATTENTION.f32.odd \
  op.ATTENTION_BWD.f32.odd op.CROSS_ENTROPY.f32.odd op.CROSS_ENTROPY_BWD.f32.odd op.SAMPLE.f32.odd
