# An environment for the proxy, from a lock with hashes. The marker comes last: without it the
# environment is unfinished, and made again.
# usage: proxy-environment.sh HOMEBREW_PREFIX PYTHON DIRECTORY REQUIREMENTS
# By uv; where there is none, as on Linux, by what Python has itself.
set -e
# The Mac's own trust store counts, as a company's network may need (two names, by uv version).
PATH="$1/bin:$1/sbin:$PATH:$HOME/.local/bin" UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true
export PATH UV_PYTHON_DOWNLOADS UV_SYSTEM_CERTS UV_NATIVE_TLS
rm -rf "$3"
if command -v uv >/dev/null; then
  uv venv --quiet --python "$2" "$3"
else
  "$2" -m venv "$3"
fi
echo "Installing the proxy's dependencies"
if command -v uv >/dev/null; then
  uv pip install --quiet --only-binary :all: --python "$3/bin/python" --require-hashes --requirement "$4"
else
  "$3/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes --requirement "$4"
fi
"$3/bin/python" -c 'import aiohttp'
touch "$3/.complete"
