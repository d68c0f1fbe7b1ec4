#!/bin/sh
# version.sh SOURCE: the ABI version of the headers, as "1.1".
set -eu
awk '/^#define FORGE_ABI_(MAJOR|MINOR) / { sub(/u$/, "", $3); v[$2] = $3 }
  END { print v["FORGE_ABI_MAJOR"] "." v["FORGE_ABI_MINOR"] }' "$1/abi/forge/types.h"
