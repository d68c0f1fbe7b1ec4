# help.awk -- what a command's --help prints, as the Markdown that man.awk reads. -v level=## gives the command a heading
# of its own and its sections the next smaller one; without, its sections are the page's.
function end_code() { if (code) print "```\n"; code = 0 }
function heading(text, smaller) { end_code(); print "\n" level (smaller ? "#" : "") " " text "\n" }
BEGIN { alone = level == ""; if (alone) level = "##" }
NR == 1 && / -- / { if (!alone) heading(substr($0, 1, index($0, " -- ") - 1), 0); print substr($0, index($0, " -- ") + 4) "."; next }
/^[Uu]sage: / { heading("Usage", !alone); print "```\n" substr($0, 8) "\n```\n"; next }
/^[A-Z].*:$/ { heading(substr($0, 1, length($0) - 1), !alone); plain = /^Examples|^A ledger/; next }
/^ +[^ ]/ {
  line = $0
  sub(/^ +/, "", line)
  gap = match(line, /   *[^ ]/)
  if (!plain && gap) { end_code(); print "`" substr(line, 1, gap - 1) "`\n: " substr(line, gap + RLENGTH - 1) "\n"; next }
  if (!plain && match(line, /^-[^ ]*$/)) { end_code(); print "`" line "`\n: \n"; next }
  if (!code) print "```"
  code = 1
  print substr($0, 3)
  next
}
{ end_code(); print }
END { end_code() }
