/** Words that a run leaves wherever it can write, and how the runs after it look for them from inside of their guests. */
import { Writable } from 'node:stream';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';

/**
 * Root writes a word into every place that takes one: files of all kinds, memory, processes, the kernel. Prints the names
 * of the places that took it. $1 is what the words begin with; each is put together where it is written. They end with a letter that
 * no place has: in memory, anything may come right after a word.
 */
const plantScript = String.raw`
mark=$1
word() { printf '%s-%sZ' "$mark" "$1"; }
took() { printf '%s\n' "$1"; }
file() { mkdir -p "$(dirname "$2")" && { echo; word "$1"; echo; } 2>/dev/null >> "$2" && took "$1"; }
agent=$(getent passwd agent | cut -d: -f6)
file workspace /workspace/notes.txt
file git-hook /workspace/.git/hooks/post-checkout
file home "$agent/notes.txt"
file start-file "$agent/.bashrc"
file git-settings "$agent/.gitconfig"
file npm-cache "$agent/.npm/_cacache/content-v2/sha512/aa/bb/cc"
file pip-cache "$agent/.cache/pip/http/a/b"
file apt-cache /var/cache/apt/archives/package.deb
file root-home /root/notes.txt
file temporary /tmp/notes.txt
file kept-temporary /var/tmp/notes.txt
file log /var/log/notes.log
file program /usr/local/bin/node-notes
file own-program /usr/lib/git-core/git-sh-setup
file environment-file /etc/environment
file profile /etc/profile.d/notes.sh
file timetable /var/spool/cron/crontabs/agent
file names /etc/hosts
file run-directory /run/notes
file shared-memory /dev/shm/notes
mkdir "/var/tmp/$(word file-name)" && took file-name
ln -s "$(word link)" /var/tmp/link && took link
python3 -c 'import os, sys; os.setxattr("/var/tmp/notes.txt", "user.notes", sys.argv[1].encode())' "$(word attribute)" 2>/dev/null && took attribute
{ word unlinked; } > /var/tmp/gone && sync && rm /var/tmp/gone && took unlinked
word kernel-log > /dev/kmsg 2>/dev/null && took kernel-log
env -i PATH="$PATH" setsid bash -c 'exec -a "$1" sleep 1000' bash "$(word argument)" >/dev/null 2>&1 </dev/null &
env -i PATH="$PATH" NOTES="$(word variable)" setsid sleep 1000 >/dev/null 2>&1 </dev/null &
word filled | env -i PATH="$PATH" setsid python3 -c '
import sys, time
word = sys.stdin.buffer.read()
pages = [word + bytes([0]) * (4096 - len(word)) for _ in range(4096)]
open("/run/filled", "w").close()
time.sleep(1000)' >/dev/null 2>&1 &
tries=0
until [ -e /run/filled ] || [ $tries -ge 300 ]; do sleep 0.1; tries=$((tries + 1)); done
took argument; took variable; [ -e /run/filled ] && took filled
sync
hostname "$(word host | tr . -)" 2>/dev/null && took host
date -s 2001-01-01 >/dev/null 2>&1 && took clock
took planted
sleep 1000
`;

/** Root looks at files where people write, younger than the template, at their names, at processes and at the kernel. $1 finds the words and not itself. */
const searchScript = String.raw`
pattern=$1
{
  set -- /etc /home /root /run /tmp /var /workspace /dev/shm /usr/local /usr/lib/git-core /opt /srv /mnt
  find "$@" -xdev -type f -newer /usr/lib/mayfly/init -exec grep -saohE -e "$pattern" {} +
  find "$@" -xdev -printf '%p %l\n' 2>/dev/null | grep -aoE -e "$pattern"
  cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -aoE -e "$pattern"
  dmesg 2>/dev/null | grep -aoE -e "$pattern"
  hostname | grep -aoE -e "$pattern"
} | sort -u`;

/** The words are in the guest when it resolves, and processes with them run until it is disposed of. Resolves to the names of the places. */
export async function plant(sandbox: Sandbox, mark: string): Promise<readonly string[]> {
  let said = '';
  const planted = Promise.withResolvers<void>();
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      said += chunk.toString();
      if (said.includes('planted\n')) planted.resolve();
      done();
    },
  });
  const running = sandbox.exec(['bash', '-c', plantScript, 'bash', mark], { ...asRoot, stdout });
  running.then(
    (result) => planted.reject(new Error(`the script ended: ${JSON.stringify(result)}`)),
    (error: unknown) => planted.reject(error as Error),
  );
  await planted.promise;
  return said.split('\n').filter((line) => line !== '' && line !== 'planted');
}

/** How a word goes on and ends, as a regular expression; one that has lost its end is found as well. */
export const wordEnd = '[a-z0-9.-]+Z?';

/** The words that begin with `prefix`. */
export async function searchInside(sandbox: Sandbox, prefix: string): Promise<readonly string[]> {
  const printed = await run(sandbox, searchScript, `[${prefix[0]}]${prefix.slice(1)}${wordEnd}`);
  return printed.split('\n').filter((line) => line !== '');
}

/** How far the guest's clock is from ours, whatever the question itself takes. */
export async function clockErrorMs(sandbox: Sandbox): Promise<number> {
  const askedAt = Date.now();
  const seen = Number(await run(sandbox, 'date +%s%3N', ''));
  return Math.max(askedAt - seen, seen - Date.now(), 0);
}

const asRoot = { user: 'root', sudo: true, cwd: '/', timeoutMs: 300_000 } as const;

async function run(sandbox: Sandbox, script: string, argument: string): Promise<string> {
  const result = await sandbox.exec(['bash', '-c', script, 'bash', argument], asRoot);
  if (result.ended !== 'exited') throw new Error(`the script did not end: ${JSON.stringify(result)}`);
  return result.stdout;
}
