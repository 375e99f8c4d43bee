/** What a run may do: one list, of what was granted, by whose word, and what was refused. Nothing that is not in it is there. */
import { describeCredential, isFor } from '../gateway/credentials.ts';
import type { Credential } from '../gateway/credentials.ts';
import { parseHostRule } from '../gateway/host-rule.ts';
import { expandPresets, foldPresets } from '../settings/host-rules.ts';
import { usualRegistries } from '../settings/presets.ts';
import type { Effective } from '../settings/resolve.ts';
import type { Key } from '../settings/values.ts';
import type { Plan } from './plan.ts';
import type { RunReport } from './report.ts';

export interface Capability {
  readonly name: string;
  readonly granted: string;
  /** The settings key, and whose word its value is. */
  readonly by: string;
  /** What was asked for and not given, by a setting or by a program; names of hosts in it are hostile. */
  readonly refused: readonly string[];
}

/** As it stands before the first VM; `phase` names the attempts in the ledger that belong to it. */
export interface Grant extends Omit<Capability, 'refused'> {
  readonly beyond: string | null;
  readonly phase: string | null;
}

export interface Granting {
  readonly plan: Plan;
  readonly effective: Effective;
  /** Hosts that the person who asked named. */
  readonly asked: readonly string[];
  /** The operator's, for this repository. */
  readonly credentials: readonly Credential[];
  /** Registries of this host, beside the usual ones. */
  readonly registryHosts: readonly string[];
  readonly isolation: { readonly kind: string; readonly provider: string; readonly reason: string };
}

const phases = ['setup', 'agent', 'proof'] as const;

export function describeGrants(granting: Granting): readonly Grant[] {
  const { plan, effective, asked, credentials, isolation } = granting;
  const { sandbox, allow } = plan;
  const from = (name: string, granted: string, key: Key): Grant => {
    return { name, granted, by: `${key}: ${effective.origins[key]}`, beyond: effective.beyond[key] ?? null, phase: null };
  };
  const hosts = (phase: (typeof phases)[number]): Grant => {
    const usual = phase === 'setup' ? usualRegistries : [];
    const registries = usual.filter((host) => allow[phase].includes(host));
    const named = allow[phase].filter((host) => !registries.includes(host));
    const granted = [...(registries.length > 0 ? [`registries (${foldPresets(registries).join(', ')})`] : []), ...new Set(named)];
    const tunnels = [...(registries.length > 0 ? ['the registries'] : []), ...new Set(named.filter((host) => isTunnel(host, phase, granting)))];
    const limits = tunnels.length === 0 ? '' : `; in tunnels, of which only the name in TLS is checked: ${tunnels.join(', ')}`;
    const grant = from(`hosts: ${phase}`, granted.length === 0 ? 'none' : `${granted.join(', ')}${limits}`, `allow.${phase}`);
    // Of what nobody wrote into a file, too: what is not there any more was taken by the operator's ceiling.
    const taken = [...usual, ...expandPresets(asked)].filter((host) => !allow[phase].includes(host));
    const beyond = [...(grant.beyond === null ? [] : [grant.beyond]), ...foldPresets(taken)].join(', ');
    return { ...grant, by: asked.length === 0 ? grant.by : `${grant.by}; the person who asked`, beyond: beyond === '' ? null : beyond, phase };
  };
  return [
    { name: 'isolation', granted: `${isolation.kind}, by ${isolation.provider}`, by: `the operator: ${isolation.reason}`, beyond: null, phase: null },
    ...(sandbox.image === null ? [] : [from('image', sandbox.image, 'sandbox.image')]),
    from('processors', `${sandbox.cpus}`, 'sandbox.cpus'),
    from('memory', `${sandbox.memoryMib} MiB`, 'sandbox.memoryMib'),
    from('disk', `${sandbox.diskGib} GiB`, 'sandbox.diskGib'),
    from('root', sandbox.root ? 'always' : 'during setup only', 'sandbox.root'),
    ...phases.map(hosts),
    ...(credentials.length === 0
      ? []
      : [
          {
            name: 'credentials',
            granted: `${credentials.map(describeCredential).join('; ')}: put in by the host, where the hosts above are open`,
            by: 'the operator: MAYFLY_CREDENTIALS_FILE',
            beyond: null,
            phase: null,
          },
        ]),
  ];
}

/** Whether the gateway only passes on what it cannot see: the rule asks for no more, it is no registry after setup, no credential is put in. */
function isTunnel(entry: string, phase: string, { credentials, registryHosts }: Granting): boolean {
  const rule = parseHostRule(entry);
  if (rule === null || rule.methods !== null) return false;
  const registries = [...usualRegistries, ...registryHosts];
  if (phase !== 'setup' && registries.includes(entry)) return false;
  const target = { host: rule.host, port: rule.port ?? 443, isAddress: false };
  return rule.wildcard || !credentials.some((credential) => isFor(credential, target));
}

const maxRefused = 10;

/** Empty when the run ended before anything was granted. */
export function listCapabilities({ grants, egress, tokens }: Pick<RunReport, 'grants' | 'egress' | 'tokens'>): readonly Capability[] {
  if (grants.length === 0) return [];
  const refusedIn = (phase: string): readonly string[] =>
    [
      ...new Set(
        egress
          .filter((entry) => entry.phase === phase && entry.decision === 'refused')
          .map(({ host, wouldAllow, beyondCeiling }) => wouldAllow ?? beyondCeiling ?? host),
      ),
    ].slice(0, maxRefused);
  const given = grants.map(({ beyond, phase, ...grant }): Capability => {
    return { ...grant, refused: [...(beyond === null ? [] : [beyond]), ...(phase === null ? [] : refusedIn(phase))] };
  });
  const writing = [...new Set(tokens.flatMap(({ permissions }) => Object.entries(permissions)).flatMap(([name, level]) => (level === 'write' ? [name] : [])))];
  const push = writing.length === 0 ? 'none' : `${writing.join(', ')} of this repository, by tokens that stay on the host and end with their use`;
  return [...given, { name: 'writing on GitHub', granted: push, by: 'the permissions of the App', refused: [] }];
}
