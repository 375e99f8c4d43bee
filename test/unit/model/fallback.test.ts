import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { FixError } from '../../../src/errors.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import { createModels } from '../../../src/model/create-models.ts';
import { withFallback } from '../../../src/model/fallback.ts';
import type { Model, Question } from '../../../src/model/model.ts';
import { createScriptedModel } from '../../support/scripted-model.ts';
import type { PlannedReply, ScriptedModel } from '../../support/scripted-model.ts';

const log = pino({ level: 'silent' });
const failing = (code: ErrorCode) => (): never => {
  throw new FixError(code);
};
const scripted = (name: string, ...replies: readonly PlannedReply[]): ScriptedModel => createScriptedModel(replies, { name });
const aQuestion = (more: Partial<Question> = {}): Question => ({
  system: '',
  messages: [],
  tools: [],
  maxOutputTokens: 1,
  signal: new AbortController().signal,
  ...more,
});

describe('a fallback', () => {
  it.each(['model_unavailable', 'model_busy', 'model_reply_endless'] as const)('goes on after %s, for the rest of the run', async (code) => {
    const first = scripted('a/first', { text: 'one' }, failing(code));
    const second = scripted('b/second', { text: 'two' }, { text: 'three' });
    const model = withFallback(first, second, log);

    const replies = [await model.ask(aQuestion()), await model.ask(aQuestion()), await model.ask(aQuestion())];

    expect(replies.map(({ text, by }) => [text, by?.name])).toEqual([
      ['one', undefined],
      ['two', 'b/second'],
      ['three', 'b/second'],
    ]);
    expect(first.questions).toHaveLength(2);
  });

  it.each(['model_credentials', 'model_refused', 'cancelled', 'internal'] as const)('is not asked after %s', async (code) => {
    const second = scripted('b/second', { text: 'two' });

    await expect(withFallback(scripted('a/first', failing(code)), second, log).ask(aQuestion())).rejects.toMatchObject({ code });

    expect(second.questions).toHaveLength(0);
  });

  it('is not asked when the run was stopped', async () => {
    const stop = new AbortController();
    const first = scripted('a/first', () => {
      stop.abort();
      throw new FixError('model_unavailable');
    });

    await expect(withFallback(first, scripted('b/second'), log).ask(aQuestion({ signal: stop.signal }))).rejects.toMatchObject({ code: 'model_unavailable' });
  });

  it('fails as it fails itself', async () => {
    const model = withFallback(scripted('a/first', failing('model_busy')), scripted('b/second', failing('model_credentials')), log);

    await expect(model.ask(aQuestion())).rejects.toMatchObject({ code: 'model_credentials' });
  });

  it('is known beforehand, so that the history fits both', () => {
    expect(withFallback(scripted('a/first'), scripted('b/second'), log).fallback?.name).toBe('b/second');
  });

  it('is named for what it lost', async () => {
    const lost: unknown[] = [];
    const usage = { inputTokens: 1, outputTokens: 1, cachedInputTokens: 0 };
    const second = scripted('b/second', ({ onLost }) => (onLost?.({ usage }), { text: 'two' }));

    await withFallback(scripted('a/first', failing('model_busy')), second, log).ask(aQuestion({ onLost: ({ by }) => lost.push(by?.name) }));

    expect(lost).toEqual(['b/second']);
  });
});

describe('the models of an operator', () => {
  const create = (name: string): Model => scripted(name, failing('model_busy'), failing('model_busy'));

  it('are those on the list and no other; the first one is the choice', () => {
    const models = createModels({ names: ['a/x', 'a/x', 'b/y'], fallback: 'c/z', create, log });

    expect(models.names).toEqual(['a/x', 'b/y']);
    expect([models.open(null)?.name, models.open('b/y')?.name, models.open('c/z'), models.open('toString')]).toEqual(['a/x', 'b/y', null, null]);
  });

  it('have no fallback to themselves', async () => {
    const model = createModels({ names: ['a/x'], fallback: 'a/x', create, log }).open(null);

    await expect(model?.ask(aQuestion())).rejects.toMatchObject({ code: 'model_busy' });
    await expect(model?.ask(aQuestion())).rejects.toMatchObject({ code: 'model_busy' });
  });

  it('begin each run with the choice again', async () => {
    const first = scripted('a/x', failing('model_busy'), { text: 'back' });
    const second = scripted('b/y', { text: 'instead' });
    const models = createModels({ names: ['a/x'], fallback: 'b/y', create: (name) => (name === 'a/x' ? first : second), log });

    expect((await models.open(null)?.ask(aQuestion()))?.text).toBe('instead');
    expect((await models.open(null)?.ask(aQuestion()))?.text).toBe('back');
  });

  it('are all looked at in the beginning', () => {
    const seen: string[] = [];
    createModels({ names: ['a/x', 'b/y'], fallback: 'c/z', create: (name) => (seen.push(name), create(name)), log });

    expect(seen).toEqual(['a/x', 'b/y', 'c/z']);
  });
});
