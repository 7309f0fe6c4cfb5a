# Lets what the proxy has open finish, for so many seconds, and refuses what is new until undrain.sh.
# What its owner said himself stays as it is. usage: drain.sh AVAILABILITY SECONDS REASON RELEASE PYTHON
file=$1 seconds=$2 reason=$3 release=$4 python=$5
# Without that, no proxy runs, or one that cannot be drained.
[ -S "${file%.json}.sock" ] || exit 0
[ ! -e "$file" ] || grep -qF -e "$reason" "$file" || exit 0
PYTHONSAFEPATH=1 PYTHONPATH=$release "$python" -m proxy drain --availability "$file" --reason "$reason" --wait "$seconds" ||
  echo "What is still open after $seconds s is cut off."
exit 0
