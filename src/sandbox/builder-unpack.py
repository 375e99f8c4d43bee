"""
Turns an image from a registry into a guest. Runs as root in a throwaway VM without a network, never on the host: what it
reads was written by anybody.

  layer ROOT MAX_BYTES MAX_FILES FORMAT   one layer from standard input: tar, gzip or zstd
  graft ROOT PATH                         adds what a guest needs; one line of JSON says what the image lacks
  send FILE                               the blocks of a file that are not zero, each after its number

All that touches the image happens after chroot into it: whatever its links say, nothing of them leads out. Nothing of
it is executed but by `graft`, as a user without rights. A refusal is one line, `refused: why`, and exit code 3.
https://github.com/opencontainers/image-spec/blob/main/layer.md
"""
import ctypes, gzip, json, os, shutil, stat, struct, subprocess, sys, tarfile, zlib

COPY = 1 << 20
NO_NEW_PRIVILEGES = 38  # https://docs.kernel.org/userspace-api/no_new_privs.html
AGENT = 1000
SUDO_GROUP = 27  # guest-sudo.c
LIBRARY = '/usr/lib/mayfly'
BROUGHT = '/usr/lib/mayfly-brought'  # programs of our system, with their libraries and the loader that starts them
prctl = ctypes.CDLL(None, use_errno=True).prctl  # of our system, while that is where we are
USED = '.mayfly-used'  # beside ROOT: how much earlier layers took


def refuse(why):
    print('refused: ' + why.encode('ascii', 'replace').decode()[:300])
    sys.exit(3)


def parts_of(name):
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if '..' in parts:
        refuse('it has a path that leads out of it')
    return parts


def remove(path):
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    shutil.rmtree(path) if stat.S_ISDIR(mode) else os.unlink(path)


def is_folder(path):
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


class Layer:
    def __init__(self, bytes_left, files_left):
        self.bytes_left, self.files_left = bytes_left, files_left
        self.seen = set()  # paths of this layer and the folders above: a whiteout means earlier layers only

    def take(self, member):
        self.files_left -= 1
        self.bytes_left -= max(member.size, 0)
        if self.files_left < 0:
            refuse('it has more files than is allowed here')
        if self.bytes_left < 0:
            refuse('unpacked, it is larger than is allowed here')

    def clear(self, folder):
        """What earlier layers have in a folder that this one makes opaque."""
        if not is_folder(folder):
            return
        for entry in list(os.scandir(folder)):
            if entry.path not in self.seen:
                remove(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                self.clear(entry.path)

    def apply(self, archive, member):
        self.take(member)
        parts = parts_of(member.name)
        if not parts:
            return
        path, folder, name = '/' + '/'.join(parts), '/' + '/'.join(parts[:-1]), parts[-1]
        if name == '.wh..wh..opq':
            return self.clear(folder)
        if name.startswith('.wh.'):
            hidden = name[4:]
            if hidden in ('', '.', '..'):
                refuse('it has a whiteout of nothing')
            gone = folder.rstrip('/') + '/' + hidden
            return None if gone in self.seen else remove(gone)
        for depth in range(1, len(parts) + 1):
            self.seen.add('/' + '/'.join(parts[:depth]))
        os.makedirs(folder, 0o755, exist_ok=True)
        self.write(archive, member, path)

    def write(self, archive, member, path):
        if not (member.isdir() and is_folder(path)):
            remove(path)
        if member.islnk():
            return self.link('/' + '/'.join(parts_of(member.linkname)), path)
        if member.isdir():
            os.makedirs(path, 0o755, exist_ok=True)
        elif member.issym():
            os.symlink(member.linkname, path)
        elif member.isfile() or member.issparse():
            self.write_file(archive, member, path)
        else:
            return None  # a device, a pipe: a guest has its own
        os.chown(path, member.uid, member.gid, follow_symlinks=False)
        if not member.issym():
            os.chmod(path, member.mode & 0o7777)
        time = min(max(int(member.mtime), 0), 1 << 33)
        os.utime(path, (time, time), follow_symlinks=False)

    def link(self, target, path):
        before = os.lstat(target)
        os.link(target, path, follow_symlinks=False)
        # gVisor 20240729 gives a file that is linked to whoever links it.
        os.chown(path, before.st_uid, before.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(before.st_mode):
            os.chmod(path, stat.S_IMODE(before.st_mode))

    def write_file(self, archive, member, path):
        source = archive.extractfile(member)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), 'wb') as target:
            shutil.copyfileobj(source, target, COPY)


