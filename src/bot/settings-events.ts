/** A push or a pull request that touches the settings file: the issue about broken settings, the check on the change. */
import type { GitHub, GitHubRepository } from '../github/github.ts';
import type { Repository } from '../job.ts';
import type { Log } from '../log.ts';
import type { Operator } from '../settings/operator.ts';
import { settingsPath } from '../settings/schema.ts';
import { keepSettingsIssue, maySteer, readOwnForm, readPermission, readRepositorySettings } from './repository-settings.ts';
import type { SettingsIssuePlace, SettingsPlace } from './repository-settings.ts';
import { formCheck, settingsCheck } from './settings-texts.ts';
import type { SettingsCheck } from './settings-texts.ts';

interface Place {
  readonly deliveryId: string;
  readonly installationId: number;
  readonly repository: Repository;
}

/** A pull request that may change the settings. */
export interface ProposalEvent extends Place {
  readonly kind: 'settings_proposed';
  /** Who opened it, or pushed. */
  readonly actor: { readonly login: string };
  /** `base`: the branch that it is to be merged into. `fork`: its branch lies in another repository. */
  readonly pull: { readonly number: number; readonly headSha: string; readonly base?: string | undefined; readonly fork: boolean };
}

/** The part of the web role's events that is read here. */
type SettingsEvent = ProposalEvent | (Place & { readonly kind: 'pushed' });

export interface SettingsTools {
  readonly github: GitHub;
  readonly operator: Operator;
  readonly signal: AbortSignal;
  readonly inTurn: SettingsIssuePlace['inTurn'];
}

/** Idempotent. Throws FixErrors of the GitHub port, which the queue tries again. */
export async function takeInSettings(event: SettingsEvent, tools: SettingsTools, log: Log): Promise<void> {
  const { repository, deliveryId } = event;
  const github = tools.github.repository(event, { deliveryId, signal: tools.signal, records: [] });
  const place = { github, owner: repository.owner, operator: tools.operator };
  if (event.kind === 'pushed') {
    const resolved = await readRepositorySettings(place);
    const problems = 'problems' in resolved ? resolved.problems : [];
    await keepSettingsIssue({ ...tools, github, repositoryId: repository.id }, problems, true);
    return log.info({ problems: problems.length }, 'settings on the default branch were read');
  }
  const { pull } = event;
  if (!(await changesSettings(github, pull.headSha, pull.base ?? repository.defaultBranch))) return log.debug('the pull request leaves the settings alone');
  const check = await checkProposal(event, place);
  await github.check({ headSha: pull.headSha, name: 'Mayfly settings', externalId: `settings-${pull.headSha}`, ...check });
  log.info({ conclusion: check.conclusion }, 'settings of a pull request were checked');
}

/**
 * Everybody reads a check. What else would hold is the word of the organization's own repository and of the operator, and
 * whoever may not write here does not get to ask for it.
 */
async function checkProposal({ actor, pull }: ProposalEvent, place: SettingsPlace): Promise<SettingsCheck> {
  const at = { ...place, ref: pull.headSha };
  const mayAsk = !pull.fork && maySteer(await readPermission(place, actor.login));
  return mayAsk ? settingsCheck(await readRepositorySettings(at)) : formCheck(await readOwnForm(at));
}

/** GitHub takes the same for the content of a file. */
const maxBytes = 2 ** 20;

/** Anybody who can push to a fork makes this be asked, so it takes one request, and three at most: GitHub lists no more than 300 files there. */
async function changesSettings(github: GitHubRepository, headSha: string, base: string): Promise<boolean> {
  const at = async (ref: string): Promise<Buffer | 'too_large' | null> => await github.file(settingsPath, { maxBytes, ref });
  const { files, complete, mergeBaseSha } = await github.pulls.compare(base, headSha);
  if (files.some(({ path, previousPath }) => path === settingsPath || previousPath === settingsPath)) return true;
  return !complete && !isSame(await at(headSha), await at(mergeBaseSha));
}

/** Of what is too large, nobody knows. */
function isSame(one: Buffer | 'too_large' | null, other: Buffer | 'too_large' | null): boolean {
  if (one === null || other === null) return one === other;
  return one !== 'too_large' && other !== 'too_large' && one.equals(other);
}
