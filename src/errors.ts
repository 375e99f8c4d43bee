/**
 * Every failure Mayfly can have, in one table.
 *
 * An ending that we expect (tests still fail, budget spent, nothing to change) is a value: see `FixOutcome` in job.ts.
 * Everything else is a `FixError` whose code is a key of this table, so that no call site invents a retry policy,
 * an exit code or a sentence that a user sees. `docs/errors.md` is tested against it.
 */

interface ErrorRow {
  /** Whether the queue may try the run again: `later` for what passes by itself, `never` for what needs a person. */
  readonly retry: 'later' | 'never';
  /** Exit code of the command line. 2 is a usage error, as in most Unix tools; 3 the host lacks something; 4 outside service; 1 the rest. */
  readonly exitCode: 1 | 2 | 3 | 4 | 130;
  /** The sentence a user may see: what happened, and what to do next. Never contains outside data. */
  readonly user: string;
  /** Neither the person who asked nor the repository has a part in it, although it does not pass by itself. */
  readonly ours?: true;
}

export const errorTable = {
  usage: { retry: 'never', exitCode: 2, user: 'The command was not understood. Run `mayfly --help`.' },
  config_invalid: { retry: 'never', exitCode: 2, user: 'The configuration is not valid. Correct the settings named above and start again.' },
  runtime_too_old: { retry: 'never', exitCode: 3, user: 'Mayfly needs Node 26. Run `npm ci` in the checkout: it brings its own.' },
  host_incomplete: { retry: 'never', ours: true, exitCode: 3, user: 'This host lacks something that Mayfly needs. Run `npx mayfly setup`.' },
  host_setup_failed: {
    retry: 'never',
    exitCode: 3,
    user: 'Something could not be installed on this host. The lines above say why; mend that and run `npx mayfly setup` again.',
  },
  template_missing: { retry: 'never', ours: true, exitCode: 3, user: 'There is no guest template yet. Run `npx mayfly image build`.' },
  template_failed: {
    retry: 'never',
    exitCode: 3,
    user: 'The guest template could not be built. The log above says why; run `npx mayfly image build` again when it is mended.',
  },
  guest_kernel_unsuitable: {
    retry: 'never',
    ours: true,
    exitCode: 2,
    user: 'Guests cannot boot the kernel of MAYFLY_GUEST_KERNEL. Name another one, or unset it to boot the one of Debian.',
  },
  credential_repository: {
    retry: 'never',
    exitCode: 2,
    user: 'The operator gave credentials for a repository of this name, and this is another one. The operator has to say which it is; the log has both ids.',
  },
  image_unavailable: {
    retry: 'later',
    exitCode: 4,
    user: 'The image that the settings name could not be had in time: its registry does not give it out, or this host is busy. A queued run is tried again by itself.',
  },
  image_unsuitable: {
    retry: 'never',
    exitCode: 2,
    user: 'No VM can be made of the image that the settings name. The log says why; name another one in `sandbox.image`, or leave it out.',
  },
  port_unavailable: { retry: 'never', exitCode: 2, user: 'The webhook server cannot listen on its port. Set PORT and HOST to a free address of this machine.' },
  not_healthy: { retry: 'never', exitCode: 1, user: 'This part of Mayfly does not work any more. Look at its log and start it again.' },
  redis_unavailable: { retry: 'later', exitCode: 4, user: 'Redis does not answer. Check REDIS_URL and that the server runs.' },
  issue_unreadable: { retry: 'never', exitCode: 2, user: 'The issue file cannot be read. Give an existing file, or the text itself.' },
  repository_unreachable: {
    retry: 'later',
    exitCode: 4,
    user: 'The repository could not be read. Check that it exists, and on GitHub that the App is installed on it.',
  },
  repository_empty: { retry: 'never', exitCode: 2, user: 'The repository has no commit to start from. Push one and try again.' },
  base_unknown: { retry: 'never', exitCode: 2, user: 'The base is not a commit, branch or tag of this repository. Check its name.' },
  repository_too_large: { retry: 'never', exitCode: 1, user: 'The repository is larger than Mayfly takes. The log has its size and the limit.' },
  github_credentials: { retry: 'never', ours: true, exitCode: 2, user: 'GitHub does not accept the App credentials. Check APP_ID and PRIVATE_KEY.' },
  github_refused: { retry: 'never', exitCode: 4, user: 'GitHub refused a request that Mayfly needs. Check the permissions of the App.' },
  github_unavailable: {
    retry: 'later',
    exitCode: 4,
    user: 'GitHub does not answer as it should. Check the network and githubstatus.com; a queued run is tried again by itself.',
  },
  credentials_exist: {
    retry: 'never',
    exitCode: 2,
    user: 'Credentials are there already, and Mayfly never overwrites a key. Give another folder with --out, or move the file named below away.',
  },
  credentials_unwritten: {
    retry: 'never',
    exitCode: 3,
    user: 'The App is registered, but its credentials could not be written. Delete the App in its settings at GitHub, mend what is named below, and run it again.',
  },
  registration_unfinished: {
    retry: 'never',
    exitCode: 1,
    user: 'The App was not registered in time. Run `npx mayfly setup github` again, and open its address within ten minutes.',
  },
  registration_refused: {
    retry: 'never',
    exitCode: 4,
    user: 'GitHub did not hand the credentials of the App out. If the App is in your settings at GitHub, delete it there; then run `npx mayfly setup github` again.',
  },
  proxy_unavailable: {
    retry: 'never',
    exitCode: 4,
    user: 'The webhook proxy does not answer. Check the network, or give another one with --dev-proxy.',
  },
  model_unknown: { retry: 'never', exitCode: 2, user: 'The model name is not understood. Write it as vendor/name, for example anthropic/claude-sonnet-4-5.' },
  model_credentials: { retry: 'never', ours: true, exitCode: 2, user: 'The model vendor does not accept the API key. Check the key of that vendor.' },
  model_unavailable: {
    retry: 'later',
    exitCode: 4,
    user: 'The model does not answer. Check the network and the address of the model; a queued run is tried again by itself.',
  },
  model_busy: {
    retry: 'later',
    exitCode: 4,
    user: 'The model vendor turned every request away: too many at once, or more than the account may send. A queued run is tried again by itself; if it stays so, raise the limits of the account or set MAYFLY_FALLBACK_MODEL.',
  },
  model_reply_endless: {
    retry: 'never',
    exitCode: 4,
    user: 'The model did not bring a reply to its end, or its reply was too large to be used, so it was cut off. Start the run again; if it stays so, take another model.',
  },
  model_input_too_long: {
    retry: 'never',
    exitCode: 4,
    user: 'The model does not read as much as it was sent. Set MAYFLY_CONTEXT_TOKENS to what it reads, or take another model.',
  },
  model_refused: { retry: 'never', ours: true, exitCode: 4, user: 'The model vendor refused the request. Check the model name and the account.' },
  sandbox_boot: { retry: 'later', exitCode: 3, user: 'The micro-VM did not start. Run `npx mayfly image build`; if it stays so, look at the log of the run.' },
  sandbox_thaw: {
    retry: 'later',
    exitCode: 3,
    user: 'The micro-VM could not be given its own identity, so it was thrown away. Start the run again; if it stays so, look at its log.',
  },
  sandbox_lost: {
    retry: 'later',
    exitCode: 1,
    user: 'The micro-VM went away in the middle of the run. Start it again; if it stays so, the work needs more memory or disk than the VM has.',
  },
  sandbox_leftover: {
    retry: 'never',
    ours: true,
    exitCode: 1,
    user: 'Something of a micro-VM was left behind. The log names it; it is removed at the next start.',
  },
  sandbox_unlimited: {
    retry: 'never',
    ours: true,
    exitCode: 3,
    user: 'No control group is writable, so a VM could not be limited. Run as root, or set MAYFLY_ALLOW_UNLIMITED_VMS=1 if you accept that.',
  },
  guest_disk_full: {
    retry: 'never',
    exitCode: 1,
    user: 'The disk of the micro-VM is full. Raise sandbox.diskGib in the settings (MAYFLY_MAX_GUEST_DISK_GIB is the most), or make the setup smaller.',
  },
  guest_memory_full: {
    retry: 'never',
    exitCode: 1,
    user: 'The work needed more memory than the micro-VM has, which ended it. Raise MAYFLY_GUEST_MEMORY_MIB, or run fewer tests at once.',
  },
  guest_file_missing: { retry: 'never', exitCode: 1, user: 'A file that the run needs is not in the micro-VM. The log names it.' },
  guest_file_too_large: { retry: 'never', exitCode: 1, user: 'A file in the micro-VM is larger than Mayfly reads. The log names it.' },
  guest_file_failed: { retry: 'never', exitCode: 1, user: 'A file in the micro-VM could not be read or written. The log says which and why.' },
  setup_failed: { retry: 'never', exitCode: 1, user: 'A setup command failed in the micro-VM, so the work was not begun. Correct the command and try again.' },
  clone_failed: {
    retry: 'later',
    exitCode: 1,
    user: 'The repository could not be put into the micro-VM. Start the run again; if it stays so, look at its log.',
  },
  patch_unreadable: { retry: 'never', exitCode: 1, user: 'The changes in the micro-VM could not be read, so nothing was published.' },
  secret_in_text: {
    retry: 'never',
    exitCode: 1,
    user: 'What the run was about to publish carried a secret of this installation, so nothing of it was published. The operator should find out how the secret got there; the log has the run.',
  },
  cancelled: { retry: 'never', exitCode: 130, user: 'The run was stopped.' },
  lock_lost: { retry: 'later', exitCode: 1, user: 'The worker lost its claim on the run. Another worker takes it up.' },
  over_limit: { retry: 'later', exitCode: 1, user: 'The budget of the day is spent. The run waits, and starts by itself when there is a new one.' },
  run_lost: {
    retry: 'never',
    ours: true,
    exitCode: 1,
    user: 'The worker went away twice in the middle of the run, so it was given up. Look at the logs of the workers, then trigger it again.',
  },
  job_newer: {
    retry: 'later',
    exitCode: 1,
    user: 'A newer version of Mayfly queued this, and this one cannot read it. It waits for a worker of that version: update the others, too.',
  },
  job_invalid: { retry: 'never', exitCode: 1, user: 'A queued job was not made by this Mayfly, so it was refused.' },
  disk_full: { retry: 'later', exitCode: 3, user: 'The disk of this host is full. Free some space and try again.' },
  internal: { retry: 'never', ours: true, exitCode: 1, user: 'Something went wrong on our side. The log has the details under the run id.' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

/** Whether a run that ended so is not counted against anyone's limits: what passes by itself, and what the operator has to mend. */
export function isOurFault(code: ErrorCode): boolean {
  const row: ErrorRow = errorTable[code];
  return row.retry === 'later' || row.ours === true;
}

/** A failure with a code of the table. `details` go to the log only, never to a user. */
export class FixError extends Error {
  override readonly name = 'FixError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(errorTable[code].user, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get row(): ErrorRow {
    return errorTable[this.code];
  }
}

/** Any thrown thing as a FixError; what is not one already becomes `internal` and keeps its cause. */
export function asFixError(thrown: unknown, fallback: ErrorCode = 'internal'): FixError {
  return thrown instanceof FixError ? thrown : new FixError(fallback, { cause: thrown });
}
