#!/bin/sh
# conformance.sh BUILD NAME DEVICES OPTIONS [FILTER..]: the suite on PoCL. DEVICES is for POCL_DEVICES, - the usual ones; OPTIONS
# are the plugin's, "key=value ..", - none; no FILTER: all of it. NAME tells reports and caches of several apart.
set -eu
. "$(dirname "$0")/common.sh"
ledger=$(dirname "$0")/pocl.ini
name=$2
[ "$3" = - ] || export POCL_DEVICES="$3"
export POCL_CACHE_DIR="$build/pocl-$name"
options=
for option in ${4#-}; do options="$options -o $option"; done
shift 4
mkdir -p "$POCL_CACHE_DIR"
filters=
for glob in "$@"; do filters="$filters -f $glob"; done
set -f
# shellcheck disable=SC2086
exec "$suite" --quiet --slow 10 --ledger "$ledger" --junit "$build/conformance-$name.xml" $options $filters "$manifest"
