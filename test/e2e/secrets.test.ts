/**
 * A run of the real processes whose operator has secrets of every kind, looked at from inside its VM, as root, and from
 * the host, where disk and memory of its VMs are searched while the agent works and while the proof is made: no file, no
 * variable, no argument has one of them in any form, and there is no way out but the gateway.
 */
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { StandInGitHub } from '../support/github/stand-in.ts';
import { isSkipped, lacksForGuests, lacksForGvisor } from '../support/guest.ts';
import { startInstallation } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { canaries, formsOfAll, leastMib, ofNetwork, searchNow, secretsOf } from '../support/operator-secrets.ts';
import { openPrivateNetwork } from '../support/private-network.ts';
import { redisIsMissing } from '../support/redis.ts';
import { searchText } from '../support/search-vm.ts';
import { replies } from '../demo/story.ts';

const noRedis = redisIsMissing() ? 'redis-server is not installed' : null;
const skipped = {
  qemu: isSkipped(
    'the search for secrets in a VM',
    (await lacksForGuests()) ?? noRedis ?? (process.getuid?.() === 0 ? null : 'it looks at all processes, as root'),
  ),
  oci: isSkipped('the search for secrets under gVisor', (await lacksForGvisor()) ?? noRedis),
};

/** As a regular expression that does not find itself. */
const unfindable = (text: string): string => `[${text[0]}]${text.slice(1).replaceAll('+', '[+]')}`;

/** Root looks at every process, at all that is no program of the template, and at each way out. */
function lookAround(standIn: StandInGitHub): string {
  // Installation tokens by how they begin: there is none yet.
  const pattern = [...secretsOf(standIn), 'ghs_'].map(unfindable).join('|');
  const folders = '/etc /home /root /run /tmp /var/tmp /workspace';
  return [
    `sudo sh -c 'grep -rsaE --devices=skip -l -e "${pattern}" ${folders}; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | grep -acE -e "${pattern}"' | sed 's/^/found: /'`,
    `sudo find / -xdev -type f -mmin -30 -not -path '/proc/*' -not -path '/sys/*' -exec grep -lsaE -e "${pattern}" {} + | sed 's/^/found: /'`,
    `echo "searched: $(sudo find ${folders} -type f | wc -l) files, $(ls -d /proc/[0-9]* | wc -l) processes"`,
    `echo "canary: $(printf '%s%s' gh s_1 | grep -acE -e "${pattern}")"`,
    `node -p '"interfaces: " + Object.keys(os.networkInterfaces())'`,
    `echo "routes: $(tail -n +2 /proc/net/route | wc -l)"`,
    `for address in 169.254.169.254 10.0.0.1 1.1.1.1; do curl --noproxy '*' -sS --max-time 3 http://$address/ 2>&1 >/dev/null | head -1; done`,
    `curl -sS -o /dev/null -w 'gateway: %{http_code}\\n' --max-time 10 http://example.com/`,
  ].join('\n');
}

/** Argument vectors of all processes of this host, looked at again and again until the signal fires. */
async function watchArguments(signal: AbortSignal): Promise<string> {
  const seen = new Set<string>();
  while (!signal.aborted) {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    for (const argv of await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))) seen.add(argv);
    await pause(20);
  }
  return [...seen].join('\n');
}

/** A whole dump, written while the run goes on. Not packed, so that it can be searched. */
async function dumpRedis({ redis }: Installation): Promise<void> {
  const client = new Redis(redis.url, { maxRetriesPerRequest: null });
  await client.config('SET', 'rdbcompression', 'no');
  await client.save();
  client.disconnect();
}

/** All files below a directory, as one text. */
async function readAll(directory: string): Promise<string> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, 'latin1')))).join('\n');
}

async function whatTheAgentSaw({ endpoint, stateDir }: Installation): Promise<string> {
  const transcript = await readAll(join(stateDir, 'transcripts'));
  expect(endpoint.requests().length).toBeGreaterThan(1);
  const results = transcript.split('\n').filter((line) => line.includes('"role":"tool"'));
  return (JSON.parse(results[1] ?? '{}') as { results: { text: string }[] }).results[0]?.text ?? '';
}

