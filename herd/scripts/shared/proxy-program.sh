# Prints what the proxy's Python really is, which the application firewall goes by, or nothing.
# usage: proxy-program.sh     (its text takes the place of a line `. proxy-program.sh`; then
# `proxy_program KEG VERSION`)
proxy_program() {
  # bin/python3 of a framework only starts the one in it, which is what runs and listens.
  in_keg=$(cd -P -- "$1" 2>/dev/null && pwd -P)
  found=$in_keg/Frameworks/Python.framework/Versions/$2/Resources/Python.app/Contents/MacOS/Python
  [ -x "$found" ] || found=$(readlink -f "$1/bin/python$2" 2>/dev/null)
  [ ! -x "$found" ] || printf '%s\n' "$found"
}
