# common.sh -- sourced by the tests of the OpenCL plugin: needs $FORGE_PREFIX and the build folder as $1. Kernels built here
# stay in the build folder, so a second run is quick; nothing of the user's is touched.
build=$1
suite=$FORGE_PREFIX/bin/forge-conformance
manifest=$build/backends.d/opencl.ini
skip() { echo "skipped: $*"; exit 77; }
wrong() { echo "$*"; exit 1; }
[ -e "$build/forge-opencl.so" ] || skip "the plugin was not built"
export FORGE_BACKEND_PATH="$build/backends.d:$FORGE_PREFIX/lib/forge/backends.d"
export XDG_CACHE_HOME="$build/cache" POCL_CACHE_DIR="$build/pocl" HOME="$build"
mkdir -p "$XDG_CACHE_HOME" "$POCL_CACHE_DIR"
unset FORGE_CONFIG XDG_CONFIG_HOME XDG_DATA_HOME OCL_ICD_VENDORS || true
need_device() { # skips, with the plugin's words, where OpenCL gives no device
  "$FORGE_PREFIX/bin/forge" devices 2>/dev/null | grep -q '^ *opencl:' && return
  skip "no OpenCL device: $("$FORGE_PREFIX/bin/forge" generate none --prompt x --device opencl:0 2>&1 | tail -1)"
}
