/**
 * Renders what people see on GitHub in Chromium, with GitHub's own style, for docs/on-github.md: `npm run pictures`.
 * Needs `chromium`; with `pngquant` the files get small.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { marked } from 'marked';
import { pictures } from './states.ts';
import type { Picture } from './states.ts';

const target = new URL('../../docs/pictures/', import.meta.url).pathname;
const style = await readFile(createRequire(import.meta.url).resolve('github-markdown-css/github-markdown-light.css'), 'utf8');
const widths = { desktop: 860, phone: 390 };

/** GitHub's alerts are its own. */
const alerts = (html: string): string =>
  html.replace(/<blockquote>\s*<p>\[!(\w+)\]\s*(?:<br>)?/g, (_match, kind: string) => {
    const name = kind.toLowerCase();
    return `<blockquote class="markdown-alert markdown-alert-${name}"><p class="markdown-alert-title">${kind[0]}${name.slice(1)}</p><p>`;
  });

function pageOf({ markdown, title, unfolded }: Picture, width: number): string {
  const body = alerts(marked.parse(markdown, { gfm: true, async: false }));
  const opened = unfolded ? body.replaceAll('<details>', '<details open>') : body;
  const heading = title === undefined ? '' : `<h1 class="title">${marked.parseInline(title, { async: false })}</h1>`;
  const own = `body{margin:0;display:flow-root;background:#fff;width:${width}px;font-family:"Liberation Sans",sans-serif}
    .title{font:600 24px "Liberation Sans",sans-serif;margin:16px 16px 0}
    .card{margin:16px;border:1px solid #d1d9e0;border-radius:6px;overflow:hidden}
    .head{background:#f6f8fa;border-bottom:1px solid #d1d9e0;padding:8px 16px;font-size:14px;color:#59636e}
    .head b{color:#1f2328}.badge{border:1px solid #d1d9e0;border-radius:2em;padding:0 7px;font-size:12px}
    .markdown-body{padding:16px;font-family:"Liberation Sans",sans-serif;font-size:14px}
    .markdown-body li:has(>input){list-style:none;margin-left:-1.4em}.markdown-body input{margin-right:.4em}`;
  const head = '<div class="head"><b>mayfly</b> <span class="badge">bot</span> commented now</div>';
  return `<!doctype html><meta charset="utf-8"><style>${style}${own}</style>${heading}<div class="card">${head}<div class="markdown-body">${opened}</div></div>`;
}

interface Answer {
  readonly id?: number;
  readonly result?: { readonly data?: string; readonly result?: { readonly value?: number }; readonly sessionId?: string; readonly targetId?: string };
}

/** The part of Chromium's protocol that takes pictures: https://chromedevtools.github.io/devtools-protocol/ */
async function openChromium(folder: string) {
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ];
  const browser = spawn('chromium', [...flags, '--hide-scrollbars', `--user-data-dir=${folder}`, '--remote-debugging-port=0', 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let address = '';
  for await (const line of createInterface({ input: browser.stderr })) {
    address = /^DevTools listening on (ws:\S+)/.exec(line)?.[1] ?? '';
    if (address !== '') break;
  }
  browser.stderr.resume();
  const socket = new WebSocket(address);
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
  const waiting = new Map<number, (answer: Answer) => void>();
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data)) as Answer;
    if (answer.id !== undefined) waiting.get(answer.id)?.(answer);
  });
  let id = 0;
  const send = async (method: string, params: object = {}, sessionId?: string): Promise<NonNullable<Answer['result']>> => {
    const number = ++id;
    const answer = new Promise<Answer>((resolve) => waiting.set(number, resolve));
    socket.send(JSON.stringify({ id: number, method, params, ...(sessionId !== undefined && { sessionId }) }));
    return (await answer).result ?? {};
  };
  return { send, close: () => browser.kill() };
}

function makeSmall(file: string): void {
  try {
    execFileSync('pngquant', ['--force', '--output', file, '--speed', '1', '--strip', '64', file]);
  } catch {
    process.stderr.write(`${file} stays as large as it is: there is no pngquant\n`);
  }
}

const wanted = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'mayfly-pictures-'));
const { send, close } = await openChromium(folder);
const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
for (const picture of pictures.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  for (const [kind, width] of Object.entries(widths)) {
    const page = join(folder, 'page.html');
    await writeFile(page, pageOf(picture, width));
    await send('Emulation.setDeviceMetricsOverride', { width, height: 600, deviceScaleFactor: 1, mobile: false }, sessionId);
    await send('Page.navigate', { url: `file://${page}` }, sessionId);
    const look = {
      expression: 'new Promise(done => requestAnimationFrame(() => setTimeout(() => done(Math.ceil(document.body.getBoundingClientRect().height)), 50)))',
      awaitPromise: true,
    };
    const height = (await send('Runtime.evaluate', look, sessionId)).result?.value ?? 600;
    const clip = { x: 0, y: 0, width, height, scale: 1 };
    const { data = '' } = await send('Page.captureScreenshot', { format: 'png', clip, captureBeyondViewport: true }, sessionId);
    const file = join(target, `${picture.name}-${kind}.png`);
    await writeFile(file, Buffer.from(data, 'base64'));
    makeSmall(file);
    process.stdout.write(`${file} ${width}x${height}\n`);
  }
}
close();
await rm(folder, { recursive: true, force: true, maxRetries: 5 });
