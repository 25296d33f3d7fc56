#!/usr/bin/env bash
# Installs what building and testing need beside Go: on Debian as root with
# apt-get, saying so; elsewhere it names what is missing.
set -euo pipefail
missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need git git
need curl curl         # the printed commands are run as printed
need gcc gcc           # the race detector
need ip iproute2       # network namespaces of the integration tests
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
[ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing with apt-get: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "missing (Debian package names): ${missing[*]}" >&2
  echo "install them, or run this as root on Debian" >&2
  [ -z "${CI:-}" ] || exit 1
fi
