/** A run on real gateways: what the VMs of it may reach and use, and what its report says of that. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { JobTools } from '../../src/bot/work.ts';
import { loadConfig } from '../../src/config.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { createOperator } from '../../src/operator.ts';
import { isHostRule } from '../../src/settings/host-rules.ts';
import { createFolder } from '../support/git-repository.ts';
import { onLoopback, serveWeb } from '../support/gateway/world.ts';
import { whyNoSshd } from '../support/host-sshd.ts';
import { bash, createIssueWorld, submit } from '../support/issue-world.ts';

const reason = whyNoSshd();
if (reason) process.stderr.write(`SKIPPED: what a run may reach was not tested: ${reason}\n`);

/** The VMs are folders of this host: one port stands for the way out of whichever was opened last. */
async function openWayOut(options: Partial<GatewayOptions> = {}): Promise<(usual: JobTools) => Partial<JobTools>> {
  let accept: (stream: Duplex) => void = (stream) => stream.destroy();
  const server = createServer({ allowHalfOpen: true }, (stream) => accept(stream));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const folder = createFolder();
  onTestFinished(() => {
    server.close();
    folder[Symbol.dispose]();
  });
  const proxy = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return ({ provider, surroundings }) => ({
    provider: {
      ...provider,
      boot: async (spec) => ({ ...(await provider.boot(spec)), forward: async (_port, taking) => void (accept = taking) }),
    },
    surroundings: { ...surroundings, guestEnv: { http_proxy: proxy }, install: { path: `${folder.path}/ca.crt`, argv: ['true'] } },
    openGateway: ({ phase, allow, usage, log }) =>
      createGateway({
        phase,
        allow,
        internal: ['*.test.example'],
        upstreamProxy: null,
        settingsKey: 'allow:',
        lookup: onLoopback,
        log,
        run: usage,
        ...options,
      }),
  });
}

describe.skipIf(reason)('a run on real gateways', () => {
  it('has one limit of bytes for all of its VMs: the proof is refused what the first VM has used up', async () => {
    const { host } = await serveWeb((_request, response) => response.end(Buffer.alloc(60_000)));
    const settings = `setup: ['curl -fsS -o large http://${host}/ || touch none']\nallow: {setup: ['${host}']}\ntest: grep -q good src.txt\n`;
    await using world = await createIssueWorld({ '.github/mayfly.yml': settings, '.gitignore': 'large\nnone\n' });

    const { boots, report } = await world.run([bash('echo good > src.txt'), submit()], {
      tools: await openWayOut({ limits: { totalBytes: 50_000 }, log: pino({ level: 'silent' }) }),
    });

    expect(boots).toEqual(['agent', 'proof']);
    expect(report.outcome).toMatchObject({ kind: 'published' });
    expect(report.egress.map(({ vm, phase, decision, rule, bytesIn }) => [vm, phase, decision, rule, bytesIn > 0])).toEqual([
      ['proof', 'setup', 'refused', 'byte limit', false],
      ['agent', 'setup', 'refused', 'byte limit', true],
    ]);
  });

  it('reaches no registry beyond the operator’s ceiling, and says who closed it instead of giving a line of settings', async () => {
    const { host, seen } = await serveWeb();
    const setup = ['http://deb.debian.org/debian/', `http://${host}/a`, 'http://other.test.example/'].map((url) => `curl -sS ${url}`);
    const settings = `setup: ${JSON.stringify(setup)}\nallow: {setup: [${host}, evil.example], proof: [pypi]}\ntest: grep -q good src.txt\n`;
    await using world = await createIssueWorld({ '.github/mayfly.yml': settings });
    const operator = createOperator(loadConfig('tool', { MAYFLY_ALLOWED_HOSTS: `*.test.example ${host}` }));
    const ceiling = operator.ceilings['allow.setup'];
    const wayOut = await openWayOut({ ceiling: ceiling ? { allow: ceiling.value, key: ceiling.variable } : null, isSettable: isHostRule });

    const { report } = await world.run([bash('echo good > src.txt'), submit()], { tools: (usual) => ({ ...wayOut(usual), operator }) });

    const [pull] = (await world.repository.pullRequests()) as { body: string }[];
    const body = pull?.body ?? '';
    expect(seen.map(({ url }) => url)).toEqual(['/a', '/a']);
    expect(report.egress.filter(({ vm }) => vm === 'agent')).toMatchObject([
      { host: 'deb.debian.org', decision: 'refused', rule: "beyond the operator's MAYFLY_ALLOWED_HOSTS", wouldAllow: null },
      { host: 'web.test.example', decision: 'allowed' },
      { host: 'other.test.example', decision: 'refused', rule: 'not on the list', wouldAllow: 'other.test.example' },
    ]);
    expect(body).toContain('allow:\n  - other.test.example\n```');
    expect(body).toContain(
      'The operator of this installation does not allow `deb.debian.org`; if you need it, ask for it to be added to `MAYFLY_ALLOWED_HOSTS`.',
    );
    expect(body).toMatch(/^- `deb\.debian\.org`: .*once during setup for the agent \(beyond the operator's MAYFLY_ALLOWED_HOSTS\)/m);
    expect(body).toMatch(
      /\| hosts: setup \| `web\.test\.example:\d+; in tunnels.*; operator leaves of the registries: none \(MAYFLY_ALLOWED_HOSTS\)` \| `evil\.example, npm, yarn, /,
    );
    expect(body).toMatch(/\| hosts: proof \| `none` \| .* \| `pypi\.org, files\.pythonhosted\.org` \|/);
  });
});
