# Has the proxy take requests again that drain.sh drained. usage: undrain.sh AVAILABILITY REASON RELEASE PYTHON
file=$1 reason=$2 release=$3 python=$4
grep -qF -e "$reason" "$file" 2>/dev/null || exit 0
# One that is just coming up has read the word already, and is told only once it listens.
polls=0
while [ ! -S "${file%.json}.sock" ] && [ $polls -lt 75 ]; do polls=$((polls + 1)); sleep 0.2; done
PYTHONSAFEPATH=1 PYTHONPATH=$release "$python" -m proxy ready --availability "$file" >/dev/null
