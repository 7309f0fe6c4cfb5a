# Fetches files in several pieces at once, verifies them, and puts them in place; prints progress.
# usage: fetch.sh NAME DIRECTORY HOMEBREW ORIGIN MODE CONNECTIONS [PATH PART SIZE SHA256 URL]...
# stdin: options for curl (the token). MODE "again" hashes what has a receipt, too.
# PART holds the beginning of a file, PART.OFFSET a piece that is to follow; it names the content,
# so that bytes never mix. .herd/PATH.receipt says what was verified, of which file, and who put it
# there: SHA256 SIZE MTIME INODE ORIGIN. A copy has another inode, so it is verified anew.
# shellcheck disable=SC2154 # most values come from eval
name=$1 directory=$2 homebrew=$3 origin=$4 mode=$5 connections=$6
shift 6
options=$(cat)
# A dropped connection shows when printing fails: then stop, and leave the rest to the next run.
trap '' PIPE
say() { printf '%s: %s\n' "$name" "$*" || exit 1; }
fail() { echo "$name: $*" >&2; exit 1; }
bytes() { if [ -f "$1" ]; then echo $(($(wc -c <"$1"))); else echo 0; fi; }
human() { awk -v n="$1" 'BEGIN { if (n >= 107374182) printf "%.1f GiB", n / 1073741824; else printf "%.1f MiB", n / 1048576 }'; }
number() { case $1 in '' | *[!0-9]*) return 1 ;; esac; }

files=0
while [ $# -ge 5 ]; do
  files=$((files + 1))
  eval "path_$files=\$1 part_$files=\$2 size_$files=\$3 sum_$files=\$4 url_$files=\$5"
  eval "state_$files=new next_$files=0 hash_$files= wrong_$files=0 whole_$files="
  shift 5
done
slots=0
while [ "$slots" -lt "$connections" ]; do
  slots=$((slots + 1))
  eval "pid_$slots= of_$slots=0 at_$slots=0"
done

# Loads a file's values, and how large its pieces are: at least eight, of 1 to 256 MiB.
file() {
  eval "path=\$path_$1 part=\$part_$1 size=\$size_$1 sum=\$sum_$1 url=\$url_$1 state=\$state_$1"
  piece=$(((size + 7) / 8))
  [ "$piece" -ge 1048576 ] || piece=1048576
  [ "$piece" -le 268435456 ] || piece=268435456
  eval "[ -z \"\$whole_$1\" ]" || piece=$((size + 1))
}
piece_end() { # OFFSET
  stop=$((($1 / piece + 1) * piece))
  [ "$stop" -le "$size" ] || stop=$size
}
is() { # STATE...: whether a file is in one of these
  f=0
  while [ "$f" -lt "$files" ]; do
    f=$((f + 1))
    for wanted; do eval "[ \"\$state_$f\" != $wanted ]" || return 0; done
  done
  return 1
}

# -- Receipts

look() { stat -L -f '%z %Fm %i' -- "$1" 2>/dev/null; }
known() { # PATH: whether its receipt is of this very file; known_sum, known_origin: what it says
  known_sum='' known_origin=''
  [ -f ".herd/$1.receipt" ] || return 1
  read -r known_sum had_size had_mtime had_inode known_origin <".herd/$1.receipt"
  is_now=$(look "$1")
  # Who put a copy there is not who put the original.
  [ "${is_now##* }" = "$had_inode" ] || known_origin=
  [ "$had_size $had_mtime $had_inode" = "$is_now" ]
}
is_right() { [ "$1" = "$sum" ] || { [ -z "$sum" ] && [ -n "$1" ]; }; }
vouch() { # PATH SUM ORIGIN [FILE]: for what is at PATH, or is FILE and will be moved there
  receipt=.herd/$1.receipt
  mkdir -p -- "${receipt%/*}" &&
    echo "$2 $(look "${4:-$1}") $3" >"$receipt.new" &&
    mv -f -- "$receipt.new" "$receipt" || fail "$1: cannot write its receipt"
}
set_aside() { # PATH SUM: with its origin, which tells whether it may be removed one day
  known "$1"
  aside=$1.set-aside-$(date +%s)
  mv -f -- "$1" "$aside" || fail "cannot set $1 aside"
  [ -z "$known_origin" ] || vouch "$aside" "${2:--}" "$known_origin"
  rm -f -- ".herd/$1.receipt"
}

# -- Other runs, and the end of this one

stop_all() {
  k=0
  while [ "$k" -lt "$slots" ]; do
    k=$((k + 1))
    eval "[ -z \"\$pid_$k\" ] || { kill \"\$pid_$k\" && wait \"\$pid_$k\"; }" 2>/dev/null
  done
  f=0
  while [ "$f" -lt "$files" ]; do
    f=$((f + 1))
    eval "[ -z \"\$hash_$f\" ] || kill \"\$hash_$f\"" 2>/dev/null
  done
}
trap stop_all EXIT
trap 'exit 1' HUP INT
trap 'fail "a later run has taken over"' TERM

# A run that lost its connection goes on until it wants to print: two writers would spoil a file.
take_over() {
  told=
  f=0
  while [ "$f" -lt "$files" ]; do
    f=$((f + 1))
    file "$f"
    [ -f "$part.pid" ] || continue
    # The script, and its curls, which live on when the script was killed.
    for old in $(cat -- "$part.pid"); do
      case $(ps -ww -o args= -p "$old" 2>/dev/null) in
        *"$part"* | *"$url"*)
          [ -n "$told" ] || say "taking over from an earlier run"
          told=yes
          kill "$old" 2>/dev/null
          while kill -0 "$old" 2>/dev/null; do sleep 0.2; done ;;
      esac
    done
  done
}
sign() { # whoever takes over shall find us
  pids=$$
  k=0
  while [ "$k" -lt "$slots" ]; do
    k=$((k + 1))
    eval "[ \"\$of_$k\" != $1 ] || pids=\"\$pids \$pid_$k\""
  done
  echo "$pids" >"$part.pid"
}

