#!/bin/sh
# conformance.sh BUILD DEVICES [FILTER..]: the suite on PoCL. DEVICES is for POCL_DEVICES, "" the usual ones.
set -eu
. "$(dirname "$0")/common.sh"
ledger=$(dirname "$0")/pocl.ini
devices=$2
shift 2
[ -z "$devices" ] || export POCL_DEVICES="$devices" POCL_CACHE_DIR="$build/pocl-$devices"
mkdir -p "$POCL_CACHE_DIR"
filters=
for glob in "$@"; do filters="$filters -f $glob"; done
set -f
# shellcheck disable=SC2086
exec "$suite" --quiet --slow 10 --ledger "$ledger" --junit "$build/conformance-${devices:-usual}.xml" $filters "$manifest"
