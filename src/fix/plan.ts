/**
 * What a run will do, decided before any VM boots: setup commands, test command, hosts. From what the asker said, then
 * the effective settings, then what the host finds in the base commit. Nothing here comes from a VM.
 */
import { parseHostRule } from '../gateway/host-rule.ts';
import { expandPresets, withinCeiling } from '../settings/host-rules.ts';
import type { Operator } from '../settings/operator.ts';
import { usualRegistries } from '../settings/presets.ts';
import type { Snapshot, TreeEntry } from '../git/mirror.ts';
import { settingsPath } from '../settings/schema.ts';
import type { Values } from '../settings/values.ts';
import { detect, readAtRoot } from './detect.ts';
import type { Detected } from './detect.ts';
import { findGaps, readBaseFiles } from './gaps.ts';
import { drawMap } from './map.ts';
import { chooseNode } from './node-version.ts';
import type { NodeChoice } from './node-version.ts';
import type { ProtectedPaths } from './protect.ts';
import { readPullTemplate } from './pull-template.ts';
import type { TemplateSection } from './pull-template.ts';
import { findTitleStyle, subjectsForStyle } from './title-style.ts';
import type { TitleStyle } from './title-style.ts';

/** What the person who asked may say beside the issue; the command line's flags. */
export interface Wishes {
  readonly setup: readonly string[] | null;
  readonly test: string | null;
  readonly allow: readonly string[];
  /** `vendor/name`. */
  readonly model?: string | null;
}

export interface Plan {
  readonly setup: readonly string[];
  /** The command that judges, and where it came from, in words. */
  readonly test: { readonly command: string; readonly source: string } | null;
  readonly allow: { readonly setup: readonly string[]; readonly agent: readonly string[]; readonly proof: readonly string[] };
  readonly ci: 'hold' | 'run';
  /** `vendor/name`, as it was asked for; null leaves it to the operator. */
  readonly model: string | null;
  readonly node: NodeChoice;
  /** What the repository has that cannot run in a VM; sentences. */
  readonly gaps: readonly string[];
  /** AGENTS.md or CLAUDE.md of the base commit, else the beginning of the guide for contributors. */
  readonly instructions: { readonly path: string; readonly text: string; readonly source?: string } | null;
  /** The base commit at a glance, for the agent. */
  readonly map: string;
  /** TZ and LANG, as far as the settings name them: the same in setup, agent and proof. */
  readonly environment: { readonly TZ?: string; readonly LANG?: string };
  /** The image of its own, if any; how large, as far as the host has it so; whether sudo works after setup. */
  readonly sandbox: {
    readonly image: string | null;
    readonly cpus: number;
    readonly memoryMib: number;
    readonly diskGib: number;
    readonly root: boolean;
  };
  readonly protect: ProtectedPaths;
  /** How the repository wants its pull requests. */
  readonly manners: { readonly title: TitleStyle; readonly template: readonly TemplateSection[] | null };
}

const maxInstructionBytes = 65_536;

export interface PlanOptions {
  /** Where instructions come from; default: the base. What a branch says of itself is no rule. */
  readonly rules?: Snapshot;
  readonly settings: Values;
  /** Whose ceilings the settings are within already. */
  readonly operator: Operator;
  /** Of this host: the operator's own word. */
  readonly registryHosts: readonly string[];
  readonly guestNodeVersion: string;
  readonly signal: AbortSignal;
}

export async function makePlan(
  snapshot: Snapshot,
  wishes: Wishes,
  { rules = snapshot, settings, operator, registryHosts, guestNodeVersion, signal }: PlanOptions,
): Promise<Plan> {
  const text = (path: string): Promise<string | null> => readText(snapshot, path, signal);
  // First, because with it the snapshot knows which files there are.
  const tree = await snapshot.tree(signal);
  const guides = await readGuides(rules, snapshot, signal);
  const manifest = await text('package.json');
  const detected = await detectAtRoot(snapshot, tree, signal);
  const { timezone, locale } = settings;
  return {
    setup: wishes.setup ?? settings.setup ?? detected.setup,
    test: chooseTest(wishes, settings, detected),
    allow: chooseHosts(wishes, settings, { operator, registryHosts }),
    ci: settings.ci,
    model: wishes.model ?? settings.model,
    node: chooseNode({ '.nvmrc': await text('.nvmrc'), '.node-version': await text('.node-version'), 'package.json': manifest }, guestNodeVersion),
    gaps: [...findGaps(await readBaseFiles(snapshot, signal)), ...guides.remarks],
    instructions: guides.instructions,
    map: drawMap({ tree, packageJson: manifest, makefile: (await text('GNUmakefile')) ?? (await text('Makefile')) }),
    manners: { title: findTitleStyle(await snapshot.subjects(subjectsForStyle, signal)), template: await readPullTemplate(snapshot, signal) },
    environment: { ...(timezone !== null && { TZ: timezone }), ...(locale !== null && { LANG: locale }) },
    sandbox: {
      image: settings['sandbox.image'],
      cpus: settings['sandbox.cpus'],
      memoryMib: settings['sandbox.memoryMib'],
      diskGib: settings['sandbox.diskGib'],
      root: settings['sandbox.root'],
    },
    protect: { refuse: settings['protect.refuse'], ask: settings['protect.ask'], allow: settings['protect.allow'] },
  };
}

