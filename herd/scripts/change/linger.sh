# Has the user's services outlive his login, and start with the machine: polkit lets everybody turn
# that on for himself. usage: linger.sh
said=$(loginctl enable-linger 2>&1) && exit 0
printf '%s\n' "$said" "Run \`sudo loginctl enable-linger $(id -un)\` there once, then deploy again." >&2
exit 1
