#!/bin/sh
# Makes of a kernel what QEMU boots. kernel.ts laid it out in $2/source and runs this as root, in a mount namespace of its
# own: `image`, `release`, and where it has them `config` and `modules`. $1 is the guest's root directory, whose programs
# are used, so that the host needs none. Comes out in $2: `kernel`, and in `initramfs` what goes into that.
set -eu
root=$1
cd "$2"
mount --bind . "$root/tmp"
in_guest() { chroot "$root" "$@"; }

# The plain ELF kernel boots without the decompressor, which under emulation is a third of a second. Where it lies in the
# bzImage: https://docs.kernel.org/arch/x86/boot.html; the last four bytes of the payload are its unpacked size. QEMU takes
# a plain one only where it was built for that, and another packing than LZ4 is left as it is.
in_guest python3 -c '
import struct
image = open("/tmp/source/image", "rb").read()
try: plain = "CONFIG_PVH=y\n" in open("/tmp/source/config").read()
except FileNotFoundError: plain = False
if plain and image[0x202:0x206] == b"HdrS":
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (image[0x1F1] + 1) * 512 + offset
    payload = image[start : start + length - 4]
    if payload[:4] == b"\x02\x21\x4c\x18":
        open("/tmp/source/payload", "wb").write(payload)'
if [ -f source/payload ]; then
  in_guest lz4 -q -d -f /tmp/source/payload /tmp/kernel
  [ "$(head -c 4 kernel | tail -c 3)" = ELF ]
else
  cp source/image kernel
fi

# The guest never loads a module after boot.
mkdir -p initramfs/modules
: > initramfs/modules.order
cp "$root/usr/lib/mayfly/init" initramfs/init
[ -d source/modules ] || exit 0
release=$(cat source/release)
mkdir -p lib/modules
mv source/modules "lib/modules/$release"
in_guest depmod -b /tmp "$release"
# What ext4 sums with is a module in Debian's 6.1 that nothing depends on, and built in elsewhere.
sum=$(find "lib/modules/$release" -name 'crc32c_generic.ko*' | sed 's/.*/crc32c_generic/')
for module in $sum virtio_ring virtio virtio_mmio virtio_blk virtio_console virtio_rng ext4; do
  in_guest modprobe -d /tmp -S "$release" --show-depends "$module" > shown
  cat shown >> needed
done
# A line for what is built in begins with another word.
sed -n 's|^insmod /tmp/\([^ ]*\).*|\1|p' needed | awk '!seen[$0]++' > paths
while read -r path; do
  name=$(basename "$path")
  plain=initramfs/modules/${name%.ko*}.ko
  case $name in
    *.xz) in_guest xz -d -c "/tmp/$path" > "$plain" ;;
    *.zst) in_guest zstd -q -d -c "/tmp/$path" > "$plain" ;;
    *.gz) in_guest gzip -d -c "/tmp/$path" > "$plain" ;;
    *) cp "$path" "$plain" ;;
  esac
  basename "$plain" >> initramfs/modules.order
done < paths
