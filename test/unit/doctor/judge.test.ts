import { describe, expect, test } from 'vitest';
import { judgeDisk, judgeMemory } from '../../../src/doctor/capacity.ts';
import type { Verdict } from '../../../src/doctor/check.ts';
import { judgeClock } from '../../../src/doctor/clock.ts';
import { judgeApp, judgeDeliveries, judgePermissions, judgeWebhook } from '../../../src/doctor/github.ts';
import { judgeCgroups, judgePrograms, judgeSystem } from '../../../src/doctor/host.ts';
import { judgeAnswer, judgePrices } from '../../../src/doctor/model.ts';
import { judgeEviction, judgeJobKey, judgePersistence, judgeServer, judgeUnreachable } from '../../../src/doctor/redis.ts';
import { judgeGvisor, judgeKernel, judgeKvm, judgeQemu, judgeTemplate } from '../../../src/doctor/sandbox.ts';
import { parseRunscVersion } from '../../../src/sandbox/runsc.ts';
import { judgeUserIds, parseAccounts, parseMap, parseSubordinates } from '../../../src/doctor/user-ids.ts';
import { neededEvents, neededPermissions } from '../../../src/github/app-facts.ts';

type Case = readonly [what: string, verdict: Verdict, status: Verdict['status'], advice: string | null];

const judged = (cases: readonly Case[]) => {
  test.each(cases)('%s', (_what, verdict, status, advice) => {
    expect(verdict).toMatchObject({ status, found: expect.stringMatching(/\S/) as string });
    expect(verdict.advice ?? '(none)').toContain(advice ?? '(none)');
  });
};

describe('the host', () => {
  const programs = { git: '2.39.5', setpriv: '', flock: '', 'qemu-img': '10.0.2', mmdebstrap: '', cpio: '', mke2fs: '1.47.0' };
  const v1 = ['cpu', 'memory', 'pids'].map((name) => ({ version: 1, controllers: [name] }) as const);
  judged([
    ['x86-64 will do', judgeSystem({ systemName: 'Debian', architecture: 'x64', privilege: 'root' }), 'ok', null],
    ['ARM will not', judgeSystem({ systemName: 'Debian', architecture: 'arm64', privilege: 'root' }), 'problem', 'x86-64'],
    ['all programs', judgePrograms(programs), 'ok', null],
    ['no skopeo, and no image is allowed', judgePrograms({ ...programs, skopeo: null }), 'ok', null],
    ['no skopeo for the images that are allowed', judgePrograms({ ...programs, skopeo: null }, true), 'problem', 'npx mayfly setup'],
    ['no git', judgePrograms({ ...programs, git: null }), 'problem', 'npx mayfly setup'],
    ['a git that is too old', judgePrograms({ ...programs, git: '2.20.1' }), 'problem', 'npx mayfly setup'],
    ['nothing to build the template with', judgePrograms({ ...programs, mmdebstrap: null }), 'warning', 'npx mayfly setup'],
    ['cgroups v1', judgeCgroups({ roots: v1, writable: true, isRoot: true, allowUnlimited: false }), 'ok', null],
    ['cgroups without cpu', judgeCgroups({ roots: v1.slice(1), writable: true, isRoot: true, allowUnlimited: false }), 'warning', 'Delegate'],
    ['read-only cgroups', judgeCgroups({ roots: v1, writable: false, isRoot: true, allowUnlimited: false }), 'problem', 'MAYFLY_ALLOW_UNLIMITED_VMS=1'],
    ['no cgroups, as allowed', judgeCgroups({ roots: [], writable: false, isRoot: true, allowUnlimited: true }), 'warning', null],
    ['a clock that agrees', judgeClock(-3), 'ok', null],
    ['a clock that is half a minute behind', judgeClock(-30), 'warning', 'timedatectl set-ntp true'],
    ['a clock that is two minutes ahead', judgeClock(120), 'problem', 'timedatectl set-ntp true'],
  ]);
  test('cgroups are shown by version', () => {
    expect(judgeCgroups({ roots: v1, writable: true, isRoot: true, allowUnlimited: false }).found).toBe('v1 cpu, memory, pids; writable');
  });
});

