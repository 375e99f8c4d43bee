#!/bin/sh
# Turns a plain Debian root directory into the guest. mmdebstrap runs it on the host, as root, as its customize hook:
# $1 is the root directory; beside it lie input/ (what we bring) and, where the operator named a kernel, kernel/.
# Nothing in here may differ per VM: no host key, no machine id, no random seed. Thaw gives those.
set -eu
root=$1
build=$(dirname "$root")
input=$build/input

# --- kernel: taken out, not installed; guest-kernel.sh has the rest. One that the operator named is in kernel/ already ---
if [ ! -d "$build/kernel" ]; then
  package=$(APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-cache show linux-image-cloud-amd64 | sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | head -n 1)
  (cd "$input" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -o APT::Sandbox::User=root download "$package")
  mv "$input"/linux-image-*.deb "$input/kernel.deb"
fi

# --- our own programs: built by the guest's compiler, so the host needs none ---
mkdir -p "$root/usr/lib/mayfly" "$root/tmp/mayfly-build"
cp "$input"/guest-*.[ch] "$root/tmp/mayfly-build/"
compile() {
  chroot "$root" sh -c 'cd /tmp/mayfly-build && exec gcc -static -O2 -Wall -Wextra -o "$@"' compile "$@"
}
compile /usr/lib/mayfly/init guest-init.c guest-power-on.c guest-thaw.c
compile /usr/lib/mayfly/run guest-run.c guest-ending.c
compile /usr/lib/mayfly/sudo guest-sudo.c
rm -rf "$root/tmp/mayfly-build"

# --- Node and npm, from npm's own packages ---
for part in bin include share; do
  [ ! -d "$input/node/$part" ] || cp -rL --no-preserve=ownership "$input/node/$part" "$root/usr/local/"
done
chmod 0755 "$root/usr/local/bin/node"
mkdir -p "$root/usr/local/lib/node_modules/npm"
tar -xzf "$input/npm.tgz" --no-same-owner --strip-components=1 -C "$root/usr/local/lib/node_modules/npm"
ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
chmod 0755 "$root/usr/local/lib/node_modules/npm/bin/npm-cli.js" "$root/usr/local/lib/node_modules/npm/bin/npx-cli.js"
ln -sf python3 "$root/usr/bin/python"

# --- users: sshd without PAM takes "!" in shadow as locked, "*" as "no password". The group is for guest-sudo.c ---
chroot "$root" useradd --uid 1000 --groups sudo --create-home --shell /bin/bash --password '*' agent
chroot "$root" usermod --password '*' root
# The host's own way in: root, whose login shell is the supervisor itself, because starting a shell costs more than most commands.
chroot "$root" useradd --non-unique --uid 0 --gid 0 --home-dir /root --no-create-home --shell /usr/lib/mayfly/run --password '*' mayfly
install -d -o 1000 -g 1000 -m 0755 "$root/workspace"
# Without the reset, sudo keeps what leads tools to the proxy, the certificates and the registry.
cat > "$root/etc/sudoers.d/agent" <<'END'
Defaults:agent !env_reset, always_set_home
agent ALL=(ALL:ALL) NOPASSWD: ALL
END
chmod 0440 "$root/etc/sudoers.d/agent"

# gVisor covers an empty /tmp with memory; what is built there belongs on the disk.
install -d -m 1777 "$root/tmp/.X11-unix"

# --- where the agent installs for itself, first on its path (guest-run.c): Debian's pip refuses outside of a virtual
# environment (https://peps.python.org/pep-0668/), and npm's own global folder belongs to root ---
chroot --userspec=1000:1000 "$root" env HOME=/home/agent python3 -m venv --system-site-packages /home/agent/venv
echo 'prefix=/home/agent/.local' > "$root/home/agent/.npmrc"
install -d -o 1000 -g 1000 "$root/home/agent/.local" "$root/home/agent/.local/bin"
chown 1000:1000 "$root/home/agent/.npmrc"

# --- names: thaw writes them, into memory ---
for name in hosts hostname machine-id; do
  ln -sf "../run/mayfly/$name" "$root/etc/$name"
done
: > "$root/etc/resolv.conf"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/systemd/random-seed" "$root/var/lib/dbus/machine-id"

cat > "$root/etc/ssh/mayfly_sshd_config" <<'END'
HostKey /run/mayfly/host_key
AuthorizedKeysFile /run/mayfly/authorized_keys
HostKeyAlgorithms ssh-ed25519
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org
Ciphers aes128-gcm@openssh.com,aes128-ctr
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers mayfly
PermitUserRC no
UsePAM no
UseDNS no
AllowTcpForwarding yes
AllowAgentForwarding no
X11Forwarding no
PrintMotd no
PrintLastLog no
Compression no
MaxSessions 100
MaxStartups 100
LogLevel ERROR
PidFile none
Subsystem sftp internal-sftp
END

cat > "$root/usr/lib/mayfly/warm" <<'END'
#!/bin/sh
# Runs once, before the template is saved: what is read here is in the page cache of every clone.
libraries=$(ldd /usr/sbin/sshd | sed -n 's|^[^/]*\(/[^ ]*\) (.*|\1|p')
cat /usr/sbin/sshd $libraries /usr/lib/mayfly/* /usr/lib/openssh/sftp-server > /dev/null
/usr/lib/mayfly/run < /dev/null
git --version
bash -c true
sudo -n -u agent true
END
chmod 0755 "$root/usr/lib/mayfly/warm"