# -- Hashing

# Homebrew's OpenSSL and Apple's own sums use the processor's instructions for SHA-256; LibreSSL
# and perl, which every Mac has, do not.
if [ -x "$homebrew/opt/openssl@3/bin/openssl" ]; then
  digest() { exec "$homebrew/opt/openssl@3/bin/openssl" dgst -sha256 -r; }
elif command -v sha256sum >/dev/null; then
  digest() { exec sha256sum; }
else
  digest() { exec shasum -a 256; }
fi
cores=$(sysctl -n hw.ncpu 2>/dev/null) || cores=2
slices() { # of stdin, telling how far it is
  gone=0
  while [ "$gone" -lt "$size" ]; do
    dd bs=1048576 count=128 2>/dev/null || return
    gone=$((gone + 134217728))
    [ "$gone" -lt "$size" ] || gone=$size
    echo "$gone" >"$part.at"
  done
}
hash() { # begins as many as there are cores for
  busy=0 f=0
  while [ "$f" -lt "$files" ]; do
    f=$((f + 1))
    eval "[ -z \"\$hash_$f\" ] || busy=\$((busy + 1))"
  done
  f=0
  while [ "$f" -lt "$files" ] && [ "$busy" -lt "$cores" ]; do
    f=$((f + 1))
    file "$f"
    eval "[ -z \"\$hash_$f\" ]" || continue
    case $state in
      adopt) what=$path ;;
      check) what=$part ;;
      *) continue ;;
    esac
    echo 0 >"$part.at"
    slices <"$what" | digest >"$part.sum" &
    eval "hash_$f=$!"
    busy=$((busy + 1))
  done
}
hashed() { # looks at those that have ended
  e=0
  while [ "$e" -lt "$files" ]; do
    e=$((e + 1))
    eval "pid=\$hash_$e"
    [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null || continue
    wait "$pid"
    eval "hash_$e="
    file "$e"
    found=
    read -r found rest <"$part.sum"
    rm -f -- "$part.sum" "$part.at"
    [ "${#found}" -eq 64 ] || fail "$path: cannot be hashed"
    if [ "$state" = adopt ]; then adopted; else arrived; fi
  done
}
adopted() {
  known "$path"
  if is_right "$found"; then
    vouch "$path" "$found" "${known_origin:-adopted}"
    eval "state_$e=whole"
  else
    set_aside "$path" "$found"
    say "$path: wrong, its SHA-256 is $found, not $sum: set aside as $aside, fetching it again"
    eval "state_$e=get"
  fi
}
arrived() {
  if is_right "$found"; then
    if [ -e "$path" ]; then
      vouch "$part" "$found" "$origin"
      eval "state_$e=checked"
    else
      place "$e" "$found"
    fi
  else
    eval "wrong_$e=\$((wrong_$e + 1)) next_$e=0 state_$e=get"
    rm -f -- "$part"
    eval "[ \$wrong_$e -lt 3 ]" || fail "$path: arrived wrong three times, last with SHA-256 $found"
    say "$path: arrived wrong, its SHA-256 is $found, not $sum: fetching it again"
  fi
}
place() { # FILE SUM: the receipt first, which is of no other file
  vouch "$path" "$2" "$origin" "$part"
  mv -f -- "$part" "$path" || fail "cannot put $path in place"
  eval "state_$1=whole"
}

# -- Fetching

under_way() { # FILE OFFSET: whether a slot has this piece, were it whole by now
  k=0
  while [ "$k" -lt "$slots" ]; do
    k=$((k + 1))
    if eval "[ \"\$of_$k\" = $1 ] && [ \"\$at_$k\" = $2 ]"; then return 0; fi
  done
  return 1
}
join_pieces() { # FILE: puts behind the beginning what has come of the rest
  file "$1"
  have=$(bytes "$part")
  while [ "$have" -lt "$size" ]; do
    from=$have
    # Or else it was cut off while it did this.
    [ -f "$part.$from" ] || from=$((have / piece * piece))
    piece_end "$from"
    [ "$(bytes "$part.$from")" -eq $((stop - from)) ] && ! under_way "$1" "$from" || break
    if [ "$have" -eq 0 ]; then
      mv -f -- "$part.$from" "$part"
    elif [ "$have" -eq "$from" ]; then
      cat <"$part.$from" >>"$part"
    else
      tail -c "+$((have - from + 1))" <"$part.$from" >>"$part"
    fi || fail "$path: cannot join its pieces"
    rm -f -- "$part.$from"
    have=$stop
  done
  eval "[ \$next_$1 -ge $have ] || next_$1=$have"
  [ "$have" -ne "$size" ] || eval "state_$1=check"
}
begin() { # SLOT: the rest of its piece
  eval "b=\$of_$1 offset=\$at_$1"
  file "$b"
  piece_end "$offset"
  have=$(bytes "$part.$offset")
  # A server that ignores ranges would send the whole file; a redirect has a page of its own, too.
  most=$((stop - offset - have))
  [ "$most" -ge 65536 ] || most=65536
  printf '%s\n' "$options" | curl --config - --fail --location --silent --show-error \
    --connect-timeout 30 --speed-limit 1 --speed-time 60 \
    --range "$((offset + have))-$((stop - 1))" --max-filesize "$most" \
    --write-out '%{stderr}\n%{http_code} %header{retry-after}\n' "$url" \
    >>"$part.$offset" 2>"$part.$offset.status" &
  eval "pid_$1=$! before_$1=$have"
  sign "$b"
}
assign() { # SLOT: the next piece that nobody fetches
  a=0
  while [ "$a" -lt "$files" ]; do
    a=$((a + 1))
    file "$a"
    [ "$state" = get ] || continue
    eval "at=\$next_$a"
    while [ "$at" -lt "$size" ]; do
      piece_end "$at"
      have=$(bytes "$part.$at")
      [ "$have" -le $((stop - at)) ] || { rm -f -- "$part.$at"; have=0; }
      eval "next_$a=$stop"
      if [ "$have" -lt $((stop - at)) ]; then
        eval "of_$1=$a at_$1=$at tries_$1=0 pause_$1=0"
        begin "$1"
        return
      fi
      at=$stop
    done
  done
}
without_ranges() { # FILE: one connection, and from the beginning each time
  k=0
  while [ "$k" -lt "$slots" ]; do
    k=$((k + 1))
    if eval "[ \"\$of_$k\" = $1 ]"; then
      eval "[ -z \"\$pid_$k\" ] || { kill \"\$pid_$k\"; wait \"\$pid_$k\"; }" 2>/dev/null
      eval "pid_$k= of_$k=0"
    fi
  done
  rm -f -- "$part" "$part".[0-9]*
  eval "whole_$1=yes next_$1=0"
}
ended() { # SLOT
  eval "pid=\$pid_$1 b=\$of_$1 offset=\$at_$1 before=\$before_$1 tries=\$tries_$1"
  wait "$pid" && code=0 || code=$?
  eval "pid_$1="
  file "$b"
  piece_end "$offset"
  said=$(tail -n 1 "./$part.$offset.status")
  rm -f -- "$part.$offset.status"
  status=${said%% *} after=${said#* }
  if [ "$code" -eq 63 ] || { [ "$status" = 200 ] && [ $((stop - offset - before)) -lt "$size" ]; }; then
    say "$path: the server knows no ranges: fetching it over one connection"
    without_ranges "$b"
    return
  fi
  have=$(bytes "$part.$offset")
  if [ "$have" -eq $((stop - offset)) ]; then
    eval "of_$1=0"
    join_pieces "$b"
    return
  fi
  case $status in
    401 | 403) fail "$path: the Hub answers $status: it wants a token with access (HF_TOKEN on the workstation)" ;;
    404) fail "$path: the Hub answers 404 for $url" ;;
    416) fail "$path: the Hub has less than $size bytes at $url" ;;
  esac
  [ "$have" -le $((stop - offset)) ] || { rm -f -- "$part.$offset"; have=0; }
  [ "$have" -le "$before" ] && tries=$((tries + 1)) || tries=0
  [ "$tries" -lt 6 ] || fail "$path: no progress in 6 attempts (curl exit $code, HTTP $status)"
  pause=$((1 + tries * 2))
  # The Hub counts requests in windows of five minutes.
  if number "$after" && [ "$after" -gt "$pause" ]; then pause=$((after < 600 ? after : 600)); fi
  case $status in 429 | 503) [ "$cool" -ge $((pause * 10)) ] || cool=$((pause * 10)) ;; esac
  say "$path: interrupted (curl exit $code, HTTP $status), resuming in $pause s"
  eval "tries_$1=$tries pause_$1=$((pause * 10))"
}
cool=0
transfer() { # one look at each connection
  [ "$cool" -eq 0 ] || cool=$((cool > tenths ? cool - tenths : 0))
  s=0
  while [ "$s" -lt "$slots" ]; do
    s=$((s + 1))
    eval "pid=\$pid_$s b=\$of_$s"
    if [ -n "$pid" ]; then
      kill -0 "$pid" 2>/dev/null || ended "$s"
    elif [ "$b" -ne 0 ]; then
      eval "pause_$s=\$((pause_$s - tenths))"
      eval "[ \$pause_$s -gt 0 ]" || begin "$s"
    fi
    eval "b=\$of_$s"
    [ "$b" -ne 0 ] || [ "$cool" -ne 0 ] || assign "$s"
  done
}

