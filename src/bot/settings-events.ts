/** A push or a pull request that touches the settings file: the issue about broken settings, the check on the change. */
import type { GitHub } from '../github/github.ts';
import type { Repository } from '../job.ts';
import type { Log } from '../log.ts';
import type { Operator } from '../settings/operator.ts';
import { settingsPath } from '../settings/schema.ts';
import { keepSettingsIssue, readRepositorySettings } from './repository-settings.ts';
import type { SettingsIssuePlace } from './repository-settings.ts';
import { settingsCheck } from './settings-texts.ts';

interface Place {
  readonly deliveryId: string;
  readonly installationId: number;
  readonly repository: Repository;
}

/** A pull request that may change the settings. */
export interface ProposalEvent extends Place {
  readonly kind: 'settings_proposed';
  readonly pull: { readonly number: number; readonly headSha: string };
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
  if (!(await github.changedPaths(pull.number)).includes(settingsPath)) return log.debug('the pull request leaves the settings alone');
  const check = settingsCheck(await readRepositorySettings({ ...place, ref: pull.headSha }));
  await github.check({ headSha: pull.headSha, name: 'Mayfly settings', externalId: `settings-${pull.headSha}`, ...check });
  log.info({ conclusion: check.conclusion }, 'settings of a pull request were checked');
}
