#!/bin/sh
# tutorial.sh SOURCE: docs/tutorial.md, command by command, in an empty folder and with an installed Forge only. A ```text block
# holds lines that the commands before it print; numbers in them may differ, but not those of a level. "```sh setup" blocks,
# which install Forge, are left out: the fixture did that. Afterwards the backend that was made is held to what the page
# says of it.
set -eu
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/blocks" "$work/here"
unset FORGE_CONFIG FORGE_BACKEND_PATH XDG_CONFIG_HOME XDG_DATA_HOME || true
export HOME="$work" FORGE="$FORGE_PREFIX" CFLAGS="$FORGE_TEST_CFLAGS"

awk -v to="$work/blocks/" '
  /^```sh$/ { file = sprintf("%s%02d.sh", to, ++n); next }
  /^```text$/ { file = sprintf("%s%02d.see", to, n); next }
  /^```/ { if (file) close(file); file = ""; next }
  file { print >file }' "$source/docs/tutorial.md"
{
  echo 'set -eu'
  for block in "$work"/blocks/*.sh; do
    printf '{\n%s\n} >"%s" 2>&1\n' "$(cat "$block")" "${block%.sh}.out"
  done
} >"$work/all.sh"

cd "$work/here"
if ! sh "$work/all.sh"; then
  last=$(find "$work/blocks" -name '*.out' | sort | tail -n 1)
  echo "these commands of docs/tutorial.md failed:"
  cat "${last%.out}.sh"
  echo "and printed:"
  cat "$last"
  exit 1
fi

plain() { sed -e '/^level:/!s/[0-9][0-9.]*/N/g' -e 's/  */ /g' "$1"; }
for see in "$work"/blocks/*.see; do
  plain "${see%.see}.out" >"$work/printed"
  plain "$see" >"$work/promised"
  while read -r line; do
    grep -qF -- "$line" "$work/printed" || {
      echo "docs/tutorial.md promises '$line', but these commands:"
      cat "${see%.see}.sh"
      echo "print:"
      cat "${see%.see}.out"
      exit 1
    }
  done <"$work/promised"
done
blocks=$(find "$work/blocks" -name '*.sh' | wc -l)
echo "$blocks blocks of commands ran and printed what the page says"

join on-tin/curve on-cpu/curve | awk '
  { d = $2 - $3; if (d < 0) d = -d; if (d / $3 > worst) worst = d / $3; if (!first) first = $2; last = $2; n++ }
  END {
    printf "%d steps: loss on tin falls from %s to %s, at most %.4f%% from the loss on the CPU\n", n, first, last, 100 * worst
    exit !(n >= 100 && last < 0.8 * first && worst < 0.001)
  }' || { echo "that is not what training on a right backend looks like"; exit 1; }

model=$FORGE_TEST_DATA/models/stories260K
expected=$FORGE_TEST_DATA/reference/stories260K_greedy200.expected.txt
[ -e "$expected" ] || { echo "without stories260K: no $expected"; exit 0; }
"$FORGE/bin/forge" generate "$model/stories260K.bin" --tokenizer "$model/tok512.bin" --max-tokens 200 --temperature 0 \
  --device tin:0 --set fallback=error --set backend_path="$PWD/tin/build/backends.d" >story.txt 2>story.log ||
  { cat story.log; exit 1; }
if [ "$(cat story.txt)" != "$(cat "$expected")" ]; then
  echo "stories260K's greedy text on tin is not the expected one:"
  cat story.txt
  exit 1
fi
echo "stories260K's 200 greedy tokens on tin are the expected text"