# -- Progress

measure() { # total, and how much of it is there: fetched, and hashed
  total=0 got=0 to_hash=0 was_hashed=0
  f=0
  while [ "$f" -lt "$files" ]; do
    f=$((f + 1))
    file "$f"
    total=$((total + size))
    case $state in
      get | new)
        for p in "./$part" "./$part".[0-9]*; do
          case $p in *.status) ;; *) got=$((got + $(bytes "$p"))) ;; esac
        done ;;
      *) got=$((got + size)) ;;
    esac
    case $state in
      adopt | check)
        to_hash=$((to_hash + size))
        far=
        [ ! -f "$part.at" ] || read -r far <"$part.at"
        was_hashed=$((was_hashed + ${far:-0})) ;;
    esac
  done
}
progress() { # WORD DONE TOTAL BEGUN_AT SECONDS
  awk -v n="$name" -v w="$1" -v a="$2" -v t="$3" -v d="$(($2 - $4))" -v s="$5" '
    function size(x) { return x >= 107374182 ? sprintf("%.1f GiB", x / 1073741824) : sprintf("%.1f MiB", x / 1048576) }
    BEGIN {
      rate = s > 0 ? d / s : 0
      eta = rate > 0 ? int((t - a) / rate) : 0
      left = rate > 0 ? sprintf(", %d:%02d:%02d left", eta / 3600, eta % 3600 / 60, eta % 60) : ""
      printf "%s: %s%d%%, %s of %s, %s/s%s\n", n, w, t ? 100 * a / t : 100, size(a), size(t), size(rate), left
    }' || exit 1
}
ticks=0 tenths=1
tick() {
  # Small files are not to wait for large ones' pace.
  if [ "$ticks" -lt 50 ]; then tenths=1; else tenths=5; fi
  sleep "0.$tenths"
  ticks=$((ticks + 1))
  # After one second, and every five.
  [ "$ticks" -eq 10 ] || { [ "$ticks" -ge 50 ] && [ $((ticks % 10)) -eq 0 ]; } || return
  measure
  now=$(date +%s)
  [ "$to_hash" -eq 0 ] || progress "verifying " "$was_hashed" "$to_hash" 0 $((now - hash_began))
  ! is get || progress "" "$got" "$total" "$began_at" $((now - began))
}

