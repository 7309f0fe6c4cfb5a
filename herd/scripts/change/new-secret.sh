# A file of 64 random hexadecimal digits, for its owner only; it appears whole. No process ever has
# them among its arguments. Nothing is behind them, so the file's SHA-256 is theirs. usage: new-secret.sh FILE
umask 077
rm -f "$1.new" "$1" || exit 1
secret=$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
[ ${#secret} -eq 64 ] || { echo "/dev/urandom gave no 32 bytes" >&2; exit 1; }
printf %s "$secret" >"$1.new" && mv "$1.new" "$1"