/** What the fix is proven by is not what this is about: npm would take a minute under emulation. Setup needs the private host. Who is root in the VM sees more: what is not there for root is not there. */
const ownSettings = (place: string): string => `test: grep -F "^-|-$" src/slug.js
sandbox:
  root: true
allow:
  setup:
    - ${place}
setup:
  - curl -fsS https://${place}/
`;

const bash = (command: string) => ({ tools: [{ name: 'bash', input: { command } }] });

describe('no secret of the operator is seen', () => {
  it.concurrent.for(['oci', 'qemu'] as const)(
    'in a run under %s, inside or outside of its VM, and the gateway is the only way out',
    async (provider, { skip }) => {
      skip(skipped[provider]);
      const fix = replies.filter((reply) => reply.tools?.some(({ name }) => name === 'edit' || name === 'submit'));
      // From outside it is searched while the model thinks: the look around brings the words that it looks for.
      const [works, searched] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const before = async (): Promise<void> => {
        works.resolve();
        await searched.promise;
      };
      const look = (standIn: StandInGitHub) => [bash('git status'), { ...bash(lookAround(standIn)), before }, ...fix];
      // And while the setup of the proof asks the private host, which only it does a second time.
      const [proves, searchedAgain] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const beforeAnswer = async (request: number): Promise<void> => {
        if (request === 1) return;
        proves.resolve();
        await searchedAgain.promise;
      };
      await using network = await openPrivateNetwork(ofNetwork, ['octo-org/slugs'], beforeAnswer);
      const settings = { ...canaries, ...network.settings, MAYFLY_PROVIDER: provider, MAYFLY_ALLOW_ROOT: '1', LOG_LEVEL: 'trace' };
      await using installation = await startInstallation({ settings, replies: look, files: { '.github/mayfly.yml': ownSettings(network.place) } });
      const { standIn, redis, repository, processes } = installation;
      await installation.startWeb();
      const worker = await installation.startWorker();
      const over = new AbortController();
      const watching = watchArguments(over.signal);

      const issue = await installation.label();
      await works.promise;
      const { runId } = await worker.logged(({ msg }) => msg === 'model answered');
      const agent = await searchNow(installation, `${runId}-agent`);
      await dumpRedis(installation);
      searched.resolve();
      const finished = worker.logged(({ msg }) => msg === 'run finished');
      await Promise.race([proves.promise, finished]);
      const proof = await searchNow(installation, `${runId}-proof`);
      searchedAgain.resolve();
      const line = await finished;
      over.abort();

      expect(line).toMatchObject({ issue, outcome: { kind: 'published' } });
      // Each of the two VMs asked, without knowing what it was answered for.
      expect(network.seen.host).toEqual(Array.from({ length: 2 }, () => `Bearer ${ofNetwork.token}`));
      expect(network.seen.proxy).toHaveLength(2);
      const seen = await whatTheAgentSaw(installation);
      expect(seen.split('\n').filter((text) => text.startsWith('found: '))).toEqual(['found: 0']);
      expect(seen).toMatch(/searched: \d{3,} files, \d+ processes\ncanary: 1\ninterfaces: lo\nroutes: 0\n/);
      expect(seen.match(/^curl: \(7\).*$/gm)).toHaveLength(3);
      expect(seen).toContain('gateway: 403');
      const places = {
        arguments: await watching,
        redis: await readAll(dirname(redis.url)),
        log: processes.flatMap(({ lines }) => lines).join('\n'),
        state: await readAll(installation.stateDir),
        comments: JSON.stringify([await repository.comments(issue), await repository.pullRequests()]),
      };
      expect(places.arguments).toContain(`${line.runId}-agent`);
      expect(places.redis).toContain('appendonly');
      expect(places.redis).toContain('REDIS0');
      expect(standIn.secretTokens().length).toBeGreaterThan(1);
      const words = formsOfAll(standIn);
      for (const [name, text] of Object.entries(places)) expect({ name, found: await searchText(text, { words }) }).toEqual({ name, found: [] });
      for (const search of [agent, proof]) {
        expect(search).toMatchObject({ vm: expect.stringContaining(runId ?? ''), found: [] });
        expect(search.memoryMib).toBeGreaterThan(leastMib);
      }
    },
  );
});
