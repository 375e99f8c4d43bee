/** `npm run eval -- CASES_DIR --repos DIR`: real cases to a table on stdout and a JSON file, progress to stderr. */
import { Command, Option } from 'commander';
import { createContext, runCommandLine } from '../../src/command-line.ts';
import { providerNames } from '../../src/job.ts';
import type { EvalOptions } from './evaluate.ts';

process.exitCode = await runCommandLine(process.argv.slice(2), (signal, outcome) => {
  const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
  return new Command('eval')
    .description('Runs real cases whose fix is known, and asks hidden tests whether the result is right.')
    .argument('<cases>', 'folder of cases, a JSON file each')
    .requiredOption('--repos <dir>', 'folder of clones: <owner>+<name>/repo or <owner>/<name>')
    .option('--model <vendor/name>', 'for example anthropic/claude-sonnet-4-5 (default: MAYFLY_MODEL)')
    .addOption(new Option('--provider <name>', 'what boots the VMs (default: MAYFLY_PROVIDER, else what works best here)').choices(providerNames))
    .option('--json <file>', 'where everything goes as JSON')
    .option('--only <id>', 'this case only; may be repeated', collect)
    .exitOverride()
    .showHelpAfterError('Run with --help to see what is understood.')
    .action(async (cases: string, options: EvalOptions) => {
      // As in the command line of Mayfly: what reads the environment on import comes after it was tidied.
      const { evaluate } = await import('./evaluate.ts');
      outcome.exitCode = await evaluate(cases, options, createContext('tool', signal, true));
    });
});
