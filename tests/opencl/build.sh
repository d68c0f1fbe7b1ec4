#!/bin/sh
# build.sh SOURCE BUILD: builds plugins/opencl as a third party would, out of tree and against $FORGE_PREFIX alone.
set -eu
if ! echo '#include <CL/cl.h>' | ${CC:-cc} -E - >/dev/null 2>&1; then
  echo "skipped: no OpenCL headers (Debian: opencl-headers)"
  exit 77
fi
cmake -S "$1" -B "$2" -DCMAKE_PREFIX_PATH="$FORGE_PREFIX" -DFORGE_WERROR=ON -DFORGE_SANITIZE="${FORGE_TEST_CFLAGS#-fsanitize=}" \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER="${CC:-cc}" >"$2.log" 2>&1 || { cat "$2.log"; exit 1; }
cmake --build "$2" >"$2.log" 2>&1 || { cat "$2.log"; exit 1; }
needed=$(readelf -dW "$2/forge-opencl.so" | grep NEEDED | grep -c OpenCL || true)
[ "$needed" = 0 ] || { echo "the plugin is linked with libOpenCL; it must load without"; exit 1; }