def unpack_layer(root, max_bytes, max_files, kind):
    source = sys.stdin.buffer
    if kind == 'gzip':
        source = gzip.GzipFile(fileobj=source)
    if kind == 'zstd':
        source = subprocess.Popen(['zstd', '--decompress', '--stdout', '--quiet', '--memory=128MB'], stdin=0, stdout=subprocess.PIPE).stdout
    os.makedirs(root, 0o755, exist_ok=True)
    note = os.path.join(os.path.dirname(root), USED)
    used = json.load(open(note)) if os.path.exists(note) else [0, 0]
    layer = Layer(max_bytes - used[0], max_files - used[1])
    with open(note, 'w') as kept:
        os.chroot(root)
        os.chdir('/')
        try:
            with tarfile.open(fileobj=source, mode='r|') as archive:
                for member in archive:
                    archive.members = []  # else all of them are kept
                    layer.apply(archive, member)
            while source.read(COPY):  # what follows the end of the archive
                pass
        except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError, zlib.error, gzip.BadGzipFile, OSError) as error:
            if getattr(error, 'errno', 0) in (28, 122):
                refuse('unpacked, it is larger than the disk of a VM')
            refuse('one of its layers is broken: ' + (getattr(error, 'strerror', None) or type(error).__name__))
        json.dump([max_bytes - layer.bytes_left, max_files - layer.files_left], kept)


def libraries_of(*programs):
    lines = subprocess.run(['ldd', *programs], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split('=> ')[1].split(' (')[0] for line in lines if '=> /' in line}


START = f"""#!/bin/sh
export GIT_EXEC_PATH={BROUGHT}/git-core GIT_TEMPLATE_DIR={BROUGHT}/git-core
exec {BROUGHT}/ld-linux-x86-64.so.2 --inhibit-cache --library-path {BROUGHT} --argv0 NAME {BROUGHT}/NAME "$@"
"""


def read_guest():
    """Our own files, while they can still be reached: by path, with mode and content."""
    content = lambda path: open(path, 'rb').read()
    files = {f'{LIBRARY}/{name}': (0o755, content(f'{LIBRARY}/{name}')) for name in os.listdir(LIBRARY) if name != 'warm' and os.path.isfile(f'{LIBRARY}/{name}')}
    programs = ['/usr/sbin/sshd', '/usr/bin/git', '/usr/sbin/resize2fs', '/usr/bin/mount', '/usr/bin/find']
    for path in {*libraries_of(*programs), *programs, '/lib64/ld-linux-x86-64.so.2'}:
        files[f'{BROUGHT}/{os.path.basename(path)}'] = (0o755, content(path))
    files['/etc/ssh/mayfly_sshd_config'] = (0o644, content('/etc/ssh/mayfly_sshd_config'))
    return files, content('/etc/ssl/certs/ca-certificates.crt')


def place(path, mode, content, owner=0):
    remove(path)
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    with open(path, 'xb') as file:
        file.write(content)
    os.chown(path, owner, owner)
    os.chmod(path, mode)


def folder(path, mode=0o755, owner=0):
    if not is_folder(path):
        remove(path)
        os.makedirs(path)
    os.chown(path, owner, owner)
    os.chmod(path, mode)


def read_lines(path, without):
    try:
        with open(path, errors='surrogateescape') as file:
            lines = file.read(1 << 20).splitlines()
    except (OSError, ValueError):
        return []
    return [line for line in lines if line.split(':')[0] not in without]


def write_lines(path, mode, lines):
    place(path, mode, ''.join(line + '\n' for line in lines).encode(errors='surrogateescape'))


def add_users(shell):
    """The first of two with one number is the one that is shown: `node` of many images has that of the agent."""
    users = read_lines('/etc/passwd', ('root', 'agent', 'mayfly', 'sshd'))
    ours = [f'root:x:0:0:root:/root:{shell}', f'agent:x:{AGENT}:{AGENT}::/home/agent:{shell}']
    late = ['sshd:x:990:65534::/run/sshd:/usr/sbin/nologin', f'mayfly:x:0:0::/root:{LIBRARY}/run']
    write_lines('/etc/passwd', 0o644, ours + users + late)
    groups = read_lines('/etc/group', ('root', 'agent', 'mayfly-sudo'))
    write_lines('/etc/group', 0o644, ['root:x:0:', f'agent:x:{AGENT}:', *groups, f'mayfly-sudo:x:{SUDO_GROUP}:agent'])
    shadow = read_lines('/etc/shadow', ('root', 'agent', 'mayfly', 'sshd'))
    write_lines('/etc/shadow', 0o640, [f'{name}:*:19000:0:99999:7:::' for name in ('root', 'agent', 'mayfly')] + shadow)


