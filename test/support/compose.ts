/** Services of compose.yaml, as far as a container that is started without a daemon can have them. */
import { parse } from 'yaml';
import { z } from 'zod';
import { readText } from './repository.ts';

const Service = z.looseObject({
  command: z.array(z.string()).default([]),
  env_file: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.string()).default({}),
  secrets: z.array(z.string()).default([]),
  cap_drop: z.array(z.string()).default([]),
  cap_add: z.array(z.string()).default([]),
  device_cgroup_rules: z.array(z.string()).default([]),
  security_opt: z.array(z.string()).default([]),
  networks: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  tmpfs: z.array(z.string()).default([]),
  cgroup: z.string().default('private'),
  read_only: z.boolean().default(false),
  privileged: z.boolean().default(false),
  stop_grace_period: z.string().optional(),
  build: z.object({ target: z.string() }).optional(),
});

export type ComposeService = z.infer<typeof Service>;

/** By name. */
export async function readComposeServices(): Promise<Readonly<Record<string, ComposeService>>> {
  return z.object({ services: z.record(z.string(), Service) }).parse(parse(await readText('compose.yaml'), { merge: true })).services;
}

/** One of them; throws when there is none of that name. */
export async function readComposeService(name: string): Promise<ComposeService> {
  return Service.parse((await readComposeServices())[name]);
}
