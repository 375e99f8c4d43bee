import { describe, expect, test } from 'vitest';
import { backportsText, readSources } from '../../../src/setup/sources.ts';

const paragraphs = `Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
`;

describe('readSources', () => {
  test('finds the mirror and its key in paragraphs', () => {
    expect(readSources(['', paragraphs], 'bookworm')).toEqual({
      main: { uri: 'http://mirror.example/debian', signedBy: '/usr/share/keyrings/debian-archive-keyring.gpg' },
      hasBackports: false,
    });
  });

  test('finds the mirror and its key in one-line entries', () => {
    const text =
      '# old\ndeb-src http://src.example/debian bookworm main\ndeb [arch=amd64 signed-by=/etc/apt/keyrings/corp.gpg] https://corp.example/debian bookworm main contrib\n';

    expect(readSources([text], 'bookworm').main).toEqual({ uri: 'https://corp.example/debian', signedBy: '/etc/apt/keyrings/corp.gpg' });
  });

  test('sees backports wherever they are', () => {
    expect(readSources([paragraphs, 'deb http://deb.debian.org/debian bookworm-backports main'], 'bookworm').hasBackports).toBe(true);
  });

  test('does not count what is switched off, commented out, or of another component', () => {
    const texts = [
      'Types: deb\nEnabled: no\nURIs: http://a.example\nSuites: bookworm-backports\nComponents: main\n',
      '#deb http://b.example bookworm-backports main',
      'deb http://c.example bookworm-backports contrib',
    ];

    expect(readSources(texts, 'bookworm')).toEqual({ main: null, hasBackports: false });
  });

  test('carries a key block over as it is', () => {
    const block = 'Types: deb\nURIs: http://a.example\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINB\n';
    const { main } = readSources([block], 'bookworm');

    expect(main && backportsText(main, 'bookworm')).toContain('Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINB');
  });
});
