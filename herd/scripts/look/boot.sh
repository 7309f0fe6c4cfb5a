# What this Mac does when it starts anew. usage: boot.sh
say() { printf '%s\t%s\n' "$1" "$2"; }
say filevault "$(fdesetup status 2>/dev/null | head -n 1)"
say login "$(defaults read /Library/Preferences/com.apple.loginwindow autoLoginUser 2>/dev/null)"
say volumes "$(defaults read /Library/Preferences/SystemConfiguration/autodiskmount AutomountDisksWithoutUserLogin 2>/dev/null)"
