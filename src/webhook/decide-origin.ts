/** What every delivery is judged by: who sent it, whose words they are, and where it comes from. */
import type { Delivery, TriggerPolicy } from './decide.ts';
import type { Comment, Origin } from './payload.ts';

/** Whose words in a comment are not heard at all. */
export function whyNotHeard(origin: Origin, comment: Comment, policy: TriggerPolicy): string | null {
  if (!mayTrigger(origin, policy)) return 'sent by a bot';
  if (comment.user?.id !== origin.sender.id) return 'the sender did not write the comment';
  return isOurs(comment, policy) ? 'our own comment' : null;
}

export function mayTrigger({ sender }: Origin, { allowBots }: TriggerPolicy): boolean {
  const login = sender.login.toLowerCase();
  const isPerson = sender.type === 'User' && !login.endsWith('[bot]');
  return isPerson || allowBots.some((bot) => bot.toLowerCase() === login);
}

/** By the App that wrote it, or by the hidden marker that every text of ours carries. */
function isOurs(comment: Comment, { appId }: TriggerPolicy): boolean {
  return (appId !== null && comment.performed_via_github_app?.id === appId) || comment.body.includes('<!-- mayfly:');
}

/** What every event says of where it comes from. */
export function describe({ installation, repository, sender }: Origin, { deliveryId, receivedAt }: Delivery) {
  return {
    version: 2 as const,
    deliveryId,
    installationId: installation.id,
    repository: {
      id: repository.id,
      owner: repository.owner.login,
      name: repository.name,
      private: repository.private,
      defaultBranch: repository.default_branch,
    },
    actor: { id: sender.id, login: sender.login },
    receivedAt,
  };
}
