/** What of the configuration is in files, or made of the environment. Never throws: what is wrong with a file is said beside all that is wrong elsewhere. */
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';

const maxOwnFileBytes = 1024 * 1024;

/** A user that a container or systemd made up for a process has none, and Node throws then. */
export function homeDirectory(): string {
  try {
    return homedir();
  } catch {
    return '/nonexistent';
  }
}

/** The key itself, or the file that holds it. */
export function readPrivateKey(key: string | null, path: string | null): { readonly key: string | null; readonly problem?: string } {
  // Environment files cannot hold line breaks, so PEM often comes with literal \n.
  if (key !== null) return { key: key.replaceAll('\\n', '\n') };
  if (path === null) return { key: null };
  try {
    return { key: readFileSync(path, 'utf8') };
  } catch {
    return { key: null, problem: 'PRIVATE_KEY_PATH names a file that cannot be read' };
  }
}

interface OwnFiles {
  readonly credentialsJson: string | null;
  readonly imageAuthJson: string | null;
}

interface OwnFilePaths {
  readonly MAYFLY_CREDENTIALS_FILE?: string | null;
  readonly MAYFLY_IMAGE_AUTH_FILE?: string | null;
}

/** Files that only their owner can read; null is none. */
export function readOwnFiles(paths: OwnFilePaths): { readonly texts: OwnFiles; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const read = (name: keyof OwnFilePaths): string | null => {
    const { text, problem } = readOwnFile(paths[name] ?? null);
    if (problem !== null) problems.push(`${name}: ${problem}`);
    return text;
  };
  return { texts: { credentialsJson: read('MAYFLY_CREDENTIALS_FILE'), imageAuthJson: read('MAYFLY_IMAGE_AUTH_FILE') }, problems };
}

/** What git on the host may see of the environment. */
export function gitEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const names = ['PATH', 'HOME', 'GIT_SSL_CAINFO', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'];
  return Object.fromEntries(names.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])));
}

function readOwnFile(path: string | null): { readonly text: string | null; readonly problem: string | null } {
  if (path === null) return { text: null, problem: null };
  try {
    const { mode, size } = statSync(path);
    if ((mode & 0o077) !== 0) return { text: null, problem: 'others than its owner can read it; give it the mode 0600' };
    if (size > maxOwnFileBytes) return { text: null, problem: `it is larger than ${maxOwnFileBytes} bytes` };
    return { text: readFileSync(path, 'utf8'), problem: null };
  } catch {
    return { text: null, problem: 'it cannot be read' };
  }
}
