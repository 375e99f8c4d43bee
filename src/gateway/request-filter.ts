/** What a request may ask of a host whose requests are inspected: its method, its path, how many packages, with which credential. */
import { createHash } from 'node:crypto';
import { chooseCredential, isFor } from './credentials.ts';
import type { Credential } from './credentials.ts';
import { matchesHost, parseHostRule } from './host-rule.ts';
import { packageName } from './package-names.ts';
import type { Registry } from './package-names.ts';
import { defaultPorts } from './policy.ts';
import type { Policy, Scheme } from './policy.ts';
import { refuseBody, refuseMethod, refusePackageNames, refusePath, refuseRegistryAddresses } from './refusal.ts';
import type { Refusal, RuleLocation } from './refusal.ts';
import type { RequestPath } from './request-path.ts';
import type { RunUsage } from './run-usage.ts';
import type { Target } from './target.ts';

export interface InspectedRequest {
  readonly target: Target;
  readonly scheme: Scheme;
  readonly method: string;
  readonly requestPath: RequestPath;
  readonly hasBody: boolean;
}

export interface RequestFilterOptions {
  readonly registries: readonly Registry[];
  readonly credentials: readonly Credential[];
  /** Package names that the run may ask for anyway, since they are in its repository. */
  readonly isKnownPackage: (name: string) => boolean;
  readonly run: Pick<RunUsage, 'packageNames' | 'registryAddresses'>;
  /** Others, in all phases after setup and all VMs of the run together. */
  readonly maxNames: number;
  /** Addresses of registries, counted in the same way. */
  readonly maxAddresses: number;
}

export interface Passed {
  readonly rule: string;
  readonly credential: Credential | null;
  /** It reads from a registry after setup: nothing of the guest's headers goes on. */
  readonly isRegistryRead: boolean;
}

export type Filtered = Passed | { readonly refusal: Refusal };

export class RequestFilter {
  readonly #options: RequestFilterOptions;
  /** A setup that comes later runs what the agent wrote. */
  #isAfterSetup = false;

  constructor(options: RequestFilterOptions) {
    this.#options = options;
  }

  enter(phase: string): void {
    if (phase !== 'setup') this.#isAfterSetup = true;
  }

  /** Whether requests to this target are inspected whatever the rule says. */
  mustInspect(target: Target, scheme: Scheme): boolean {
    if (scheme === 'connect' && this.#options.credentials.some((credential) => isFor(credential, target))) return true;
    return this.#isAfterSetup && this.#findRegistry(target, scheme) !== null;
  }

  judge(policy: Policy, asked: InspectedRequest, where: RuleLocation): Filtered {
    const { target, scheme, method, requestPath, hasBody } = asked;
    const verdict = policy.judge(target, scheme, { method, requestPath });
    if (!verdict.allowed) return { refusal: verdict.reason === 'path' ? refusePath(asked, where) : refuseMethod(asked, where) };
    if (hasBody && (method === 'GET' || method === 'HEAD')) return { refusal: refuseBody(asked) };
    const registry = this.#isAfterSetup ? this.#findRegistry(target, scheme) : null;
    const refused = registry === null ? null : this.#count(registry, asked);
    if (refused !== null) return { refusal: refused };
    const credential = scheme === 'connect' ? chooseCredential(this.#options.credentials, asked) : null;
    return { rule: verdict.rule, credential, isRegistryRead: registry !== null && (method === 'GET' || method === 'HEAD') };
  }

  /** What a registry writes down of a request, as far as the guest may choose it freely. */
  #count(registry: Registry, { target, requestPath }: InspectedRequest): Refusal | null {
    const { isKnownPackage, maxAddresses, maxNames, run } = this.#options;
    const { packageNames, registryAddresses } = run;
    const name = packageName(registry, requestPath.path, requestPath.query);
    const isFree = name === '' || isKnownPackage(name);
    if (!isFree && !takeOne(packageNames, `${registry.kind} ${name}`, maxNames)) return refusePackageNames(packageNames.size);
    // As it is written: each way to write the same is another word.
    const address = `${target.host}:${target.port}${requestPath.written}?${requestPath.query ?? ''}`;
    return takeOne(registryAddresses, address, maxAddresses) ? null : refuseRegistryAddresses(registryAddresses.size);
  }

  #findRegistry(target: Target, scheme: Scheme): Registry | null {
    const isAt = ({ host }: Registry): boolean => {
      const rule = parseHostRule(host);
      return rule !== null && matchesHost(rule, target) && (rule.port ?? defaultPorts[scheme]) === target.port;
    };
    return this.#options.registries.find(isAt) ?? null;
  }
}

/** False when it is one too many. Kept as digests, since what a guest asks for may be long. */
function takeOne(taken: Set<string>, text: string, most: number): boolean {
  const digest = createHash('sha256').update(text).digest('base64');
  if (taken.has(digest)) return true;
  if (taken.size >= most) return false;
  taken.add(digest);
  return true;
}
