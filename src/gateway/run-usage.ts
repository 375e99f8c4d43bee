/** What the gateways of one run have used up together, so that a run with several VMs may not have each limit several times. */

/** Mutable: opened where the run begins, handed to each of its gateways, counted up by them. The limits are theirs. */
export interface RunUsage {
  /** In both directions. */
  bytes: number;
  requests: number;
  /** Digests of the names that registries were asked for after setup; those that the repository names are not among them. */
  readonly packageNames: Set<string>;
  /** Digests of the addresses at which they were asked then. */
  readonly registryAddresses: Set<string>;
}

export function startRunUsage(): RunUsage {
  return { bytes: 0, requests: 0, packageNames: new Set(), registryAddresses: new Set() };
}
