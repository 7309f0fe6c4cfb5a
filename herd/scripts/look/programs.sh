# What Homebrew's bin has by these names, and who may install there. usage: programs.sh PREFIX PROGRAM...
prefix=$1
shift
for program; do
  path=$prefix/bin/$program
  if [ -L "$path" ]; then
    kind='link'
    [ -e "$path" ] || kind=dangling
    printf '%s\t%s\t%s\n' $kind "$program" "$(readlink "$path")"
  elif [ -e "$path" ]; then
    printf 'file\t%s\t\n' "$program"
  fi
done
printf 'groups\t%s\n' "$(id -G)"
# What an installation writes to.
for directory in "$prefix"/Cellar "$prefix"/bin "$prefix"/opt "$prefix"/var/homebrew; do
  [ ! -d "$directory" ] || stat -L -f 'folder	%Mp%Lp %u %g %Su %N' "$directory"
done
exit 0
