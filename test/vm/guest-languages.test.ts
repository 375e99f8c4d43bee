/**
 * The languages of docs/toolchains.md, in VMs of a template that has them: a small project each, compiled and tested
 * without a network. It takes a template that nobody has by default; docs/toolchains.md has the command.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { createOciProvider } from '../../src/sandbox/oci.ts';
import { createQemuProvider } from '../../src/sandbox/qemu.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { isSkipped, lacksForGuests, lacksForGvisor, openGuestHost } from '../support/guest.ts';
import type { GuestHost } from '../support/guest.ts';
import { readText } from '../support/repository.ts';

interface Language {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  /** As a repository would have it in its settings; the first asks whether the tools of the row are there. */
  readonly commands: readonly string[];
  /** In what the last one prints. */
  readonly says: string | RegExp;
}

const languages: readonly Language[] = [
  {
    name: 'Go',
    files: {
      'go.mod': 'module tiny\n\ngo 1.19\n',
      'tiny.go': 'package tiny\n\nfunc Add(a, b int) int { return a + b }\n',
      'tiny_test.go': 'package tiny\n\nimport "testing"\n\nfunc TestAdd(t *testing.T) {\n\tif Add(2, 3) != 5 {\n\t\tt.Fatal("no")\n\t}\n}\n',
    },
    commands: ['go version', 'go vet ./...', 'go test -v ./...'],
    says: '--- PASS: TestAdd',
  },
  {
    name: 'Rust',
    files: {
      'Cargo.toml': '[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n',
      'src/lib.rs':
        'pub fn add(a: u32, b: u32) -> u32 {\n    a + b\n}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn adds() {\n        assert_eq!(super::add(2, 3), 5);\n    }\n}\n',
    },
    commands: ['cargo --version && rustc --version', 'cargo test --offline --no-fail-fast'],
    says: 'test tests::adds ... ok',
  },
  {
    name: 'Java',
    files: {
      'Tiny.java': 'final class Tiny {\n  static int add(int a, int b) {\n    return a + b;\n  }\n}\n',
      'TinyTest.java':
        'final class TinyTest {\n  public static void main(String[] arguments) {\n    assert Tiny.add(2, 3) == 5;\n    System.out.println("passed");\n  }\n}\n',
    },
    commands: ['javac --version && mvn --batch-mode --version', 'javac -d out Tiny.java TinyTest.java', 'java -ea -cp out TinyTest'],
    says: 'passed',
  },
  {
    name: 'Ruby',
    files: {
      Gemfile: "gem 'minitest'\ngem 'rake'\n",
      Rakefile: "require 'rake/testtask'\nRake::TestTask.new { |task| task.pattern = 'test/*_test.rb' }\n",
      'ext/extconf.rb': "require 'mkmf'\ncreate_makefile('tiny')\n",
      'ext/tiny.c':
        '#include <ruby.h>\nVALUE add(VALUE self, VALUE a, VALUE b) { return INT2NUM(NUM2INT(a) + NUM2INT(b)); }\nvoid Init_tiny(void) { rb_define_global_function("add", add, 2); }\n',
      'test/tiny_test.rb':
        "require 'minitest/autorun'\nrequire_relative '../ext/tiny'\nclass TinyTest < Minitest::Test\n  def test_add = assert_equal(5, add(2, 3))\nend\n",
    },
    commands: ['ruby --version && gem --version && bundle --version', 'cd ext && ruby extconf.rb && make', 'bundle install --local', 'bundle exec rake test'],
    says: '1 runs, 1 assertions, 0 failures',
  },
  {
    name: 'PHP',
    files: {
      'composer.json': '{"name": "tiny/tiny", "autoload": {"psr-4": {"Tiny\\\\": "src/"}}, "scripts": {"test": "php -d zend.assertions=1 test.php"}}',
      'src/Tiny.php': '<?php\nnamespace Tiny;\nfinal class Tiny { static function add(int $a, int $b): int { return $a + $b; } }\n',
      'test.php':
        '<?php\nrequire "vendor/autoload.php";\nassert(Tiny\\Tiny::add(2, 3) === 5);\nassert(mb_strlen("é") === 1);\nassert(class_exists("DOMDocument"));\necho "passed\\n";\n',
    },
    commands: ['php --version && composer --version', 'composer install --no-interaction --no-progress', 'composer test'],
    says: 'passed',
  },
];

const page = await readText('docs/toolchains.md');
const wanted = languages.flatMap(({ name }) => new RegExp(`^\\| ${name} +\\| \`([^\`]+)\` `, 'm').exec(page)?.[1]?.split(' ') ?? []);
const has = new Set(loadConfig('tool').MAYFLY_GUEST_PACKAGES);
const lacks = wanted.filter((name) => !has.has(name));
const notThere = lacks.length === 0 ? null : `MAYFLY_GUEST_PACKAGES lacks ${lacks.join(' ')}`;

describe.each([
  ['QEMU', createQemuProvider, notThere ?? (await lacksForGuests())],
  ['gVisor', createOciProvider, notThere ?? (await lacksForGvisor())],
] as const)('a VM with the languages under %s', (under, create, lacking) => {
  const skipped = isSkipped(`languages under ${under}`, lacking);
  let host: GuestHost;
  let sandbox: Sandbox;
  beforeAll(async () => {
    if (skipped) return;
    host = await openGuestHost(create);
    sandbox = await host.boot();
  });
  afterAll(async () => {
    await sandbox?.dispose();
    await host?.close();
  });

  test.skipIf(skipped).each(languages)(
    'compiles and tests a project in $name',
    async ({ name, files, commands, says }) => {
      const folder = `/workspace/${name}`;
      for (const [path, text] of Object.entries(files)) await sandbox.put(`${folder}/${path}`, Buffer.from(text));

      let last = '';
      for (const command of commands) {
        const { exitCode, stdout, stderr, durationMs } = await sandbox.exec(['bash', '-c', command], { cwd: folder, timeoutMs: 240_000 });
        process.stderr.write(`${under}: ${command}: ${(durationMs / 1000).toFixed(1)} s\n`);
        expect({ command, exitCode, stdout, stderr }).toMatchObject({ exitCode: 0 });
        last = stdout;
      }

      expect(last).toMatch(says);
    },
    600_000,
  );
});
