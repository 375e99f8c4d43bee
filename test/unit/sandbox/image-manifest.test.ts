import { describe, expect, it } from 'vitest';
import { FixError } from '../../../src/errors.ts';
import { choosePlatform, readConfig, readManifest } from '../../../src/sandbox/image-manifest.ts';
import { digestOf, index, layOut, tar } from '../../support/oci/layers.ts';

const layer = tar([{ name: 'file' }]);
const limits = { maxBlobBytes: 2 ** 20 };
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

function whyNot(read: () => unknown): unknown {
  try {
    read();
  } catch (error) {
    return error instanceof FixError && error.code === 'image_unsuitable' ? error.details['why'] : error;
  }
  return 'it is read';
}

describe('the manifest of an image', () => {
  it('says what has to be copied', () => {
    const image = layOut({ layers: [layer, layer] });
    const [config, packed] = [...image.blobs];

    expect(choosePlatform(image.manifest)).toBeNull();
    expect(readManifest(image.manifest, limits)).toMatchObject({
      configSha256: config?.[0].slice('sha256:'.length),
      layers: [
        { sha256: packed?.[0].slice('sha256:'.length), sizeBytes: packed?.[1].length, format: 'gzip' },
        { sha256: packed?.[0].slice('sha256:'.length), format: 'gzip' },
      ],
    });
  });

  it('is chosen for this kind of machine', () => {
    const image = layOut({ layers: [layer] });

    expect(
      choosePlatform(
        index([
          { image: layOut({ layers: [] }), architecture: 'arm64' },
          { image, architecture: 'amd64' },
        ]).manifest,
      ),
    ).toBe(digestOf(image.manifest).slice('sha256:'.length));
    expect(
      whyNot(() =>
        choosePlatform(
          index([
            { image, architecture: 'arm64' },
            { image, architecture: 's390x' },
          ]).manifest,
        ),
      ),
    ).toBe('it is not made for linux/amd64, only for linux/arm64, linux/s390x');
    expect(whyNot(() => choosePlatform(index([{ image, architecture: '`@everyone`' }]).manifest))).toBe('it is not made for linux/amd64');
  });

  it('is refused when it asks for too much, or is not understood', () => {
    const large = layOut({ layers: [layer], claimedBytes: 3 * 2 ** 20 });
    const empty = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${'0'.repeat(64)}`, size: 0 };

    expect(whyNot(() => readManifest(large.manifest, limits))).toBe('it has 3 MiB, and 1 MiB are allowed (MAYFLY_IMAGE_MAX_MIB)');
    expect(whyNot(() => readManifest(json({ config: empty, layers: Array.from({ length: 129 }, () => empty) }), limits))).toBe(
      'it has 129 layers, and 128 are allowed',
    );
    expect(whyNot(() => readManifest(json({ config: empty, layers: [{ ...empty, mediaType: 'text/plain' }] }), limits))).toBe(
      'one of its layers is of a kind that is not known',
    );
    expect(whyNot(() => readManifest(json({ config: { ...empty, size: 2 ** 30 }, layers: [] }), limits))).toBe('its configuration is too large');
    for (const bad of [
      { ...empty, size: -1 },
      { ...empty, size: 1.5 },
      { ...empty, digest: 'sha256:../../etc/passwd' },
      { ...empty, digest: 'md5:1' },
    ]) {
      expect(whyNot(() => readManifest(json({ config: empty, layers: [bad] }), limits))).toBe('its manifest is not understood');
    }
    for (const bad of [Buffer.from('{'), json(null), json([]), json({ schemaVersion: 1, fsLayers: [] })]) {
      expect(whyNot(() => readManifest(bad, limits))).toBe('its manifest is not understood');
    }
  });

  it('is refused when it says where else its parts are, in whatever way skopeo would read that', () => {
    const part = '"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:DIGEST","size":0'.replace('DIGEST', '0'.repeat(64));
    const whyNotText = (config: string, layers: string): unknown =>
      whyNot(() => readManifest(Buffer.from(`{"config":{${config}},"layers":[{${layers}}],"annotations":{"about":"\\"urls\\": urls"}}`), limits));

    expect(whyNotText(part, part)).toBe('it is read');
    for (const key of ['urls', 'URLs', 'url\\u0073', 'url\u017f']) {
      const elsewhere = `"${key}" : ["http://10.0.0.5/"]`;
      const why = 'its manifest names addresses (urls) that parts of it are to be fetched from';
      expect(whyNotText(`${part},${elsewhere}`, part)).toBe(why);
      expect(whyNotText(part, `${elsewhere},${part}`)).toBe(why);
      expect(whyNotText(`${elsewhere}},"config":{${part}`, part)).toBe(why);
    }
  });
});

describe('the configuration of an image', () => {
  it('gives its environment, without what is the agent’s own', () => {
    const Env = ['PATH=/go/bin:/bin', 'EMPTY=', 'EQUALS=a=b', 'LINES=a\nb', 'HOME=/x', 'SHELL=/x', 'no name', '=x', 'A B=c'];

    expect(readConfig(json({ os: 'linux', architecture: 'amd64', config: { Env } }))).toEqual({
      PATH: '/go/bin:/bin',
      EMPTY: '',
      EQUALS: 'a=b',
      LINES: 'a\nb',
    });
    expect(readConfig(json({ os: 'linux', architecture: 'amd64' }))).toEqual({});
  });

  it('is refused for another machine', () => {
    expect(whyNot(() => readConfig(json({ os: 'linux', architecture: 'arm64' })))).toBe('it is not made for linux/amd64, but for linux/arm64');
    expect(whyNot(() => readConfig(json({ os: 'windows', architecture: 'amd64' })))).toBe('it is not made for linux/amd64, but for windows/amd64');
    expect(whyNot(() => readConfig(json({ os: 'linux', architecture: '*evil*' })))).toBe('it is not made for linux/amd64');
    expect(whyNot(() => readConfig(json({})))).toBe('its configuration is not understood');
  });
});