def ask(argv, path):
    """Runs a program of the image as the agent would, without rights and without a way to them; what it says, or None."""
    rights = {'user': AGENT, 'group': AGENT, 'extra_groups': []}
    try:
        ended = subprocess.run(argv, capture_output=True, timeout=60, env={'PATH': path, 'LC_ALL': 'C'}, stdin=subprocess.PIPE, **rights)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout[:4096].decode(errors='replace') if ended.returncode == 0 else None


def graft(root, path):
    files, certificates = read_guest()
    os.chroot(root)
    os.chdir('/')
    try:
        for name in ('proc', 'sys', 'dev', 'run', 'etc', 'root', 'home', 'var', 'usr', 'usr/lib', 'usr/bin', 'workspace', 'home/agent', 'home/agent/.local', 'home/agent/.local/bin'):
            folder('/' + name, 0o700 if name == 'root' else 0o755, AGENT if 'agent' in name or name == 'workspace' else 0)
        for name in ('tmp', 'var/tmp', 'tmp/.X11-unix'):
            folder('/' + name, 0o1777)
        for name in (LIBRARY, BROUGHT):
            remove(name)
        for name, (mode, content) in files.items():
            place(name, mode, content)
        for name in ('hosts', 'hostname', 'machine-id'):  # thaw writes them, into memory
            remove('/etc/' + name)
            os.symlink('../run/mayfly/' + name, '/etc/' + name)
        place('/etc/resolv.conf', 0o644, b'')
        place('/home/agent/.npmrc', 0o644, b'prefix=/home/agent/.local\n', AGENT)
        for name, content in (('/etc/ssl/certs/ca-certificates.crt', certificates), ('/etc/nsswitch.conf', b'hosts: files dns\n')):
            if not os.path.isfile(name):
                place(name, 0o644, content)
        add_users(shutil.which('bash', path=path) or '/bin/sh')
        for name in ('git', 'resize2fs', 'sshd'):
            at = '/usr/bin/git' if name == 'git' else '/usr/sbin/' + name
            if not os.path.isfile(at):
                place(at, 0o755, START.replace('NAME', name).encode())
        for name in ('mount', 'find'):  # ours alone: named-image.ts
            place(f'{BROUGHT}/bin/{name}', 0o755, START.replace('NAME', name).encode())
        os.makedirs(BROUGHT + '/git-core')
        os.symlink('/usr/bin/git', BROUGHT + '/git-core/git')
        if os.path.lexists('/usr/bin/sudo'):
            os.rename('/usr/bin/sudo', '/usr/bin/sudo.distrib')
        os.symlink(LIBRARY + '/sudo', '/usr/bin/sudo')
    except OSError as error:
        refuse('a guest cannot be made of it: ' + (error.strerror or 'its files are in the way'))
    if prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        refuse('its programs could not be tried')
    place('/dev/null', 0o666, b'')  # git opens it; a device may not be made in every guest
    lacks = [name for name in ('/bin/sh', 'bash') if ask([name, '-c', 'echo well'], path) != 'well\n']
    if not lacks and 'coreutils' not in (ask(['realpath', '--version'], path) or ''):
        lacks.append('coreutils')
    if not lacks and 'git version' not in (ask(['git', '--version'], path) or ''):
        lacks.append('git')
    remove('/dev/null')
    print(json.dumps({'lacks': lacks}))


def send(file):
    size = 1 << 16
    with open(file, 'rb', buffering=0) as source:
        at, end = 0, os.fstat(source.fileno()).st_size
        while at < end:
            try:
                at = os.lseek(source.fileno(), at, os.SEEK_DATA) // size * size
            except OSError as error:
                if error.errno == 6:  # nothing but a hole is left
                    break
            block = os.pread(source.fileno(), size, at)
            if block.count(0) != len(block):
                sys.stdout.buffer.write(struct.pack('>I', at // size) + block.ljust(size, b'\0'))
            at += size
    sys.stdout.buffer.flush()


if __name__ == '__main__':
    mode, target, *rest = sys.argv[1:]
    if mode == 'layer':
        unpack_layer(target, int(rest[0]), int(rest[1]), rest[2])
    elif mode == 'graft':
        graft(target, rest[0])
    else:
        send(target)
