# Fetches files, resuming what an earlier run began; prints progress.
# usage: fetch.sh NAME DIRECTORY [PATH PART SIZE URL]...    stdin: options for curl (the token)
# PART is the file of a transfer under way; it names the commit, so that bytes never mix.
name=$1 directory=$2
shift 2
options=$(cat)
# A dropped connection shows when printing fails: then stop, and leave the rest to the next run.
trap '' PIPE
say() { printf '%s: %s\n' "$name" "$*" || exit 1; }
fail() { echo "$name: $*" >&2; exit 1; }
bytes() { if [ -f "$1" ]; then echo $(($(wc -c <"$1"))); else echo 0; fi; }
human() { awk -v n="$1" 'BEGIN { if (n >= 107374182) printf "%.1f GiB", n / 1073741824; else printf "%.1f MiB", n / 1048576 }'; }
transfer=
trap '[ -z "$transfer" ] || { kill "$transfer" 2>/dev/null; wait "$transfer"; }' EXIT
trap 'exit 1' HUP INT
trap 'fail "a later run has taken over"' TERM

# A run that lost its connection goes on until it wants to print: two writers would spoil a file.
take_over() {
  while [ $# -ge 4 ]; do
    if [ "$(bytes "$1")" -ne "$3" ]; then
      mkdir -p -- "$(dirname -- "$2")"
      # The script, and its curl, which lives on when the script was killed.
      pids=$(cat -- "$2.pid" 2>/dev/null)
      for old in $pids; do
        case $(ps -ww -o args= -p "$old" 2>/dev/null) in
          *"$2"*)
            say "taking over from an earlier run"
            kill "$old" 2>/dev/null
            while kill -0 "$old" 2>/dev/null; do sleep 0.2; done ;;
        esac
      done
      echo $$ >"$2.pid"
    fi
    shift 4
  done
}

total=0 done=0
count_up() {
  while [ $# -ge 4 ]; do
    total=$((total + $3))
    have=$(bytes "$1")
    [ "$have" -eq "$3" ] || have=$(bytes "$2")
    [ "$have" -gt "$3" ] || done=$((done + have))
    shift 4
  done
}
cd "$directory" 2>/dev/null || { mkdir -p "$directory" && cd "$directory"; } || fail "cannot make $directory"
take_over "$@"
count_up "$@"
[ "$done" -eq 0 ] || say "resuming at $(human "$done") of $(human "$total")"
began=$(date +%s) began_at=$done

progress() { # bytes of this file so far
  now=$(($(date +%s) - began)) all=$((done + $1))
  awk -v n="$name" -v a="$all" -v t="$total" -v d="$((all - began_at))" -v s="$now" '
    function size(x) { return x >= 107374182 ? sprintf("%.1f GiB", x / 1073741824) : sprintf("%.1f MiB", x / 1048576) }
    BEGIN {
      rate = s > 0 ? d / s : 0
      eta = rate > 0 ? int((t - a) / rate) : 0
      left = rate > 0 ? sprintf(", %d:%02d:%02d left", eta / 3600, eta % 3600 / 60, eta % 60) : ""
      printf "%s: %d%%, %s of %s, %s/s%s\n", n, t ? 100 * a / t : 100, size(a), size(t), size(rate), left
    }' || exit 1
}

fetch() { # PATH PART SIZE URL
  failures=0
  while [ "$(bytes "$2")" -ne "$3" ]; do
    before=$(bytes "$2")
    [ "$before" -lt "$3" ] || { rm -f -- "$2"; before=0; }
    printf '%s\n' "$options" | curl --config - --fail --location --silent --show-error \
      --connect-timeout 30 --speed-limit 1 --speed-time 60 --continue-at - \
      --write-out '%{http_code}' --output "$2" "$4" >"$2.status" &
    transfer=$!
    echo $$ "$transfer" >"$2.pid"
    waited=0
    while kill -0 "$transfer" 2>/dev/null; do
      sleep 0.5
      waited=$((waited + 1))
      [ $((waited % 10)) -ne 0 ] || progress "$(bytes "$2")"
    done
    wait "$transfer" && code=0 || code=$?
    transfer=
    status=$(cat -- "$2.status")
    rm -f -- "$2.status"
    [ "$code" -ne 0 ] || continue
    case $status in
      401 | 403) fail "$1: the Hub answers $status: it wants a token with access (HF_TOKEN on the workstation)" ;;
      404) fail "$1: the Hub answers 404 for $4" ;;
    esac
    # 33: the server cannot resume, so what is there is of no use.
    [ "$code" -ne 33 ] || rm -f -- "$2"
    [ "$(bytes "$2")" -le "$before" ] && failures=$((failures + 1)) || failures=0
    [ "$failures" -lt 6 ] || fail "$1: no progress in 6 attempts (curl exit $code, HTTP $status)"
    say "$1: interrupted (curl exit $code, HTTP $status), resuming"
    sleep $((1 + failures * 2))
  done
}

while [ $# -ge 4 ]; do
  if [ "$(bytes "$1")" -ne "$3" ]; then
    before=$(bytes "$2")
    [ "$before" -le "$3" ] || before=0
    done=$((done - before))
    fetch "$@"
    mv -f -- "$2" "$1" || fail "cannot put $1 in place"
    done=$((done + $3))
  fi
  # A run that was taken over may have left these, of a file that was whole by then, too.
  rm -f -- "$2" "$2.pid" "$2.status"
  shift 4
done
say "complete, $(human "$total")"
