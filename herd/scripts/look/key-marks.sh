# Whose keys are in a config.json that a deploy wrote. usage: key-marks.sh FILE
# Prints for each its name (#N for a plain key) and four digits of a digest of the entry, by which
# a change is seen: too few to try keys against. Nothing else of the file leaves this Mac.
. gnu-or-bsd.sh
awk '
  /^  "apiKeys": / { on = 1; next }
  /^  [^ ]/ { on = 0 }
  ! on { next }
  { at = match($0, /[^ ]/) - 1; sub(/^ +/, ""); sub(/,$/, "") }
  at == 4 && /^"/ { n++; print "#" n, $0 }
  at == 4 && /^[{]/ { n++; name = "?"; text = "" }
  at == 4 && /^[}]/ { print name, text }
  at == 6 && /^"name": "[A-Za-z0-9._-]+"$/ { name = substr($0, 10, length($0) - 10) }
  at > 4 { text = text $0 }
' "$1" | while read -r name text; do
  echo "$name" "$(printf %s "$text" | checksum | cut -c 1-4)"
done
