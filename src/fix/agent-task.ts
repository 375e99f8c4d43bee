/** What the agent of a run is told, put together from what the host knows. */
import type { Task, TaskText } from '../agent/task.ts';
import { hostPresets } from '../settings/presets.ts';
import { parseHostRule } from '../gateway/host-rule.ts';
import type { Conversation } from '../github/github.ts';
import type { TestRun } from '../job.ts';
import type { SandboxInfo } from '../sandbox/sandbox.ts';
import { describeBaseTests } from './base-tests.ts';
import type { GuestNode } from './install-node.ts';
import type { Plan } from './plan.ts';

export interface AskedIssue {
  readonly title: string;
  readonly body: string;
  /** What the commenter asked for beyond the issue, if anything. */
  readonly instruction: string | null;
  /** What a person approved, for the agent that carries it out. */
  readonly plan?: string | null;
  /** A plan is to be made, and nothing changed. */
  readonly planOnly?: boolean;
  /** What was said before; null where there is no GitHub. */
  readonly conversation: Conversation | null;
  /** See Task. */
  readonly assignment?: string;
  readonly texts?: readonly TaskText[];
  readonly reviewed?: boolean;
}

export interface Machine {
  readonly info: SandboxInfo;
  /** Null in an image of the repository's own. */
  readonly node: GuestNode | null;
  /** Debian packages beyond those of every guest. */
  readonly packages: readonly string[];
  /** The tests on the base; null without a command. */
  readonly tests: TestRun | null;
}

export function makeTask(issue: AskedIssue, plan: Plan, { info, node, packages, tests }: Machine): Task {
  const { conversation, ...asked } = issue;
  return {
    ...asked,
    comments: conversation?.comments ?? [],
    instructions: plan.instructions,
    map: plan.map,
    testCommand: plan.test?.command ?? null,
    baseTests: tests === null ? null : describeBaseTests(tests),
    setup: plan.setup,
    remarks: [
      ...leftOut(conversation),
      node === null ? imageLine(plan.sandbox.image) : machineLine(node, packages),
      ...registryLine(plan.allow.agent),
      clockLine(plan.environment),
      ...(node === null || node.remark === null ? [] : [node.remark]),
      ...plan.gaps,
    ],
    slow: info.isolation === 'emulation',
    allowedHosts: plan.allow.agent,
  };
}

function leftOut(conversation: Conversation | null): readonly string[] {
  if (conversation === null) return [];
  const { editedSince, withoutWriteAccess, forLength } = conversation.leftOut;
  const parts = [
    withoutWriteAccess > 0 && `${withoutWriteAccess} of people without write access`,
    editedSince > 0 && `${editedSince} that were changed after the run was asked for`,
    forLength > 0 && `${forLength} older ones`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? [] : [`Comments on the issue that are not shown: ${parts.join(', ')}.`];
}

/** The guest is Debian 12, whose Python and compilers do not change: https://packages.debian.org/bookworm/ */
function machineLine(node: GuestNode, packages: readonly string[]): string {
  const more = packages.length === 0 ? '' : `, and also ${packages.join(', ')}`;
  return `The machine is Debian 12 with Node ${node.version}, Python 3.11, gcc 12, make, git and ripgrep${more}.`;
}

const imageLine = (image: string | null): string => `The machine is made of the image ${image}: it has what that has, with bash and git.`;

/** An entry opens a host or a part of it; npm needs one, pip needs both. Where there is no network at all, that is said with the hosts. */
function registryLine(allowed: readonly string[]): readonly string[] {
  if (allowed.length === 0) return [];
  const whole = allowed.flatMap((text) => parseHostRule(text) ?? []).filter(({ path }) => path === null);
  const names = new Set(whole.map(({ host }) => host));
  const clients = { npm: hostPresets.npm, pip: hostPresets.pypi };
  const reaching = Object.entries(clients).flatMap(([client, hosts]) => (hosts.every((host) => names.has(host)) ? [client] : []));
  if (reaching.length === 2) return ['npm and pip reach their registries; pip, and npm install -g, need no root.'];
  const [one] = reaching;
  if (one === undefined) return ['npm and pip reach no registry now: what setup installed is what there is.'];
  return [`${one} reaches its registry, ${one === 'npm' ? 'pip' : 'npm'} does not.`];
}

function clockLine({ TZ, LANG }: Plan['environment']): string {
  return `Time zone: ${TZ ?? 'UTC'}, locale: ${LANG ?? 'C.UTF-8'}; the tests are judged in the same. Your commands may set TZ and LANG to others.`;
}
