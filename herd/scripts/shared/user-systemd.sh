# Lets systemctl find the user's own systemd, wherever pam_systemd(8) did not say where it is.
# usage: user-systemd.sh     (its text takes the place of a line `. user-systemd.sh`)
[ -n "$XDG_RUNTIME_DIR" ] || XDG_RUNTIME_DIR=/run/user/$(id -u)
export XDG_RUNTIME_DIR
