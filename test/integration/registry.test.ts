/** A real skopeo against a registry on loopback: what is found and copied, and what of a registry that lies. */
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FixError } from '../../src/errors.ts';
import { copyLayers, findInRegistry, planImage, skopeoProgram } from '../../src/sandbox/registry.ts';
import type { ImageSource, PlannedImage, RegistryOptions } from '../../src/sandbox/registry.ts';
import { isSkipped } from '../support/guest.ts';
import { startImageRegistry } from '../support/oci/image-registry.ts';
import type { ImageRegistry } from '../support/oci/image-registry.ts';
import { digestOf, index, layOut, tar } from '../support/oci/layers.ts';

const lacking = (await execa(skopeoProgram, ['--version'], { reject: false })).failed ? 'skopeo is not installed' : null;
const limits = { maxBlobBytes: 2 ** 20, maxUnpackedBytes: 2 ** 20, maxFiles: 100 };
const layer = tar([{ name: 'file', content: 'content' }]);

describe.skipIf(isSkipped('images of a registry', lacking))('an image in a registry', () => {
  let signal: AbortSignal;
  let stack: AsyncDisposableStack;
  let folder: string;
  let registry: ImageRegistry;
  beforeEach(async (context) => {
    ({ signal } = context);
    stack = new AsyncDisposableStack();
    folder = await mkdtemp(join(tmpdir(), 'mayfly-registry-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    registry = stack.use(await startImageRegistry());
  });
  afterEach(() => stack.disposeAsync());

  const options = (changes: Partial<RegistryOptions> = {}): RegistryOptions => ({ credentials: [], environment: { PATH: '/usr/bin:/bin' }, ...changes });
  const named = (version = '1', of = registry): ImageSource => ({ repository: `${of.address}/acme/tools`, version, isPlain: true });
  const plan = async (source = named(), changes: Partial<RegistryOptions> = {}): Promise<PlannedImage> =>
    await planImage(await findInRegistry(source, options(changes), signal), limits, options(changes), signal);

  async function whyNot(work: Promise<unknown>): Promise<unknown> {
    const error = await work.then(
      () => 'it worked',
      (thrown: unknown) => thrown,
    );
    return error instanceof FixError && error.code === 'image_unsuitable' ? error.details['why'] : error;
  }

  it('is planned without its layers, and copied as it was planned', async () => {
    const image = layOut({ layers: [layer, layer], environment: ['A=b'] });
    registry.push(
      'acme/tools',
      '1',
      index([
        { image: layOut({ layers: [] }), architecture: 'arm64' },
        { image, architecture: 'amd64' },
      ]),
      image,
    );

    const planned = await plan();
    const [, packed] = [...image.blobs.keys()];
    expect(planned).toMatchObject({ sha256: digestOf(image.manifest).slice(7), environment: { A: 'b' } });
    expect(registry.requests.some((line) => line.endsWith(packed ?? ''))).toBe(false);

    const files = await copyLayers({ source: named(), image: planned, folder }, options(), signal);
    expect(files).toHaveLength(2);
    for (const file of files) expect(digestOf(await readFile(file))).toBe(packed);
  });

  it('is what its digest says, also when its tag has moved on', async () => {
    const [old, fresh] = [layOut({ layers: [layer] }), layOut({ layers: [] })];
    registry.push('acme/tools', '1', fresh, old);

    expect((await plan(named(digestOf(old.manifest)))).layers).toHaveLength(1);
    expect((await plan()).layers).toHaveLength(0);
    registry.replace(digestOf(old.manifest), fresh.manifest);
    expect(await whyNot(plan(named(digestOf(old.manifest))))).toBe('the registry gave another one than its digest says');
  });

  it('is refused when there is none, or it is for another machine, or too large', async () => {
    const image = layOut({ layers: [layer] });
    expect(await whyNot(plan())).toBe('the registry has no such image, or does not give it to this host');
    registry.push('acme/tools', '1', index([{ image, architecture: 'arm64' }]), image);
    expect(await whyNot(plan())).toBe('it is not made for linux/amd64, only for linux/arm64');
    registry.push('acme/tools', '1', layOut({ layers: [layer], architecture: 'arm64' }));
    expect(await whyNot(plan())).toBe('it is not made for linux/amd64, but for linux/arm64');
    registry.push('acme/tools', '1', layOut({ layers: [layer], claimedBytes: 2 ** 30 }));
    expect(await whyNot(plan())).toBe('it has 1,024 MiB, and 1 MiB are allowed (MAYFLY_IMAGE_MAX_MIB)');
  });

  it('cannot fill the disk with more than it said', async () => {
    const image = layOut({ layers: [layer], claimedBytes: 6 * 2 ** 10 });
    registry.push('acme/tools', '1', image);
    const [, packed = ''] = [...image.blobs.keys()];
    registry.replace(packed, 'endless');

    const planned = await plan();
    expect(await whyNot(copyLayers({ source: named(), image: planned, folder }, options(), signal))).toMatch(/^the registry (?:sends more|gave other layers)/);
    const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size));
    expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(4 * 2 ** 20);
  });

  it('is refused when its layers are others than it said, and so is its configuration', async () => {
    const image = layOut({ layers: [layer] });
    registry.push('acme/tools', '1', image);
    const planned = await plan();
    const [config = '', packed = ''] = [...image.blobs.keys()];

    registry.replace(packed, Buffer.from('other'));
    await expect(copyLayers({ source: named(), image: planned, folder }, options(), signal)).rejects.toBeInstanceOf(FixError);
    registry.replace(config, Buffer.from('{}'));
    await expect(plan()).rejects.toBeInstanceOf(FixError);
  });

  it('is given to who has credentials of the operator for it, and to nobody else', async () => {
    const secret = 'a-password-of-the-registry';
    const closed = stack.use(await startImageRegistry({ credentials: `mayfly:${secret}` }));
    closed.push('acme/tools', '1', layOut({ layers: [layer] }));
    const credentials = [{ registry: closed.address, auth: Buffer.from(`mayfly:${secret}`).toString('base64'), repositories: ['acme/shop'] }];
    const elsewhere = [{ ...credentials[0], registry: 'registry.test' }] as typeof credentials;

    expect(await whyNot(plan(named('1', closed)))).toBe('the registry has no such image, or does not give it to this host');
    expect(await whyNot(plan(named('1', closed), { credentials: elsewhere }))).toBe('the registry has no such image, or does not give it to this host');
    const image = await plan(named('1', closed), { credentials });
    expect(image.layers).toHaveLength(1);
    expect(await copyLayers({ source: named('1', closed), image, folder }, options({ credentials }), signal)).toHaveLength(1);
  });

  it('that nobody gives out is asked for again later; a cancelled run asks nobody', async () => {
    const source = named();
    await registry[Symbol.asyncDispose]();

    await expect(findInRegistry(source, options(), signal)).rejects.toMatchObject({ code: 'image_unavailable' });
    await expect(findInRegistry(source, options(), AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
  });
});
