# man.awk -- the Markdown of docs/ as a manual page: headings, paragraphs, lists, definitions, tables, code.
#   awk -v name=forge.conf -v section=5 -v summary=".." -v version=.. -v date=.. -f man.awk FILE
# Tables become definitions: the first column is what is defined, the last says what it is, those between follow in brackets.
function quote(s) { # of roff
  gsub(/\\/, "\\e", s)
  gsub(/-/, "\\-", s)
  if (s ~ /^[.']/) s = "\\&" s
  return s
}
function inline(s,   out, part, n, i) { # `code`, **strong**, [text](where)
  while (match(s, /\[[^]]*\]\([^)]*\)/)) {
    part = substr(s, RSTART + 1, RLENGTH - 1)
    s = substr(s, 1, RSTART - 1) substr(part, 1, index(part, "](") - 1) substr(s, RSTART + RLENGTH)
  }
  gsub(/\\\|/, "|", s)
  gsub(/\*\*/, "`", s)
  n = split(s, part_of, "`")
  for (i = 1; i <= n; i++) out = out (i % 2 ? "" : "\\fB") quote(part_of[i]) (i % 2 ? "" : "\\fR")
  return out ~ /^[.']/ ? "\\&" out : out
}
function paragraph() { # |after|: a heading or tag came just before
  if (text == "") return
  if (!after) print ".PP"
  print inline(text)
  text = ""
  after = 0
}
function cells(line,   i) { # the cells of a table's row, | in them written \|
  gsub(/\\\|/, "\001", line)
  sub(/^\| */, "", line)
  sub(/ *\|$/, "", line)
  n_cells = split(line, cell, / *\| */)
  for (i = 1; i <= n_cells; i++) gsub(/\001/, "|", cell[i])
}
function row(   i, more) {
  for (i = 2; i < n_cells; i++) if (cell[i] != "") more = more (more == "" ? "" : ", ") head[i] " " cell[i]
  print ".TP"
  print inline(cell[1] == "" ? "\\-" : cell[1])
  print inline(cell[n_cells] (more == "" ? "" : " (" more ")"))
}
BEGIN {
  printf ".TH %s %s \"%s\" \"Forge %s\" \"Forge\"\n.SH NAME\n%s \\- %s\n", toupper(name), section, date, version, quote(name), quote(summary)
}
/^```/ { paragraph(); in_code = !in_code; print in_code ? (after ? "" : ".PP\n") ".in +4n\n.nf" : ".fi\n.in"; after = 0; next }
in_code { print $0 == "" ? "\\&" : quote($0); next }
/^# / { next }
/^## / { paragraph(); print ".SH " toupper(inline(substr($0, 4))); after = 1; in_table = 0; next }
/^###+ / { paragraph(); sub(/^#+ /, ""); print ".SS " inline($0); after = 1; in_table = 0; next }
/^<!--/ { next }
/^\|[-|: ]*\|$/ { next }
/^\|/ {
  paragraph()
  cells($0)
  after = 0
  if (in_table) row(); else for (i = 1; i <= n_cells; i++) head[i] = cell[i]
  in_table = 1
  next
}
/^- / { paragraph(); print ".IP \\(bu 2"; text = substr($0, 3); after = 1; next }
/^[0-9]+\. / { paragraph(); print ".IP " $1 " 4"; text = substr($0, index($0, " ") + 1); after = 1; next }
/^: / { print ".TP"; print inline(text); text = substr($0, 3); after = 1; next }
/^ *$/ { paragraph(); in_table = 0; next }
{ sub(/^ +/, ""); text = text (text == "" ? "" : " ") $0 }
END { paragraph() }
