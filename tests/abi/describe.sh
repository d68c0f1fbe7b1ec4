#!/bin/sh
# describe.sh SOURCE LIBRARY: the library's public types and functions as abidw writes them; what is private to the library,
# and where things stood on this machine, is left out.
set -eu
abidw --headers-dir "$1/abi" --drop-private-types --no-show-locs --no-comp-dir-path --no-corpus-path "$2" |
  sed -e "s|$1/||g" -e "s|path='/[^']*/\([^/']*\)'|path='\1'|" -e "/<elf-needed>/,/<\/elf-needed>/d"