# -- What is there

cd "$directory" 2>/dev/null || { mkdir -p "$directory" && cd "$directory"; } || fail "cannot make $directory"
take_over
i=0
while [ "$i" -lt "$files" ]; do
  i=$((i + 1))
  file "$i"
  valid=
  if known "$path"; then valid=yes; fi
  if [ -n "$valid" ] && is_right "$known_sum"; then
    if [ "$mode" = again ]; then state=adopt; else state=whole; fi
  elif [ -n "$valid" ]; then
    # An earlier version, which stays until this one is whole.
    state='get'
  elif [ -f "$path" ] && [ "$(bytes "$path")" -eq "$size" ]; then
    state=adopt
  else
    if [ -e "$path" ]; then
      found_size=$(bytes "$path")
      set_aside "$path"
      say "$path: wrong, it has $found_size bytes, not $size: set aside as $aside, fetching it again"
    fi
    state='get'
  fi
  if [ "$state" = get ] && known "$part" && is_right "$known_sum"; then state=checked; fi
  eval "state_$i=$state"
  if [ "$state" != whole ]; then
    mkdir -p -- "$(dirname -- "$part")" || fail "cannot make a directory for $path"
    echo $$ >"$part.pid"
  fi
done

# What is not as it should be is to be known before there is talk of room on the disk.
hash_began=$(date +%s)
while is adopt; do
  hash
  tick
  hashed
