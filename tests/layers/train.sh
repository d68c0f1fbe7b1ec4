#!/bin/sh
# train.sh FORGE: training through all layers gives the same losses and no complaint; one whose device is lost stops with
# a clear message, and goes on from its checkpoint afterwards.
set -eu
forge=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export HOME="$dir" XDG_CONFIG_HOME="$dir" XDG_DATA_HOME="$dir"
i=0
while [ $i -lt 300 ]; do echo "line $i of a text that is to be learnt, word by word"; i=$((i + 1)); done >text.txt
cat >run.conf <<END
text = "text.txt"; n_layer = 1; n_head = 2; n_embd = 32; context = 16; batch = 4; steps = 12; checkpoint_interval = 4; log_interval = 2;
END
fail() { echo "$1"; cat log 2>/dev/null; exit 1; }
"$forge" train --config run.conf --out plain >log 2>&1 || fail "the plain run failed"
FORGE_LAYERS=trace,validate,fault FORGE_LAYER_TRACE_FILE="$dir/t.json" "$forge" train --config run.conf --out layered >log 2>&1 ||
  fail "the run through layers failed"
grep -q "validate: " log && fail "validate complained of a right run"
for run in plain layered; do
  sed 's/"seconds[^,}]*//g; s/"[a-z_]*_per_second[^,}]*//g; s/"mfu[^,}]*//g' $run/metrics.jsonl 2>/dev/null | grep -o '"loss": *[0-9.]*' >$run.loss || true
done
cmp plain.loss layered.loss || fail "the losses differ"
[ -s plain.loss ] || fail "no losses were found"
tail -n 1 t.json | grep -qx ']' || fail "the trace has no end"
status=0
FORGE_LAYERS=fault FORGE_LAYER_FAULT_RULES="submit:20:lost" "$forge" train --config run.conf --out lost >log 2>&1 || status=$?
[ $status = 1 ] || fail "training on a lost device ended with $status, not 1"
grep -q "the device is gone" log || fail "no clear message"
"$forge" train --config run.conf --out lost --resume >log 2>&1 || fail "it did not go on after the loss"
echo "layers leave training as it is; a lost device is told"
