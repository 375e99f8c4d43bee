import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTranscript } from '../../src/agent/transcript.ts';
import { createSecrets } from '../../src/log.ts';

describe('createTranscript', () => {
  let directory: string;
  beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'transcript-'))));
  afterEach(async () => await rm(directory, { recursive: true }));

  it('appends one line a record, in order, for its owner only', async () => {
    const file = join(directory, 'deep/er/run.jsonl');
    const transcript = await createTranscript(file, (text) => text);
    await transcript.write({ kind: 'a', text: 'two\nlines' });
    await transcript.write({ kind: 'b' });

    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { kind: 'a', text: 'two\nlines' },
      { kind: 'b', at: expect.stringMatching(/^\d{4}-.*Z$/) },
    ]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(dirname(file))).mode & 0o777).toBe(0o700);
  });

  it('goes on where an earlier one of the same run stopped', async () => {
    const file = join(directory, 'run.jsonl');
    await (await createTranscript(file, (text) => text)).write({ kind: 'first' });
    await (await createTranscript(file, (text) => text)).write({ kind: 'second' });

    expect((await readFile(file, 'utf8')).trimEnd().split('\n')).toHaveLength(2);
  });

  it('holds no secret', async () => {
    const secrets = createSecrets();
    secrets.protect('tok"en-0123456789');
    const transcript = await createTranscript(join(directory, 'run.jsonl'), secrets.scrub);
    await transcript.write({ kind: 'message', text: 'with tok"en-0123456789 inside' });

    expect(await readFile(transcript.file, 'utf8')).toContain('with [secret] inside');
  });
});
