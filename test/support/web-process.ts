/** The web role as a process of its own, so that its memory can be measured: `node web-process.ts REDIS_URL` prints its address. */
import { createLog, createSecrets } from '../../src/log.ts';
import { startWeb } from '../../src/web.ts';
import { webConfig } from './web-role.ts';

const [redisUrl = ''] = process.argv.slice(2);
const log = createLog({ level: 'silent', secrets: createSecrets(), format: 'json' });
const web = await startWeb(webConfig(redisUrl), { log, signal: new AbortController().signal });
console.log(web.url);
