#!/bin/sh
# man.sh: the installed manual pages are there, name what they must, and are clean for groff and mandoc.
set -eu
cd "$FORGE_PREFIX/share/man"
looked=0
for page in man1/forge.1 man1/forge-conformance.1 man5/forge.conf.5 man5/forge-manifest.5 man7/forge-backend.7; do
  [ -s "$page" ] || { echo "$page is not installed"; exit 1; }
  if command -v groff >/dev/null; then
    groff -man -Tutf8 -ww "$page" >/dev/null 2>groff.log || true
    [ ! -s groff.log ] || { cat groff.log; exit 1; }
    looked=1
  fi
  if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning "$page" || exit 1
    looked=1
  fi
done
rm -f groff.log
for word in train generate 'plugin' 'resume'; do
  grep -q "$word" man1/forge.1 || { echo "forge.1 does not speak of $word"; exit 1; }
done
for word in backend_path memory_limit fallback; do
  grep -q "$word" man5/forge.conf.5 || { echo "forge.conf.5 does not speak of $word"; exit 1; }
done
grep -q 'probe_timeout' man5/forge-manifest.5 || { echo "forge-manifest.5 does not speak of probe_timeout"; exit 1; }
grep -q '\\-\\-junit' man1/forge-conformance.1 || { echo "forge-conformance.1 does not speak of --junit"; exit 1; }
[ $looked = 1 ] || { echo "skipped the formatter's opinion: neither groff nor mandoc is installed"; exit 77; }