describe('memory and disk', () => {
  const memory = { availableMib: 18_000, totalMib: 32_768, guestMib: 4096, concurrency: 2 };
  const disk = (freeGib: number) => ({ places: [{ path: '/var', device: 1, freeBytes: freeGib * 2 ** 30 }], guestGib: 10, concurrency: 1 });
  judged([
    ['two VMs for each run', judgeMemory(memory), 'ok', null],
    ['fewer VMs than two for each run', judgeMemory({ ...memory, concurrency: 3 }), 'warning', 'MAYFLY_CONCURRENCY=2'],
    ['one VM for the only run', judgeMemory({ ...memory, availableMib: 7000, concurrency: 1 }), 'warning', 'MAYFLY_GUEST_MEMORY_MIB=3072'],
    ['no VM at all', judgeMemory({ ...memory, availableMib: 3500 }), 'problem', 'MAYFLY_GUEST_MEMORY_MIB=1536'],
    ['hardly any memory', judgeMemory({ ...memory, availableMib: 300 }), 'problem', 'larger host'],
    ['room', judgeDisk(disk(30)), 'ok', null],
    ['less room than a VM may fill', judgeDisk(disk(5)), 'warning', 'MAYFLY_STATE_DIR'],
    ['no room for a template', judgeDisk(disk(1)), 'problem', '/var'],
  ]);
  test('directories of one disk share a figure', () => {
    const [place] = disk(30).places;
    const places = [
      { ...place, path: '/a' },
      { ...place, path: '/b' },
      { path: '/c', device: 2, freeBytes: 20 * 2 ** 30 },
    ] as const;

    expect(judgeDisk({ ...disk(30), places: places.map((one) => ({ device: 1, freeBytes: 30 * 2 ** 30, ...one })) }).found).toBe(
      '30 GiB free for /a and /b, 20 GiB free for /c',
    );
  });
});

describe('user ids', () => {
  const facts = { isRoot: true, range: { first: 64_000, count: 1000 }, accounts: [], subordinates: [], mapped: [{ first: 0, count: 2 ** 32 }] };
  const taken = parseAccounts('root:x:0:0:root:/root:/bin/sh\n# a comment\nada:x:64999:64999::/home/ada:/bin/sh\n');
  const subordinates = parseSubordinates('bob:60000:65536\neve:not a line\n');
  judged([
    ['a free range', judgeUserIds(facts), 'ok', null],
    ['not root', judgeUserIds({ ...facts, isRoot: false }), 'warning', 'sudo'],
    ['a real user in it', judgeUserIds({ ...facts, accounts: taken }), 'problem', 'MAYFLY_UID_FIRST=66000'],
    ['subordinate ids in it', judgeUserIds({ ...facts, subordinates }), 'problem', 'MAYFLY_UID_FIRST=126000'],
    ['a container that has only some ids', judgeUserIds({ ...facts, mapped: parseMap('         0       1000          1\n') }), 'problem', 'root of the host'],
    ['a container that has enough of them', judgeUserIds({ ...facts, mapped: parseMap('0 100000 65536') }), 'ok', null],
  ]);
});

