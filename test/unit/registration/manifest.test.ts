import { describe, expect, it } from 'vitest';
import { createManifest, parseAppFile } from '../../../src/registration/manifest.ts';
import { askPage, reasons } from '../../../src/registration/page.ts';
import { readText } from '../../support/repository.ts';

const text = await readText('app.yml');
const app = parseAppFile(text);
const redirectUrl = 'http://127.0.0.1:4280/registered';

describe('the manifest', () => {
  it('is app.yml, with the webhook and the way back', () => {
    const manifest = createManifest(app, { name: 'Mine', webhookUrl: 'https://mayfly.example.com/hooks', redirectUrl });

    expect(manifest).toEqual({ ...app, name: 'Mine', hook_attributes: { url: 'https://mayfly.example.com/hooks', active: true }, redirect_url: redirectUrl });
  });

  it('has a webhook that is off when there is no address, because GitHub takes no events without one', () => {
    expect(createManifest(app, { name: 'Mine', webhookUrl: null, redirectUrl }).hook_attributes).toMatchObject({ active: false });
  });

  it('is refused with a key that we do not know', () => {
    expect(() => parseAppFile(`${text}\ndefault_permission: {}\n`)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });
});

describe('the page', () => {
  const facts = {
    manifest: createManifest(app, { name: '<b>"Mine\' & yours', webhookUrl: null, redirectUrl }),
    action: 'https://github.com/settings/apps/new?state=a&b',
    host: 'github.com',
    organization: 'acme',
    files: { keyFile: '/etc/mayfly/mayfly.pem', environmentFile: '/etc/mayfly/mayfly.env' },
    minutes: 10,
  };

  it('says what each permission of app.yml is for, and has no reason too many', () => {
    expect(Object.keys(reasons).toSorted()).toEqual(Object.keys(app.default_permissions).toSorted());
  });

  it('shows everything that is asked for', () => {
    const page = askPage(facts);

    for (const said of [...Object.keys(app.default_permissions), ...app.default_events, 'acme', facts.files.keyFile]) expect(page).toContain(said);
  });

  it('escapes what it is given, and holds no script', () => {
    const page = askPage(facts);

    expect(page).toContain('&lt;b&gt;&quot;Mine&#39; &amp; yours');
    expect(page).not.toMatch(/<b>|<script|\son\w+=/i);
  });
});
