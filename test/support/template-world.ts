/** Workspaces of one repository from its repository template, in real guests without a way out. */
import { join } from 'node:path';
import { pino } from 'pino';
import { FixError } from '../../src/errors.ts';
import type { Plan } from '../../src/fix/plan.ts';
import { createRepositoryTemplates } from '../../src/fix/repository-template.ts';
import type { Home, RepositoryTemplates } from '../../src/fix/repository-template.ts';
import { createReport, createTimer } from '../../src/fix/report.ts';
import type { RunReport } from '../../src/fix/report.ts';
import type { Workspace, WorkspaceOptions } from '../../src/fix/workspace.ts';
import { createSnapshot } from '../../src/git/snapshot.ts';
import { newRunId } from '../../src/job.ts';
import { createLayers } from '../../src/sandbox/layers.ts';
import type { Layers, SandboxSpec } from '../../src/sandbox/sandbox.ts';
import { createClosedGateway } from './gateway/closed-gateway.ts';
import { createGitRepository } from './git-repository.ts';
import type { GitRepository } from './git-repository.ts';
import type { GuestHost } from './guest.ts';
import { barePlan } from './plan.ts';

export interface TemplateWorld extends AsyncDisposable {
  readonly repository: GitRepository;
  readonly templates: RepositoryTemplates;
  readonly layers: Layers;
  readonly layersDirectory: string;
  /** Every command that ran in a guest: the whole argument vector in one line. */
  readonly commands: string[];
  /** For a workspace on a commit; default: the tip of the branch that is checked out. */
  describe(plan?: Partial<Plan>, sha?: string): WorkspaceOptions;
  /** Whether a run would begin with a template: its VM is asked for, and not given. */
  finds(options: WorkspaceOptions, of?: Home): Promise<boolean>;
  /** Opens the agent's workspace, has `use` work there, and waits until its template is made. */
  run(options: WorkspaceOptions, use?: (workspace: Workspace) => Promise<void>): Promise<RunReport>;
}

/** Whose all of it is. */
export const home: Home = { server: 'https://github.test', installation: 1, repository: 2 };

/** `guests` answers for the VMs; everything else goes with the world. */
export function createTemplateWorld(guests: GuestHost): TemplateWorld {
  const repository = createGitRepository();
  const layersDirectory = join(guests.options.stateDir, `layers-${newRunId()}`);
  const log = pino({ level: 'silent' });
  const layers = createLayers({ directory: layersDirectory, maxBytes: 2 ** 31, reserveBytes: 0, log });
  const commands: string[] = [];
  const provider = listening(guests, commands);
  const templates = createRepositoryTemplates({ provider, layers, worthMs: 0, log });
  if (templates === null) throw new Error('the provider keeps no disk');
  return {
    repository,
    templates,
    layers,
    layersDirectory,
    commands,
    describe(plan = {}, sha = repository.git('rev-parse', 'HEAD')) {
      const report = createReport(newRunId());
      return {
        id: `${report.runId}-agent`,
        provider,
        openGateway: createClosedGateway,
        surroundings: { caPem: '', guestEnv: {}, registryHosts: [], install: { path: '/usr/local/share/ca-certificates/mayfly-host.crt', argv: ['true'] } },
        guestNodeVersion: '26.10.0',
        image: null,
        snapshot: createSnapshot({ directory: join(repository.directory, '.git'), sha, environment: {} }),
        plan: { ...barePlan, ...plan },
        limits: { setupTimeoutMs: 60_000, ancestors: 50 },
        report,
        timed: createTimer({ report, onEvent: () => {} }, 'agent'),
        signal: AbortSignal.timeout(110_000),
      };
    },
    async finds(options, of = home) {
      const asked: unknown[] = [];
      const refusing = {
        ...provider,
        boot: ({ layer }: SandboxSpec) => {
          asked.push(layer);
          return Promise.reject(new FixError('host_incomplete'));
        },
      };
      const looking = createRepositoryTemplates({ provider: refusing, layers, log });
      const refused = await looking?.open({ ...options, provider: refusing }, of).catch((error: unknown) => error);
      if (!(refused instanceof FixError) || refused.code !== 'host_incomplete') throw new Error('no VM was asked for', { cause: refused });
      return asked.some((layer) => layer !== undefined);
    },
    async run(options, use = async () => {}) {
      const { workspace, refresh } = await templates.open(options, home);
      try {
        await use(workspace);
      } finally {
        await workspace[Symbol.asyncDispose]();
        refresh?.();
        await templates.idle();
      }
      return options.report;
    },
    async [Symbol.asyncDispose]() {
      await templates.close();
      repository[Symbol.dispose]();
    },
  };
}

function listening(guests: GuestHost, commands: string[]): ReturnType<GuestHost['provider']> {
  const provider = guests.provider();
  return {
    ...provider,
    async boot(spec) {
      const sandbox = await provider.boot(spec);
      return {
        ...sandbox,
        exec: async (argv, options) => {
          commands.push(argv.join(' '));
          return await sandbox.exec(argv, options);
        },
      };
    },
  };
}
