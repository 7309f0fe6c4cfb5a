# What GNU and BSD call differently. usage: gnu-or-bsd.sh     (its text takes the place of a line
# `. gnu-or-bsd.sh`; then `mode FILE`, `checksum <FILE`, `owners DIRECTORY...`,
# `bytes_of_memory`, and `whose` with what find(1) looks for)
if command -v sw_vers >/dev/null 2>&1; then
  mode() { stat -f %Lp "$1"; }
  checksum() { shasum -a 256; }
  owners() { stat -f '%Mp%Lp %u %g %Su %N' "$@"; }
  whose() { find "$@" -exec stat -f '%u %N' {} +; }
  bytes_of_memory() { sysctl -n hw.memsize 2>/dev/null; }
else
  mode() { stat -c %a "$1"; }
  checksum() { sha256sum; }
  owners() { stat -c '%a %u %g %U %n' "$@"; }
  whose() { find "$@" -exec stat -c '%u %n' {} +; }
  bytes_of_memory() { awk '$1 == "MemTotal:" { printf "%.0f\n", $2 * 1024 }' /proc/meminfo 2>/dev/null; }
fi