describe('the sandbox', () => {
  const kernel = { release: '6.1.0-57-cloud-amd64', isPvmGuest: false } as const;
  const forPvm = { release: '6.7.0-pvm', isPvmGuest: true } as const;
  const kvm = { device: 'opens', isPvm: false, kernel, accel: 'kvm', untried: '', verdictFile: '/c/kvm-verdict.json' } as const;
  const bookworm = { codename: 'bookworm', hasBackports: true, privilege: 'root' } as const;
  const runsc = (name: string) => parseRunscVersion(`runsc version ${name}\nspec: 1.1.0-rc.1`);
  const gvisor = {
    version: runsc('0.0~20240729.0'),
    accel: 'tcg',
    host: bookworm,
    hasTemplate: true,
    whyNot: null,
    hasUserNamespaces: true,
    isWanted: false,
  } as const;
  const template = { directory: '/c/images/1', wrong: [], restores: true };
  judged([
    ['KVM that boots our guest', judgeKvm(kvm), 'ok', null],
    ['KVM that only opens', judgeKvm({ ...kvm, accel: 'tcg' }), 'warning', 'rm /c/kvm-verdict.json'],
    ['KVM of PVM, with our kernel', judgeKvm({ ...kvm, accel: 'tcg', isPvm: true }), 'warning', 'MAYFLY_GUEST_KERNEL'],
    [
      'KVM of PVM, with a kernel for it that does not boot',
      judgeKvm({ ...kvm, accel: 'tcg', isPvm: true, kernel: forPvm }),
      'warning',
      'rm /c/kvm-verdict.json',
    ],
    ['KVM of PVM, before there is a template', judgeKvm({ ...kvm, accel: 'tcg', isPvm: true, kernel: null }), 'warning', 'MAYFLY_GUEST_KERNEL'],
    ['the kernel of Debian', judgeKernel(kernel, null), 'ok', null],
    ['a kernel for PVM', judgeKernel(forPvm, '/k/vmlinux'), 'ok', null],
    ['no kernel, as there is no template', judgeKernel(null, null), 'not_checked', null],
    ['KVM of PVM, with a kernel that boots on it', judgeKvm({ ...kvm, isPvm: true }), 'ok', null],
    ['KVM that nothing could be booted on', judgeKvm({ ...kvm, accel: null, untried: 'there is no template' }), 'not_checked', null],
    ['no KVM', judgeKvm({ ...kvm, device: 'missing' }), 'warning', 'virtualisation'],
    ['KVM of others', judgeKvm({ ...kvm, device: 'forbidden' }), 'warning', 'usermod'],
    ['no QEMU', judgeQemu(null), 'problem', 'npx mayfly setup'],
    ['the QEMU of Debian 12', judgeQemu('7.2.22'), 'problem', 'npx mayfly setup'],
    ['a QEMU that is new enough', judgeQemu('8.2.0'), 'ok', null],
    ['no runsc beside KVM', judgeGvisor({ ...gvisor, version: null, accel: 'kvm' }), 'ok', null],
    ['no runsc and no KVM', judgeGvisor({ ...gvisor, version: null }), 'warning', 'apt-get install --target-release bookworm-backports runsc'],
    ['no runsc, and it was asked for', judgeGvisor({ ...gvisor, version: null, accel: 'kvm', isWanted: true }), 'problem', 'bookworm-backports runsc'],
    [
      'no runsc, and no backports',
      judgeGvisor({ ...gvisor, version: null, host: { ...bookworm, hasBackports: false } }),
      'warning',
      'npx mayfly setup adds bookworm-backports',
    ],
    ['no runsc elsewhere', judgeGvisor({ ...gvisor, version: null, host: { ...bookworm, codename: '' } }), 'warning', 'https://gvisor.dev/'],
    ['the runsc of Debian 12', judgeGvisor({ ...gvisor, version: runsc('0.0~20221219.0') }), 'warning', 'bookworm-backports'],
    ['the runsc of its backports', judgeGvisor(gvisor), 'ok', null],
    ['the runsc of upstream', judgeGvisor({ ...gvisor, version: runsc('release-20240729.0') }), 'ok', null],
    ['a newer one', judgeGvisor({ ...gvisor, version: runsc('release-20260105.0') }), 'ok', null],
    ['one that somebody built', judgeGvisor({ ...gvisor, version: runsc('VERSION_MISSING') }), 'warning', 'bookworm-backports'],
    ['one that no guest was tried with', judgeGvisor({ ...gvisor, hasTemplate: false, whyNot: 'there is no template' }), 'not_checked', null],
    ['one that starts nothing', judgeGvisor({ ...gvisor, whyNot: 'runsc says: no' }), 'warning', 'runsc --network=none do true'],
    ['one that starts nothing in a chroot', judgeGvisor({ ...gvisor, whyNot: 'runsc says: no', hasUserNamespaces: false }), 'warning', 'leave the chroot'],
    ['one that starts nothing, and was asked for', judgeGvisor({ ...gvisor, whyNot: 'runsc says: no', isWanted: true }), 'problem', 'MAYFLY_PROVIDER=qemu'],
    ['one that starts nothing beside KVM', judgeGvisor({ ...gvisor, whyNot: 'runsc says: no', accel: 'kvm' }), 'ok', null],
    ['one that a plain user cannot start', judgeGvisor({ ...gvisor, whyNot: 'it lacks root', host: { ...bookworm, privilege: null } }), 'warning', 'sudo -E'],
    ['a whole template', judgeTemplate(template), 'ok', null],
    ['no template', judgeTemplate(null), 'problem', 'npx mayfly image build'],
    ['a template that changed', judgeTemplate({ ...template, wrong: ['disk.qcow2'] }), 'problem', 'sudo rm -r /c/images/1 && npx mayfly image build'],
    ['a template without saved memory', judgeTemplate({ ...template, restores: false }), 'problem', 'npx mayfly image build'],
    ['a template without QEMU', judgeTemplate({ ...template, restores: null }), 'warning', 'npx mayfly setup'],
  ]);
});

