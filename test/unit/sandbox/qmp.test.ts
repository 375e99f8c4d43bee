import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { openQmp } from '../../../src/sandbox/qmp.ts';

interface Asked {
  readonly execute: string;
  readonly id: number;
}

/** A QEMU that greets, and answers each command by this function. */
function qemu(answer: (asked: Asked, say: (message: unknown) => void) => void): Duplex {
  const stream: Duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString().split('\n').filter(Boolean)) {
        const asked: Asked = JSON.parse(line);
        if (asked.execute === 'qmp_capabilities') say({ return: {}, id: asked.id });
        else answer(asked, say);
      }
      done();
    },
  });
  const say = (message: unknown): void => void stream.push(`${JSON.stringify(message)}\r\n`);
  say({ QMP: { version: {}, capabilities: [] } });
  return stream;
}

test('answers come to who asked, in whatever order', async () => {
  const held: Asked[] = [];
  const qmp = await openQmp(
    qemu((asked, say) => {
      held.push(asked);
      if (held.length === 2) for (const { execute, id } of held.toReversed()) say({ return: execute, id });
    }),
  );
  expect(await Promise.all([qmp.execute('stop'), qmp.execute('cont')])).toEqual(['stop', 'cont']);
});

test('an error of QEMU is one of the command', async () => {
  const qmp = await openQmp(qemu(({ id }, say) => say({ error: { class: 'GenericError', desc: 'no' }, id })));
  await expect(qmp.execute('stop')).rejects.toMatchObject({ code: 'sandbox_boot', details: { command: 'stop' } });
});

test('a migration ends with its event, well or not, also when the event comes first', async () => {
  for (const [status, ending] of [
    ['completed', 'resolves'],
    ['failed', 'rejects'],
  ] as const) {
    const qmp = await openQmp(
      qemu(({ id }, say) => {
        say({ event: 'MIGRATION', data: { status: 'active' }, timestamp: {} });
        say({ event: 'MIGRATION', data: { status }, timestamp: {} });
        say({ return: {}, id });
      }),
    );
    const migrated = qmp
      .migrated(() => qmp.execute('migrate'))
      .then(
        () => 'resolves',
        () => 'rejects',
      );
    expect(await migrated).toBe(ending);
  }
});

test('everything that waits fails when QEMU goes away, and what is asked later too', async () => {
  const stream = qemu(() => {});
  const qmp = await openQmp(stream);
  const waiting = [qmp.execute('stop'), qmp.migrated(() => qmp.execute('migrate'))];
  stream.destroy();
  for (const each of waiting) await expect(each).rejects.toMatchObject({ code: 'sandbox_boot' });
  await expect(qmp.execute('cont')).rejects.toMatchObject({ code: 'sandbox_boot' });
});

test.each([
  ['is not JSON', 'nonsense\n'],
  ['is no message', '{"a":1}\n'],
  ['never ends', 'x'.repeat((1 << 20) + 1)],
])('a line that %s ends the connection', async (_, line) => {
  const stream = qemu(() => {});
  const qmp = await openQmp(stream);
  const waiting = qmp.execute('stop');
  stream.push(line);
  await expect(waiting).rejects.toMatchObject({ code: 'sandbox_boot' });
  expect(stream.destroyed).toBe(true);
});
