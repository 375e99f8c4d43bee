/** A second model for when the first one does not answer. */
import { asFixError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Model } from './model.ts';

/** What another model may help with. Not a key that is not taken, nor a request that is refused: those need a person. */
const helpable: ReadonlySet<ErrorCode> = new Set(['model_unavailable', 'model_busy', 'model_reply_endless']);

/** For one run: once the first model has failed after all of its tries, the second one gives every later reply, too. */
export function withFallback(first: Model, second: Model, log: Log): Model {
  let away = false;
  return {
    name: first.name,
    priceSource: first.priceSource,
    fallback: second,
    cost: (usage) => first.cost(usage),
    async ask(question) {
      if (!away) {
        try {
          return await first.ask(question);
        } catch (thrown) {
          const error = asFixError(thrown);
          if (question.signal.aborted || !helpable.has(error.code)) throw thrown;
          log.warn({ err: error, details: error.details, model: first.name, fallback: second.name }, 'model is away; the fallback goes on');
          away = true;
        }
      }
      const { onLost } = question;
      const reply = await second.ask({ ...question, ...(onLost && { onLost: (lost) => onLost({ ...lost, by: second }) }) });
      return { ...reply, by: second };
    },
  };
}
