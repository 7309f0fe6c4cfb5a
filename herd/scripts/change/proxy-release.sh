# Unpacks a release of the proxy; it appears whole or not at all.
# usage: proxy-release.sh ARCHIVE DIRECTORY
set -e
rm -rf "$2.new" "$2"
mkdir -p "$2.new"
# By redirections, as some tars read escapes and hosts in the names that they are given.
(cd "$2.new" && tar -xzf -) <"$1"
mv "$2.new" "$2"
rm -f "$1"
