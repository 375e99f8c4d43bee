/** The archives that registries hand out, made on the fly: tar through the host's tar, zip by hand. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';

export type Files = Readonly<Record<string, string>>;

/** Runs `work` in a folder that holds these files and is gone afterwards. */
export function withFiles<T>(files: Files, work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-archive-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      writeFileSync(join(folder, path), text, { mode: 0o755 });
    }
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function tarGz(files: Files): Buffer {
  return withFiles(files, (folder) => execFileSync('tar', ['-czf', '-', ...Object.keys(files)], { cwd: folder }));
}

/** Without compression: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT */
export function zip(files: Files): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [path, text] of Object.entries(files)) {
    const [name, content] = [Buffer.from(path), Buffer.from(text)];
    const head = describe(name, content);
    parts.push(Buffer.from('PK\u0003\u0004'), head, name, content);
    directory.push(Buffer.from('PK\u0001\u0002\u0014\u0000'), head, words(2, 0, 0, 0), words(4, 0, offset), name);
    offset += 4 + head.length + name.length + content.length;
  }
  const central = Buffer.concat(directory);
  const count = Object.keys(files).length;
  return Buffer.concat([...parts, central, Buffer.from('PK\u0005\u0006'), words(2, 0, 0, count, count), words(4, central.length, offset), words(2, 0)]);
}

/** Version, flags, method, time, date, checksum, sizes, length of the name and of what follows it. */
function describe(name: Buffer, content: Buffer): Buffer {
  const firstDay = 0x21;
  return Buffer.concat([words(2, 20, 0, 0, 0, firstDay), words(4, crc32(content), content.length, content.length), words(2, name.length, 0)]);
}

function words(width: 2 | 4, ...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(width * values.length);
  values.forEach((value, index) => bytes.writeUIntLE(value, index * width, width));
  return bytes;
}
