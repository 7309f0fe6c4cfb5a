# What is below the directory of all models, links followed: the free disk there (df's line), each
# file's size, time, inode and path, each receipt and each transfer's journal (see fetcher/).
# usage: models.sh DIRECTORY
# But not what somebody's `hf download` may be writing just now.
disk=$1
while [ ! -d "$disk" ]; do disk=$(dirname -- "$disk"); done
df -P -k -- "$disk" | tail -n 1 | sed 's/^/disk /'
cd -- "$1" 2>/dev/null || exit 0
find -L . -type f ! -path '*/.herd/*' ! \( -name '*.incomplete' -mmin -10 \) \
  -exec stat -L -f 'file %z %Fm %i %N' {} + 2>/dev/null
find -L . -path './*/.herd/*' -name '*.receipt' -type f -exec grep -H . {} + 2>/dev/null | sed 's/^/receipt /'
find -L . -path './*/.herd/*' -name '*.pieces' -type f -exec grep -H . {} + 2>/dev/null | sed 's/^/pieces /'
# A circle of links, or what only others may read, is no reason to fail: it holds none of our files.
exit 0
