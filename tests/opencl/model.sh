#!/bin/sh
# model.sh BUILD: a small model on the plugin: its greedy text is the expected one, also with the phases on different
# devices, and training follows the CPU's losses.
set -eu
. "$(dirname "$0")/common.sh"
need_device
data=$FORGE_TEST_DATA/models/stories260K
expected=$FORGE_TEST_DATA/reference/stories260K_greedy200.expected.txt
[ -e "$data/stories260K.bin" ] || skip "no models in $FORGE_TEST_DATA"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
forge=$FORGE_PREFIX/bin/forge

tell() { # prefill device, decode device
  "$forge" generate "$data/stories260K.bin" --tokenizer "$data/tok512.bin" --prompt "" --max-tokens 200 --temperature 0 \
    --prefill-on "$1" --decode-on "$2" >"$work/text" 2>"$work/log" || { cat "$work/log"; wrong "no text from $1 and $2"; }
  cmp "$work/text" "$expected" || wrong "$1 and $2: not the expected text"
}
tell opencl:0 opencl:0
tell opencl:0 cpu:0
tell cpu:0 opencl:0

seq 1 4000 >"$work/numbers"
losses() { # device: the loss of each step, two digits behind the point
  "$forge" train --text "$work/numbers" --out "$work/$1" --device "$1:0" --seed 1 --option n_layer=2 --option n_embd=64 \
    --option context=32 --option batch=4 --option steps=20 --option warmup=5 >"$work/log" 2>&1 ||
    { cat "$work/log"; wrong "no training on $1"; }
  sed -n 's/.*"loss": *\([0-9]*\.[0-9][0-9]\).*/\1/p' "$work/$1/metrics.jsonl"
}
losses cpu >"$work/cpu.losses"
losses opencl >"$work/opencl.losses"
[ -s "$work/cpu.losses" ] || wrong "no losses to compare"
diff "$work/cpu.losses" "$work/opencl.losses" || wrong "training on opencl leaves the CPU's curve"
