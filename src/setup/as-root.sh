#!/bin/sh
# Runs a command as root: through sudo where that asks no password, as it is otherwise. Each VM gets a user and control
# groups of its own, which nobody but root can give. MAYFLY_ALLOW_UNLIMITED_VMS=1 does without, and then without sudo.
set -eu

if [ "$(id -u)" = 0 ] || [ "${MAYFLY_ALLOW_UNLIMITED_VMS:-0}" = 1 ] || ! sudo -n true 2>/dev/null; then exec "$@"; fi
echo "mayfly: VMs get users and control groups of their own, which takes root: this runs through sudo (MAYFLY_ALLOW_UNLIMITED_VMS=1 does without)." >&2
# -E: settings stay, and keys stay out of the argument vector. PATH alone would be replaced by sudo's own. -H: what is
# cached in a home is root's then, and nothing in the user's home belongs to root. A user's PATH has no programs of root.
exec sudo -n -E -H env "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin" "$@"
