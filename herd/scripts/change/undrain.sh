# Has the proxy take requests again that drain.sh drained. usage: undrain.sh AVAILABILITY REASON SECONDS RELEASE PYTHON
file=$1 reason=$2 release=$4 python=$5
grep -qF -e "$reason" "$file" 2>/dev/null || exit 0
# One that is just coming up has read the word already, and is told only once it listens.
polls=0
while [ ! -S "${file%.json}.sock" ] && [ $polls -lt $(($3 * 5)) ]; do polls=$((polls + 1)); sleep 0.2; done
PYTHONSAFEPATH=1 PYTHONPATH=$release "$python" -m proxy ready --availability "$file" >/dev/null
