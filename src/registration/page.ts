/** The pages of the registration: plain HTML and CSS, no script, everything of outside escaped. */
import { createHash } from 'node:crypto';
import type { CredentialFiles } from './credentials.ts';
import type { Manifest } from './manifest.ts';

export interface AskedFacts {
  readonly manifest: Manifest;
  /** Where the form goes to, with the state. */
  readonly action: string;
  /** github.com, or the host of a GitHub Enterprise Server. */
  readonly host: string;
  readonly organization: string | null;
  readonly files: CredentialFiles;
  readonly minutes: number;
}

/** What each permission is for; one that is missing here is shown without a reason, and a test names it. */
export const reasons: Readonly<Record<string, string>> = {
  contents: 'read the code; put a finished patch on a branch of its own',
  issues: 'read the issue and its label; answer in one comment',
  pull_requests: 'open a draft; read and answer comments on it',
  checks: 'show on the commit what the tests proved',
  actions: 'see whether workflows of the repository ran',
  metadata: 'what GitHub asks of every App',
};

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #f6f8fa; --card: #fff; --go: #1a7f37; --go-ink: #fff; --warn: #9a6700 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117; --card: #151b23; --go: #238636; --warn: #d29922 } }
* { box-sizing: border-box }
body { margin: 0; padding: 2rem 1rem 3rem; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
main { max-width: 40rem; margin: auto; padding: 1.5rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25 }
h2 { margin: 1.75rem 0 .5rem; font-size: 1rem }
p { margin: .5rem 0 }
small, .soft { color: var(--soft) }
dl { display: grid; grid-template-columns: 8rem 1fr; gap: .5rem 1rem; align-items: baseline; margin: .75rem 0 0 }
dt { color: var(--soft) }
dd { margin: 0 }
ul { margin: 0; padding: 0; list-style: none; border-top: 1px solid var(--line) }
li { display: grid; grid-template-columns: 8rem 3.5rem 1fr; gap: 0 1rem; align-items: baseline; padding: .5rem 0; border-bottom: 1px solid var(--line) }
code { font: .875em ui-monospace, monospace }
.write { font-weight: 600 }
.warn { padding-left: .75rem; border-left: 3px solid var(--warn) }
button, .button { display: block; width: 100%; margin: 1.75rem 0 .75rem; padding: .75rem; border: 0; border-radius: .5rem; background: var(--go); color: var(--go-ink); font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer }
button:focus-visible, a:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px }
@media (max-width: 34rem) { main { padding: 1.25rem } dl { grid-template-columns: 1fr; gap: 0 } dt:not(:first-of-type) { margin-top: .625rem } li { grid-template-columns: 1fr auto } li span:last-child { grid-column: 1 / -1 } }
`;

/** Nothing loads, nothing runs, nobody frames; forms go to one origin. */
export function contentSecurityPolicy(formOrigin: string): string {
  const hash = createHash('sha256').update(style).digest('base64');
  return `default-src 'none'; style-src 'sha256-${hash}'; form-action ${formOrigin}; base-uri 'none'; frame-ancestors 'none'`;
}

export function askPage({ manifest, action, host, organization, files, minutes }: AskedFacts): string {
  const owner = organization === null ? 'your own account' : `the organization ${organization}`;
  const permissions = Object.entries(manifest.default_permissions).map(
    ([name, level]) =>
      `<li><code>${escape(name)}</code><span${level === 'write' ? ' class="write"' : ''}>${escape(level)}</span><span class="soft">${escape(reasons[name] ?? '')}</span></li>`,
  );
  return document(
    'Register the GitHub App',
    `<p>Nothing has been sent yet. This is everything that Mayfly asks for. The App is made when you confirm at GitHub.</p>
<dl>
<dt>Name</dt><dd>${escape(manifest.name)}<br><small>You can change it on the next page. No two Apps share one.</small></dd>
<dt>Owner</dt><dd>${escape(owner)}, on ${escape(host)}<br><small>${manifest.public ? 'Everybody can install it.' : 'Only the owner can install it.'}</small></dd>
<dt>Webhook</dt><dd>${webhook(manifest.hook_attributes)}</dd>
<dt>Events</dt><dd>${manifest.default_events.map((event) => `<code>${escape(event)}</code>`).join(', ')}</dd>
</dl>
<h2>Permissions, in the repositories that you install it on</h2>
<ul>
${permissions.join('\n')}
</ul>
<h2>What stays on this machine</h2>
<dl>
<dt>Private key</dt><dd><code>${escape(files.keyFile)}</code></dd>
<dt>Settings</dt><dd><code>${escape(files.environmentFile)}</code><br><small>With the webhook secret. Only their owner can read the two files; no page and no log shows what is in them.</small></dd>
</dl>
<form method="post" action="${escape(action)}">
<input type="hidden" name="manifest" value="${escape(JSON.stringify(manifest))}">
<button>Continue to ${escape(host)}</button>
</form>
<p class="soft">Be signed in at ${escape(host)} in this browser first. This page works for ${minutes} minutes, and for one App.</p>`,
  );
}

function webhook({ url, active }: Manifest['hook_attributes']): string {
  if (active) return `<code>${escape(url)}</code><br><small>GitHub posts events there. The web role has to be reachable at it.</small>`;
  return '<div class="warn">Off.<br><small>GitHub needs an address to tell Mayfly about a label or a comment. Set it later in the settings of the App, or start again with <code>--webhook-url</code>.</small></div>';
}

export function donePage({ slug, installUrl }: { slug: string; installUrl: string }): string {
  return document(
    `${slug} is registered`,
    `<p>Its key and its secrets are on the machine where <code>mayfly setup github</code> ran. The terminal says what comes next.</p>
<a class="button" rel="noreferrer" href="${escape(installUrl)}">Install it on a repository</a>
<p class="soft">This page has done its work; you can close it.</p>`,
  );
}

/** For whatever does not go on. */
export function sorryPage(title: string, sentence: string): string {
  return document(title, `<p>${escape(sentence)}</p>`);
}

function document(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)} - Mayfly</title>
<style>${style}</style>
<main>
<h1>${escape(title)}</h1>
${body}
</main>
</html>
`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');
}