done
need=0
i=0
while [ "$i" -lt "$files" ]; do
  i=$((i + 1))
  file "$i"
  [ "$state" = get ] || continue
  [ "$(bytes "$part")" -le "$size" ] || rm -f -- "$part"
  [ "$size" -ne 0 ] || : >"$part"
  join_pieces "$i"
  eval "state=\$state_$i"
  [ "$state" = get ] || continue
  need=$((need + size))
done
measure
i=0
while [ "$i" -lt "$files" ]; do
  i=$((i + 1))
  file "$i"
  [ "$state" = get ] || continue
  for p in "./$part" "./$part".[0-9]*; do need=$((need - $(bytes "$p"))); done
done
free=$(df -P -k . | tail -n 1 | awk '{ for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { printf "%.0f", $(i - 1) * 1024; exit } }')
[ "$need" -le "${free:-0}" ] || fail "$(human "$need") are still to be fetched, but $(human "${free:-0}") are free"
if [ "$got" -gt 0 ] && is get; then say "resuming at $(human "$got") of $(human "$total")"; fi

began=$(date +%s) began_at=$got
while is get check; do
  transfer
  hash
  tick
  hashed
done

# -- The switch: never a first split of one version beside a second of another

switched=
i=0
while [ "$i" -lt "$files" ]; do
  i=$((i + 1))
  file "$i"
  if [ "$state" = checked ] && [ -e "$path" ]; then
    switched=yes
    if known "$path" && [ "$known_origin" = fetched ]; then
      rm -f -- "$path" ".herd/$path.receipt" || fail "cannot remove $path"
    else
      set_aside "$path" "$known_sum"
      say "$path: the earlier version, which we did not fetch, is set aside as $aside"
    fi
  fi
done
# The first split is the one that is looked for, so it comes last.
while [ "$i" -gt 0 ]; do
  file "$i"
  if [ "$state" = checked ]; then
    known "$part"
    place "$i" "$known_sum"
    rm -f -- ".herd/$part.receipt"
  fi
  # A run that was taken over may have left these, of a file that was whole by then, too.
  rm -f -- "$part" "$part".*
  i=$((i - 1))
done
[ -z "$switched" ] || say "the new version has taken the place of the earlier one"
measure
say "complete, $(human "$total")"