describe('Redis', () => {
  const kept = { appendOnly: true, snapshots: true, writesWork: true };
  judged([
    ['a new one', judgeServer({ version: '7.0.15' }, 'redis:6379'), 'ok', null],
    ['an old one', judgeServer({ version: '5.0.14' }, 'redis:6379'), 'problem', 'redis-server'],
    ['one that is not there', judgeUnreachable('redis:6379', 'connect ECONNREFUSED 127.0.0.1:6379'), 'problem', 'Start Redis'],
    ['one that wants a password', judgeUnreachable('redis:6379', 'NOAUTH Authentication required.'), 'problem', 'redis://user:password@host:6379'],
    ['AOF', judgePersistence(kept), 'ok', null],
    ['RDB', judgePersistence({ ...kept, appendOnly: false }), 'warning', 'CONFIG SET appendonly yes'],
    ['neither', judgePersistence({ ...kept, appendOnly: false, snapshots: false }), 'problem', 'CONFIG SET appendonly yes'],
    ['no AOF, the rest untold', judgePersistence({ ...kept, appendOnly: false, snapshots: null }), 'warning', 'CONFIG SET appendonly yes'],
    ['a disk that is full', judgePersistence({ ...kept, writesWork: false }), 'problem', 'INFO persistence'],
    ['noeviction', judgeEviction({ evictionPolicy: 'noeviction' }), 'ok', null],
    ['eviction', judgeEviction({ evictionPolicy: 'allkeys-lru' }), 'problem', 'CONFIG SET maxmemory-policy noeviction'],
    ['a policy that is not told', judgeEviction({ evictionPolicy: '' }), 'not_checked', null],
    ['a job key', judgeJobKey(true, true), 'ok', null],
    ['Redis without a job key', judgeJobKey(false, true), 'problem', 'openssl rand -hex 32'],
    ['neither of them', judgeJobKey(false, false), 'not_checked', 'openssl rand -hex 32'],
  ]);
});

