#!/bin/sh
# doctor.sh BUILD: without a driver, and without an OpenCL library that works, forge doctor says what is missing.
set -eu
. "$(dirname "$0")/common.sh"
none=$(mktemp -d)
trap 'rm -rf "$none"' EXIT
OCL_ICD_VENDORS="$none" "$FORGE_PREFIX/bin/forge" doctor >"$none/out" 2>&1 || true
grep -q 'no OpenCL platform\|libOpenCL.so.1 is not installed' "$none/out" || { cat "$none/out"; wrong "doctor does not say why"; }
grep -q 'install' "$none/out" || wrong "doctor does not say what to do"
