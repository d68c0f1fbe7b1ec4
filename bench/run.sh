#!/bin/sh
# run.sh [MODEL]: the figures of README.md, in one run: what a submit costs, matrix products and the token phase against
# this machine's own limits, and OpenBLAS on the same shapes where it is installed. Without MODEL it makes one of 85
# million random parameters (12 layers, 768 wide; one training step writes it), in f32 and q8_0. Leave the machine alone.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
cd "$source"
cmake/setup-debian.sh --build
cmake --preset release >/dev/null
cmake --build --preset release
bin=build/release/bin work=build/bench
mkdir -p "$work"

if [ $# -gt 0 ]; then
  models=$1
else
  if [ ! -e "$work/85m-q8_0.gguf" ]; then
    rm -rf "$work/85m"
    $bin/forge train --text README.md --steps 1 --out "$work/85m" --option n_layer=12 --option n_embd=768 \
      --option n_head=12 --option context=256 --option batch=1 --option eval_batches=1
    $bin/forge convert "$work/85m/model" "$work/85m-f32.gguf" --type f32
    $bin/forge convert "$work/85m/model" "$work/85m-q8_0.gguf" --type q8_0
  fi
  models="$work/85m-f32.gguf $work/85m-q8_0.gguf"
fi

for threads in 1 $(nproc); do
  for model in $models; do
    echo "== $model, $threads threads"
    $bin/forge bench "$model" --threads "$threads" --rounds "${ROUNDS:-5}"
  done
  if [ -x $bin/bench_blas ]; then $bin/bench_blas "$threads" "${ROUNDS:-5}" 0.4; fi
done
