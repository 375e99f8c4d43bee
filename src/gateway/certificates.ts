/** Certificates that this host trusts beside the usual ones. Only certificates are ever taken out of a file, never its other blocks. */
import { X509Certificate } from 'node:crypto';
import { open, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';

export interface FoundCertificates {
  /** PEM, one block after the other, each once; empty when there are none. */
  readonly pem: string;
  /** Files that could not be read, each with the reason. */
  readonly skipped: readonly string[];
}

const maxFileBytes = 2 ** 20;
const maxFiles = 200;
const maxPemBytes = 256 * 1024;
const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Reads `.crt` files below the folders, and the files named. What every guest trusts anyway is left out. */
export async function findCertificates(folders: readonly string[], files: readonly string[]): Promise<FoundCertificates> {
  const skipped: string[] = [];
  const paths = [...new Set([...(await Promise.all(folders.map(listFolder))).flat(), ...files])];
  const texts: string[] = [];
  for (const path of paths.slice(0, maxFiles)) {
    const text = await readBounded(path).catch((error: unknown) => String(error));
    if (typeof text === 'object') texts.push(text.text);
    else skipped.push(`${path}: ${text}`);
  }
  const certificates = texts.flatMap(readCertificates);
  const usual = certificates.length > 0 ? await usualCertificates() : [];
  return { pem: joinBounded(dropSeen(certificates, usual), skipped), skipped };
}

/** The certificates in a text: what is not one, or is over, is passed by. */
export function readCertificates(text: string): X509Certificate[] {
  return [...text.matchAll(certificateBlock)].flatMap(([block]) => {
    try {
      const certificate = new X509Certificate(block);
      return certificate.validToDate.getTime() > Date.now() ? [certificate] : [];
    } catch {
      return [];
    }
  });
}

/** What every guest trusts: Mozilla's list as Node has it, and as Debian's package has it (another version, other leftovers). */
async function usualCertificates(): Promise<X509Certificate[]> {
  const texts = (await listFolder('/usr/share/ca-certificates/mozilla')).map((path) => readFile(path, 'latin1').catch(() => ''));
  return [...rootCertificates, ...(await Promise.all(texts))].flatMap(readCertificates);
}

function dropSeen(certificates: readonly X509Certificate[], usual: readonly X509Certificate[]): X509Certificate[] {
  const seen = new Set(usual.map(({ fingerprint256 }) => fingerprint256));
  return certificates.filter(({ fingerprint256 }) => !seen.has(fingerprint256) && seen.add(fingerprint256));
}

/** Written anew from the parsed certificate, so that nothing which stood beside it comes along. */
function joinBounded(certificates: readonly X509Certificate[], skipped: string[]): string {
  let pem = '';
  for (const certificate of certificates) {
    const block = `${certificate.toString().trim()}\n`;
    if (pem.length + block.length > maxPemBytes) skipped.push(`certificate ${certificate.fingerprint256}: more than ${maxPemBytes} bytes in all`);
    else pem += block;
  }
  return pem;
}

async function listFolder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => (entry.name.endsWith('.crt') && !entry.isDirectory() ? [join(entry.parentPath, entry.name)] : [])).toSorted();
}

async function readBounded(path: string): Promise<{ text: string } | string> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  if (size > maxFileBytes) return `larger than ${maxFileBytes} bytes`;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxFileBytes), 0, maxFileBytes, 0);
  return { text: buffer.toString('latin1', 0, bytesRead) };
}
