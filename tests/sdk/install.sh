#!/bin/sh
# install.sh BUILD CMAKE: installs BUILD into BUILD/sdk-install, from nothing, for all tests that look from outside.
set -eu
unset DESTDIR || true
rm -rf "$1/sdk-install"
"$2" --install "$1" --prefix "$1/sdk-install" >"$1/sdk-install.log" || { cat "$1/sdk-install.log"; exit 1; }
for file in bin/forge include/forge/backend.h share/forge/template/CMakeLists.txt; do
  [ -e "$1/sdk-install/$file" ] || { echo "$file was not installed"; exit 1; }
done
