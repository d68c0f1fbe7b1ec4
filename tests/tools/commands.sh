#!/bin/sh
# commands.sh FORGE SOURCE: what scripts rely on: help with examples, exit codes, results on stdout and all else on stderr,
# JSON that parses.
set -u
forge=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0
fail() { echo "FAILED: $*"; bad=1; }
# expect CODE WORDS... : runs forge, keeps stdout and stderr, checks the exit code
expect() {
  want=$1; shift
  "$forge" "$@" >out 2>err
  code=$?
  [ $code = "$want" ] || { fail "forge $* ended with $code, not $want"; cat out err; }
}
says() { grep -q -- "$1" "$2" || { fail "'$1' is not in $2:"; cat "$2"; }; }
silent() { [ ! -s "$1" ] || { fail "$1 should be empty:"; cat "$1"; }; }
json() { ! command -v python3 >/dev/null || python3 -m json.tool <out >/dev/null || { fail "stdout is no JSON"; cat out; }; }

for command in devices doctor config train generate perplexity convert inspect bench plot lint; do
  expect 0 $command --help
  says "Examples:" out; says "forge $command" out; silent err
  expect 2 $command --no-such-option
  says "there is no option --no-such-option" err; silent out
done
expect 0 --help; says "Exit codes" out
expect 0 --version; says "^forge [0-9]" out
expect 2; says "Usage" err; silent out
expect 2 no-such-command; says "there is no command 'no-such-command'" err
expect 2 generate; says "something is missing" err

expect 0 devices; says "cpu/portable:0" out; silent err
expect 0 devices --json; json; says "cpu/portable:0" out
expect 0 doctor --json; json
expect 0 config show --json; json
expect 0 config show --set fallback=allow; says "fallback" out; says "allow" out
expect 1 devices --set falback=allow; says "fallback" err; silent out
expect 1 devices --config missing.conf; says "missing.conf" err
printf 'memroy_limit = "1G";\n' >wrong.conf
expect 1 devices --config wrong.conf; says "wrong.conf:1" err; says "memory_limit" err

expect 1 inspect missing.gguf; says "missing.gguf" err; silent out
printf 'not a model' >junk.gguf
expect 1 inspect junk.gguf; says "junk.gguf" err; silent out

# A model of our own, so that nothing here needs data from elsewhere.
i=0; while [ $i -lt 400 ]; do echo "the quick brown fox $i jumps over the lazy dog"; i=$((i + 1)); done >text.txt
tiny="--option n_layer=1 --option n_embd=32 --option n_head=2 --option context=32 --option batch=2 --option warmup=2"
# shellcheck disable=SC2086
expect 0 train --text text.txt --steps 20 --out run $tiny
[ -s run/metrics.jsonl ] || fail "no metrics"
# shellcheck disable=SC2086
expect 1 train --text text.txt --steps 20 --out run $tiny; says "resume" err
# shellcheck disable=SC2086
expect 1 train --text text.txt --steps 20 --out "" $tiny; says "out is empty" err
expect 2 train --text text.txt --threads many; says "threads" err
expect 0 train --text text.txt --steps 3 --out short --option n_layer=1 --option n_embd=32 --option batch=2
expect 0 train --resume --out run; silent out
expect 0 train --resume --out run --steps 22; says "after 22 steps" out
expect 0 inspect run/checkpoints/step-00000000000000000022.fck; says "p/token_embd.weight" out
expect 2 plot run --out loss.jpg; says "png" err; silent out
expect 0 plot run --out loss.svg; says "<svg" loss.svg
expect 0 plot run --out loss.png; head -c 8 loss.png | grep -q PNG || fail "loss.png is no PNG"
expect 0 generate run/model --prompt "the " --max-tokens 12 --temperature 0; cp out first
says "^the " out
expect 0 generate run/model --prompt "the " --max-tokens 12 --temperature 0 --prefill-on cpu/portable:0 --decode-on cpu:0
cmp -s out first || fail "split and unsplit differ"
expect 1 generate run/model --prompt "the " --device nowhere:0; says "nowhere" err; silent out
expect 1 generate run/model --prompt-file text.txt; says "room for" err; silent out
expect 2 generate run/model --prompt "the " --temperature warm; says "warm" err
expect 0 convert run/model copy.gguf --type f16
expect 0 inspect copy.gguf --json; json; says "f16" out
expect 0 perplexity copy.gguf --text text.txt --json; json
expect 2 convert run/model copy.gguf --type q5_5; says "q5_5" err
[ $bad = 0 ] && echo "commands behave"
exit $bad
