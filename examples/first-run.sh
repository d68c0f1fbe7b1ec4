#!/bin/sh
# first-run.sh [TEXT]: the whole of Forge in a few minutes. Trains a small language model on TEXT (default: the licence
# texts of this machine), kills the training with SIGKILL half-way, resumes it, shows that the loss curve continues,
# and generates with the prompt phase on one device and the token phase on another. Results go to runs/first.
# STEPS, PROMPT and OUT change what their names say; FORGE_BIN names a folder with a built `forge` to use instead of building.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
text=${1:-}
case $text in "" | /*) ;; *) text=$PWD/$text ;; esac
cd "$source"
out=${OUT:-runs/first}
[ ! -e "$out" ] || [ -e "$out/metrics.jsonl" ] || { echo "$out is no earlier run, so it is not replaced: name another OUT" >&2; exit 1; }
steps=${STEPS:-600}

if [ -z "${FORGE_BIN:-}" ]; then
  cmake/setup-debian.sh --build
  echo "== building"
  cmake --preset release >/dev/null
  cmake --build --preset release --target forge_runtime
  FORGE_BIN=$source/build/release/bin
fi
PATH=$FORGE_BIN:$PATH

if [ -z "$text" ]; then
  mkdir -p "$(dirname "$out")"
  text=$(dirname "$out")/licences.txt
  find /usr/share/common-licenses -type f | sort | xargs cat >"$text"
fi

echo "== devices"
forge devices

echo "== training on $text, $steps steps, to be killed half-way"
rm -rf "$out"
forge train --config examples/configs/first-run.conf --text "$text" --steps "$steps" --out "$out" &
training=$!
trap 'kill -9 $training 2>/dev/null || true' EXIT
logged() { [ -e "$out/metrics.jsonl" ] && tail -n 1 "$out/metrics.jsonl" | sed -n 's/.*"step": *\([0-9]*\).*/\1/p'; }
while kill -0 $training 2>/dev/null; do
  now=$(logged || true)
  [ "${now:-0}" -lt $((steps / 2 + steps / 20)) ] || break
  sleep 0.2
done
kill -9 $training && echo "== killed with SIGKILL at step $(logged)"
wait $training 2>/dev/null || true
trap - EXIT
cp "$out/metrics.jsonl" "$out/metrics.before-kill.jsonl"

echo "== resuming"
forge train --config examples/configs/first-run.conf --text "$text" --steps "$steps" --out "$out" --resume

echo "== does the curve continue? steps done twice, before the kill and after the resume:"
examples/compare-curves.sh "$out/metrics.before-kill.jsonl" "$out/metrics.jsonl"
forge plot "$out" --out "$out/loss.png"
echo "loss curve: $out/loss.png"

echo "== prompt phase on one device, token phase on another"
prompt=${PROMPT:-"This license "}
generate() { forge generate "$out/model" --prompt "$prompt" --max-tokens 100 --temperature 0 "$@"; }
generate --prefill-on cpu/portable:0 --decode-on cpu:0 | tee "$out/split.txt"
generate --device cpu:0 >"$out/whole.txt" 2>/dev/null
cmp "$out/split.txt" "$out/whole.txt"
echo "== the same text as on one device, byte for byte"
