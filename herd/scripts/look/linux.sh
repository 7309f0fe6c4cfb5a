# What a Linux machine has of what a gateway needs. usage: linux.sh
say() { [ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"; }
# As systemd looks for a program that is called by its name (systemd.service(5)).
PATH=/usr/local/sbin:/usr/local/bin:$PATH
say system "$(. /etc/os-release 2>/dev/null && printf %s "$PRETTY_NAME")"
say apt "$(command -v apt-get)"
say haproxy "$(haproxy -v 2>/dev/null | head -n 1)"
say candidate "$(apt-cache policy haproxy 2>/dev/null | sed -n 's/^ *Candidate: //p')"
say python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
# Debian has what makes environments in a package of its own; uv needs none of it.
say venv "$(command -v uv || command -v "$HOME/.local/bin/uv" || python3 -c 'import ensurepip; print("yes")' 2>/dev/null)"
say curl "$(command -v curl)"
say lingers "$(loginctl show-user "$(id -un)" -p Linger --value 2>/dev/null)"
exit 0
