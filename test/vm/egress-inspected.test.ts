/** What a hostile program in a real guest tries in a tunnel: with its hello, with requests that hide others, with a registry. */
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { expect, test, vi } from 'vitest';
import type { GatewayOptions } from '../../src/gateway/gateway.ts';
import { createTrust } from '../../src/gateway/trust.ts';
import { helloMessage, nameExtension, record } from '../support/gateway/client-hello.ts';
import { readHttp2Answer } from '../support/gateway/http2-frames.ts';
import { describeInOneGuest } from '../support/gateway/in-guests.ts';
import type { Inside } from '../support/gateway/inside.ts';
import { servePort443 } from '../support/gateway/port-443.ts';
import { secureName, serveSecureWeb } from '../support/gateway/secure-web.ts';
import { overHttp1, overHttp2 } from '../support/gateway/smuggling.ts';
import { stopClock, world } from '../support/gateway/world.ts';
import type { World } from '../support/gateway/world.ts';
import { servePlainRegistry, serveRegistry } from '../support/registry/registry.ts';
import { entryOf } from '../support/registry/tool.ts';

const connect = (authority: string): string => `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
const established = 'HTTP/1.1 200 Connection established\r\n\r\n';
/** `access_denied`: what a TLS client understands. */
const alert = '\u0015\u0003\u0003\u0000\u0002\u0002\u0031';

/** Sends each line (protocol, then bytes in base64) in a TLS connection of its own through a tunnel, and prints what came back. */
const secureScript = `
import base64, concurrent.futures, os, socket, ssl, sys
place = sys.argv[1]
contexts = {}
for protocol in ["h2", "http/1.1"]:
    contexts[protocol] = ssl.create_default_context(cafile=os.environ["NODE_EXTRA_CA_CERTS"])
    contexts[protocol].set_alpn_protocols([protocol])
