#!/bin/sh
# make.sh OUT SOURCE VERSION DATE FORGE CONFORMANCE: the manual pages, from what the commands say of themselves and from docs/,
# so that nothing is said twice.
set -eu
out=$1 source=$2 version=$3 date=$4 forge=$5 conformance=$6
here=$source/sdk/man
mkdir -p "$out"
# The page must not depend on who makes it.
plain() { env -i PATH="$PATH" HOME=/nonexistent ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} "$@"; }
page() { # name, section, summary; Markdown on standard input
  awk -v name="$1" -v section="$2" -v summary="$3" -v version="$version" -v date="$date" -f "$here/man.awk" >"$out/$1.$2.new"
  mv "$out/$1.$2.new" "$out/$1.$2"
}
see() { printf '\n## See also\n\n%s\n' "$1"; }
part() { awk -v from="$2" -v upto="$3" '$0 == from { on = 1 } $0 == upto { on = 0 } on' "$1"; }

plain "$forge" --help >"$out/overview.txt"
{
  printf '## Usage\n\n```\nforge COMMAND ...\n```\n'
  printf '\n## Commands\n\n'
  sed -n 's/^  \([a-z]*\)  *\([^ ].*\)/`\1`\n: \2\n/p' "$out/overview.txt"
  sed -n 's/^Exit codes: \(.*\)/\n## Exit codes\n\n\1/p' "$out/overview.txt"
  for command in $(sed -n 's/^  \([a-z]*\)  .*/\1/p' "$out/overview.txt"); do
    plain "$forge" "$command" --help | awk -v level='##' -f "$here/help.awk"
  done
  see '**forge-conformance**(1), **forge.conf**(5), **forge-manifest**(5), **forge-backend**(7)'
} | page forge 1 "$(sed -n '1s/.* -- //p' "$out/overview.txt")"

{
  plain "$conformance" --help | awk -f "$here/help.awk"
  see '**forge**(1), **forge-backend**(7), **forge-manifest**(5)'
} | page forge-conformance 1 'every rule of the backend ABI, tried on a plugin'

{
  printf '## Description\n\n'
  sed -n '2,/^## Where backends are found/{/^## Where backends are found/!p}' "$source/docs/configuration.md"
  see '**forge**(1), **forge-manifest**(5)'
} | page forge.conf 5 "the operator's file"

{
  part "$source/docs/configuration.md" '## Where backends are found' '## (the end)'
  see '**forge**(1), **forge.conf**(5), **forge-backend**(7)'
} | page forge-manifest 5 'what a backend says of itself before it is loaded'

{
  cat "$here/forge-backend.7.md"
  see '**forge**(1), **forge-conformance**(1), **forge-manifest**(5)'
} | page forge-backend 7 'how hardware is made known to Forge'
rm -f "$out/overview.txt"