describe('GitHub', () => {
  const app = {
    id: 7,
    slug: 'mayfly',
    url: 'https://github.com/apps/mayfly',
    settingsUrl: 'https://github.com/settings/apps/mayfly',
    permissions: neededPermissions,
    events: neededEvents,
  };
  const installation = { account: 'acme', url: 'https://github.com/settings/installations/9', permissions: neededPermissions, isSuspended: false };
  const hook = { url: 'https://mayfly.example/api/github/webhooks', contentType: 'json', hasSecret: true, checksCertificate: true };
  const path = '/api/github/webhooks';
  const at = { settingsUrl: app.settingsUrl, webhookPath: path };
  const nowMs = Date.parse('2026-11-24T12:00:00Z');
  const delivery = (statusCode: number, guid = `g-${statusCode}`) => ({ guid, at: new Date(nowMs - 180_000), event: 'issues', status: 'OK', statusCode });
  judged([
    ['an App that is installed', judgeApp(app, [installation]), 'ok', null],
    ['an App that is not', judgeApp(app, []), 'warning', 'https://github.com/apps/mayfly/installations/new'],
    ['an App that is suspended', judgeApp(app, [{ ...installation, isSuspended: true }]), 'warning', installation.url],
    ['what was asked for', judgePermissions(app, [installation]), 'ok', null],
    [
      'less',
      judgePermissions({ ...app, permissions: { ...neededPermissions, checks: 'read' } }, [installation]),
      'problem',
      'https://github.com/settings/apps/mayfly/permissions',
    ],
    ['no comments', judgePermissions({ ...app, events: ['issues'] }, [installation]), 'problem', '/permissions'],
    [
      'more',
      judgePermissions({ ...app, permissions: { ...neededPermissions, workflows: 'write' } }, [installation]),
      'warning',
      'Remove it at https://github.com/settings/apps/mayfly/permissions',
    ],
    ['an owner who has not accepted', judgePermissions(app, [{ ...installation, permissions: {} }]), 'problem', installation.url],
    ['a webhook', judgeWebhook(hook, at), 'ok', null],
    ['no webhook', judgeWebhook(null, at), 'problem', 'https://YOUR-HOST/api/github/webhooks'],
    ['an unsigned webhook', judgeWebhook({ ...hook, hasSecret: false }, at), 'problem', 'WEBHOOK_SECRET'],
    ['a form', judgeWebhook({ ...hook, contentType: 'form' }, at), 'problem', 'application/json'],
    ['another path', judgeWebhook({ ...hook, url: 'https://mayfly.example/hook' }, at), 'warning', 'WEBHOOK_PATH=/hook'],
    ['plain HTTP', judgeWebhook({ ...hook, url: `http://mayfly.example${path}` }, at), 'warning', 'https'],
    ['no look at the certificate', judgeWebhook({ ...hook, checksCertificate: false }, at), 'warning', 'SSL verification'],
    ['no deliveries', judgeDeliveries([], nowMs), 'not_checked', 'Label an issue'],
    ['deliveries that arrive', judgeDeliveries([delivery(202), delivery(200)], nowMs), 'ok', null],
    ['one that arrived when it was sent again', judgeDeliveries([delivery(202, 'a'), delivery(502, 'a')], nowMs), 'ok', null],
    ['one that was lost before', judgeDeliveries([delivery(202), delivery(502)], nowMs), 'warning', 'asks GitHub for them again'],
    ['nobody who listens', judgeDeliveries([delivery(502)], nowMs), 'problem', 'npx mayfly start --role web'],
    ['the wrong secret', judgeDeliveries([delivery(401)], nowMs), 'problem', 'WEBHOOK_SECRET='],
    ['the wrong path', judgeDeliveries([delivery(404)], nowMs), 'problem', 'WEBHOOK_PATH='],
    ['a Redis that is away', judgeDeliveries([delivery(503)], nowMs), 'problem', 'REDIS_URL'],
  ]);
  test('the age of a delivery is told', () => {
    expect(judgeDeliveries([delivery(202)], nowMs).found).toBe('of the last 1, all arrived; the newest: issues, 3 min ago');
  });
});

describe('the model', () => {
  const asked = { setting: 'MAYFLY_MODEL', name: 'anthropic/claude', keyName: 'ANTHROPIC_API_KEY', host: 'api.anthropic.com', isVendor: true };
  judged([
    ['a key that is taken', judgeAnswer(200, asked), 'ok', null],
    ['a key that is not', judgeAnswer(401, asked), 'problem', 'ANTHROPIC_API_KEY='],
    ['a model that the vendor does not know', judgeAnswer(404, asked), 'problem', 'MAYFLY_MODEL='],
    ['a server that tells nothing', judgeAnswer(404, { ...asked, isVendor: false }), 'not_checked', null],
    ['a vendor who is busy', judgeAnswer(529, asked), 'warning', null],
    ['a fallback that the vendor does not know', judgeAnswer(404, { ...asked, setting: 'MAYFLY_FALLBACK_MODEL' }), 'problem', 'MAYFLY_FALLBACK_MODEL='],
    ['prices that are known', judgePrices([{ name: 'a/b', price: { source: 'list price of 2025-12' } }]), 'ok', null],
    ['a price that is not', judgePrices([{ name: 'a/b', price: null }]), 'warning', 'MAYFLY_MODEL_PRICES="a/b=INPUT:OUTPUT"'],
    ['no model', judgePrices([]), 'not_checked', null],
  ]);
});
