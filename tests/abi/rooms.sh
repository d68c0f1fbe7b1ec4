#!/bin/sh
# rooms.sh SOURCE: includes follow the order of the rooms. CMake enforces it at compile time by giving each room only
# the folders it names; this says it for the whole tree at once, so that naming a wrong room is seen as well.
set -eu
source=$1
order="base config loader device program model state train infer"
bad=0
check() { # file, rooms it may not include from
  file=$1; shift
  here=$(dirname "$file")
  for header in $(grep -ohE '^#include "[^"]+"' "$file" | cut -d'"' -f2); do
    for room in "$@"; do
      [ -e "$here/$header" ] || [ ! -e "$source/core/$room/$header" ] || { echo "$file includes $room's $header"; bad=1; }
    done
  done
}
beside() { # rooms that stand on the same step
  case $1 in config) echo loader ;; loader) echo config ;; train) echo infer ;; infer) echo train ;; esac
}
right=$order
for room in $order; do
  right=${right#"$room"}; right=${right# }
  for file in "$source"/core/"$room"/*.[ch]; do
    [ -e "$file" ] || continue
    # shellcheck disable=SC2046,SC2086
    check "$file" $(for r in $right; do echo "$r"; done) $(beside "$room")
  done
done
for file in $(find "$source/tools" "$source/backends" "$source/plugins" "$source/examples" -name '*.[ch]'); do
  # shellcheck disable=SC2086
  check "$file" $order
done
[ $bad = 0 ] && echo "every include goes to the left"
exit $bad
