#!/bin/sh
# setup-debian.sh: installs what building and testing Forge needs on Debian 12, once. Asks apt only for what is missing.
set -eu
packages="cmake ninja-build make gcc g++ libc6-dev pkg-config git ca-certificates
  libconfig-dev libinih-dev libjansson-dev nettle-dev libxxhash-dev libpcre2-dev libutf8proc-dev
  libprotobuf-c-dev protobuf-c-compiler libcairo2-dev libelf-dev fonts-dejavu-core libcmocka-dev"
# For the tests and gates; --build leaves them out.
[ "${1:-}" = --build ] || packages="$packages python3-minimal abigail-tools clang-format clang-tidy cppcheck groff-base mandoc
  pocl-opencl-icd ocl-icd-libopencl1 opencl-headers oclgrind clinfo"

missing=
for package in $packages; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
root=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "please install, as root:$missing" >&2; exit 1; }
  root=sudo
fi
echo "installing:$missing" >&2
$root apt-get update -qq >&2
# shellcheck disable=SC2086
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