def say(line):
    protocol, text = line.split()
    answer = b""
    with socket.create_connection(("127.0.0.1", 3128), 90) as plain:
        plain.sendall(f"CONNECT {place} HTTP/1.1\\r\\nHost: {place}\\r\\n\\r\\n".encode())
        while not answer.endswith(b"\\r\\n\\r\\n"):
            answer += plain.recv(1)
        answer = b""
        with contexts[protocol].wrap_socket(plain, server_hostname=place.split(":")[0]) as secure:
            secure.sendall(base64.b64decode(text))
            try:
                while chunk := secure.recv(65536):
                    answer += chunk
            except OSError:
                pass
    return base64.b64encode(answer).decode()
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print("\\n".join(pool.map(say, sys.stdin.read().splitlines())))
`;

describeInOneGuest('tunnels of', 'with something to hide', (guest) => {
  const enter = async (allow: readonly string[], options: Partial<GatewayOptions> = {}): Promise<Inside & { gate: World }> => {
    const gate = await world(allow, options);
    return { ...(await guest.doorway.use(gate)), gate };
  };

  test.for([
    ['a tunnel', secureName],
    ['a tunnel that ends at the gateway', `GET ${secureName}/*`],
  ] as const)('says hello in %s as it should, or is refused', async ([, rule]) => {
    const hello = (...names: readonly string[]): string => record(helloMessage(names.length > 0 ? [nameExtension(...names)] : [])).toString('latin1');
    const hellos = [
      ['another name', hello('evil.example'), alert, 'another TLS server name'],
      ['no name', hello(), alert, 'no TLS server name'],
      ['two names', hello(secureName, 'evil.example'), alert, 'not TLS'],
      ['two lists of names', record(helloMessage([nameExtension(secureName), nameExtension('evil.example')])).toString('latin1'), alert, 'not TLS'],
      ['a NUL in the name', hello(`evil.example\0.${secureName}`), alert, 'another TLS server name'],
      ['an address', hello('127.0.0.1'), alert, 'another TLS server name'],
      ['no TLS', `GET / HTTP/1.1\r\nHost: ${secureName}\r\n\r\n`, alert, 'not TLS'],
      ['SSH', 'SSH-2.0-guest\r\n', alert, 'not TLS'],
      ['half a hello', hello(secureName).slice(0, 40), '', 'no TLS hello in time'],
    ] as const;
    const host = await servePort443();
    stopClock();
    const { say, run, gate } = await enter([rule], { ...host.options, limits: { headerTimeoutMs: 60_000 } });

    const saying = say(hellos.map(([, bytes]) => [connect(`${secureName}:443`), bytes]));
    await expect.poll(() => gate.gateway.ledger.length, { timeout: 50_000 }).toBe(hellos.length);
    // A full turn of the guest: half a hello is under way by then.
    await run(['true']);
    vi.advanceTimersByTime(60_000);
    const answers = await saying;

    const seen = hellos.map(([what], index) => {
      const { decision, rule: why, bytesOut } = gate.gateway.ledger[index] ?? {};
      return [what, answers[index]?.replace(established, ''), decision, why, bytesOut];
    });
    expect(seen).toEqual(hellos.map(([what, , answer, why]) => [what, answer, 'refused', why, 0]));
    expect(gate.gateway.ledger).toHaveLength(hellos.length);
    expect(host.seen).toEqual([]);
  });

  test('cannot hide a request in another one', async () => {
    const whole: { request: string; headers: IncomingHttpHeaders }[] = [];
    const web = await serveSecureWeb((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      // What breaks off is no request.
      request.once('end', () => {
        whole.push({ request: `${request.method} ${request.url} ${body}`.trim(), headers: request.headers });
        response.end('hello');
      });
    });
    const { env, gate } = await enter([`GET ${web.place}/*`, `POST ${web.place}/post`], { trust: web.trust });
    const attempts = [...overHttp1(web.place), ...overHttp2(web.place)];
    const protocolOf = (what: string): string => (what.startsWith('HTTP/2') ? 'h2' : 'http/1.1');
    const stdin = attempts.map(([what, bytes]) => `${protocolOf(what)} ${bytes.toString('base64')}\n`).join('');

    const { stdout, stderr } = await guest.sandbox.exec(['python3', '-c', secureScript, web.place], { stdin, env, timeoutMs: 100_000 });

    expect(stderr).toBe('');
    const answers = stdout.trimEnd().split('\n');
    const seen = attempts.map(([what], index) => [what, fateOf(protocolOf(what), Buffer.from(answers[index] ?? '', 'base64'))]);
    expect(seen).toEqual(attempts.map(([what, , fate]) => [what, fate]));
    expect(gate.gateway.ledger.filter(({ path }) => path?.includes('hidden'))).toEqual([]);
    const cleaned = attempts.filter(([, , fate]) => fate === 'cleaned');
    expect(whole.map(({ request }) => request)).toEqual(cleaned.map(() => 'GET /a'));
    const names = new Set(whole.flatMap(({ headers }) => Object.keys(headers)));
    expect([...names].toSorted()).toEqual(['connection', 'host']);
  });

  test.for([
    ['http', servePlainRegistry],
    ['https', serveRegistry],
  ] as const)('can only read a registry after setup, in nobody’s name, over %s', async ([, serve]) => {
    const registry = await serve();
    const entry = entryOf(registry);
    const trust = createTrust(registry.caFile === null ? '' : readFileSync(registry.caFile, 'utf8'));
    const gate = await world([entry], { trust, registries: [{ kind: 'npm', host: entry, basePath: '/npm/' }] });
    const { run } = await guest.doorway.use(gate, `${registry.url}/npm/`);
    const letter = `{"name":"letter","version":"1.0.0"}`;
    const write = `mkdir -p app && cd app && echo '${letter}' > package.json && echo '//${entry}/npm/:_authToken=mine' > .npmrc`;
    const publish = ['bash', '-c', `${write} && npm --fetch-retries=0 publish`];
    const seen = (): unknown[] => registry.seen.splice(0).map(({ method, url, headers }) => [method, url, headers.authorization]);

    // Through the tunnel of setup the registry shows a certificate that the guest does not know here.
    await run(publish, { npm_config_strict_ssl: 'false' });
    const before = seen();
    gate.gateway.enter('agent', [entry]);
    const published = await run(publish);
    const asked = await run(['curl', '-sS', '-H', 'Authorization: Bearer mine', '-H', 'Cookie: a=b', `${registry.url}/npm/tiny`]);

    expect(before).toContainEqual(['PUT', '/npm/letter', 'Bearer mine']);
    expect(published).toMatchObject({ exitCode: 1, output: expect.stringContaining('PUT to registry.test.example is not allowed in this phase (agent).') });
    expect(asked.output).toContain('"name":"tiny"');
    // npm looks for the package before it sends it.
    expect(new Set(seen().map(String))).toEqual(new Set(['GET,/npm/letter,', 'GET,/npm/tiny,']));
    expect(gate.gateway.ledger).toContainEqual(expect.objectContaining({ method: 'PUT', path: '/npm/letter', decision: 'refused', rule: 'method PUT' }));
  });
});

/** What the guest can tell: one refusal, one answer of the host, or whatever else. */
function fateOf(protocol: string, answer: Buffer): string {
  const said = protocol === 'h2' ? readHttp2Answer(answer) : answer.toString('latin1');
  if (protocol === 'h2') return /^(?:mayfly: |reset |connection error |no answer)/.test(said) ? 'refused' : said.replace(/^hello$/, 'cleaned');
  const statuses = said.match(/HTTP\/1\.1 \d{3} /g) ?? [];
  if (statuses.length !== 1) return said;
  return said.startsWith('HTTP/1.1 4') ? 'refused' : said.replace(/^HTTP\/1\.1 200 [^]*\r\n\r\nhello$/, 'cleaned');
}