/** Nothing gets past the operator's ceiling but what is the operator's own word; the settings were narrowed when they were read. */
function chooseHosts({ allow }: Wishes, settings: Values, { operator, registryHosts }: Pick<PlanOptions, 'operator' | 'registryHosts'>): Plan['allow'] {
  const wished = expandPresets(allow);
  const within = (key: 'allow.setup' | 'allow.agent' | 'allow.proof', hosts: readonly string[]): readonly string[] => {
    const ceiling = operator.ceilings[key];
    return ceiling ? withinCeiling(hosts, ceiling.value) : hosts;
  };
  return {
    setup: [...within('allow.setup', usualRegistries), ...registryHosts, ...within('allow.setup', wished), ...settings['allow.setup']],
    agent: [...within('allow.agent', wished), ...settings['allow.agent']],
    proof: [...within('allow.proof', wished), ...settings['allow.proof']],
  };
}

/** The first entry of an allowlist that would let nothing through, because it is an address of a page or a slip of the pen. */
export function findUnreadableHost(hosts: readonly string[]): string | null {
  return hosts.find((host) => parseHostRule(host) === null) ?? null;
}

/** The first that the operator's ceiling does not leave as it is, and the variable with the ceiling; null when it leaves them all. */
export function findForbiddenHost(hosts: readonly string[], { ceilings }: Operator): { readonly host: string; readonly variable: string } | null {
  for (const ceiling of [ceilings['allow.setup'], ceilings['allow.agent'], ceilings['allow.proof']]) {
    const host = hosts.find((entry) => ceiling && expandPresets([entry]).some((one) => !withinCeiling([one], ceiling.value).includes(one)));
    if (ceiling && host !== undefined) return { host, variable: ceiling.variable };
  }
  return null;
}

async function readText(snapshot: Snapshot, path: string, signal: AbortSignal): Promise<string | null> {
  return (await snapshot.readFile(path, maxInstructionBytes, signal))?.toString('utf8') ?? null;
}

/** Written for agents, and read whole. */
const agentGuides = ['AGENTS.md', 'CLAUDE.md'];
/** Written for people, with much in it that is no use here: of these only what speaks of the work itself. */
const contributorGuides = ['CONTRIBUTING.md', '.github/CONTRIBUTING.md', 'docs/CONTRIBUTING.md'];
const maxGuideCharacters = 3000;
const ofUse = /\b(?:tests?|testing|lint|style|format|convention|build|develop|changelog|documentation|code)/i;

/** From the default branch; what a branch says otherwise is no instruction, and is told. */
async function readGuides(
  rules: Snapshot,
  base: Snapshot,
  signal: AbortSignal,
): Promise<{ readonly instructions: Plan['instructions']; readonly remarks: readonly string[] }> {
  const instructions = await chooseInstructions((path) => readText(rules, path, signal));
  const [there, here] = [await rules.tree(signal), await base.tree(signal)];
  const different = agentGuides.filter((path) => there.get(path)?.sha !== here.get(path)?.sha);
  const source =
    instructions !== null && different.includes(instructions.path)
      ? `${instructions.path} of the default branch; the one of this branch differs and was not used`
      : null;
  return {
    instructions: instructions && { ...instructions, ...(source !== null && { source }) },
    remarks: different.map((path) => `${path} of this branch differs from the default branch, whose word counts: it is a file to work on, and no instruction.`),
  };
}

async function chooseInstructions(read: (path: string) => Promise<string | null>): Promise<Plan['instructions']> {
  for (const path of [...agentGuides, ...contributorGuides]) {
    const text = await read(path);
    if (text === null || text.trim() === '') continue;
    if (agentGuides.includes(path)) return { path, text };
    return { path, text: excerptGuide(text, path) };
  }
  return null;
}

/** The sections whose heading says that they are about tests, style and the like, within bounds. */
function excerptGuide(text: string, path: string): string {
  if (text.length <= maxGuideCharacters) return text;
  const sections = text.split(/^(?=#{1,6} )/m);
  const chosen = sections.filter((section) => ofUse.test(section.split('\n', 1)[0] ?? ''));
  const shown = (chosen.length > 0 ? chosen.join('') : text).slice(0, maxGuideCharacters).trimEnd();
  return `${shown}\n[... the rest is in ${path} ...]`;
}

function chooseTest(wishes: Wishes, settings: Values, detected: Detected): Detected['test'] {
  if (wishes.test !== null) return { command: wishes.test, source: 'given by the person who asked' };
  if (settings.test !== null) return { command: settings.test, source: settingsPath };
  return detected.test;
}

async function detectAtRoot(snapshot: Snapshot, tree: ReadonlyMap<string, TreeEntry>, signal: AbortSignal): Promise<Detected> {
  const texts = new Map<string, string | null>();
  for (const path of readAtRoot) if (tree.has(path)) texts.set(path, await readText(snapshot, path, signal));
  const paths = [...tree.keys()].filter((path) => !/(?:^|\/)node_modules\//.test(path));
  const folders = new Set(paths.map((path) => path.slice(0, path.lastIndexOf('/'))));
  return detect({
    has: (path) => tree.has(path) || folders.has(path),
    text: (path) => texts.get(path) ?? null,
    some: (pattern) => paths.some((path) => pattern.test(path)),
  });
}
