#!/bin/bash
# A stand-in for Homebrew's installer (Homebrew/install, install.sh): same conditions, same words,
# no downloads.  It runs on a simulated Mac, which is what LAB_MAC names.
set -u

abort() {
  printf "%s\n" "$@" >&2
  exit 1
}

ohai() {
  printf "==> %s\n" "$*"
}

[[ "$(id -u)" != 0 ]] || abort "Don't run this as root!"
[[ -n "${NONINTERACTIVE:-}" || -t 0 ]] || echo "Running in non-interactive mode because \`stdin\` is not a TTY."

ohai "Checking for \`sudo\` access (which may request your password)..."
sudo -n -l mkdir >/dev/null 2>&1 ||
  abort "Need sudo access on macOS (e.g. the user ${USER} needs to be an Administrator)!"

prefix="${LAB_MAC}/opt/homebrew"
ohai "This script will install:"
echo "${prefix}/bin/brew"

if ! xcode-select -p >/dev/null 2>&1
then
  ohai "Searching online for the Command Line Tools"
  ohai "Installing Command Line Tools for Xcode 26.1-26.1"
  sudo softwareupdate -i "Command Line Tools for Xcode 26.1-26.1" || exit 1
fi

ohai "Downloading and installing Homebrew..."
"${LAB_MAC}/usr/libexec/lab-homebrew" || exit 1
echo "${prefix}/bin" >"${LAB_MAC}/private/etc/paths.d/homebrew"

ohai "Installation successful!"
ohai "Next steps:"
cat <<EOS
- Run these commands in your terminal to add Homebrew to your PATH:
    echo >> ${HOME}/.zprofile
    echo 'eval "\$(${prefix}/bin/brew shellenv zsh)"' >> ${HOME}/.zprofile
    eval "\$(${prefix}/bin/brew shellenv zsh)"
EOS
