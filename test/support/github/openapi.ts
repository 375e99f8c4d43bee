/**
 * GitHub's own description of its API (OpenAPI 3.0), as the judge of every request.
 * Stricter than GitHub on purpose: a parameter or a body key that the description does not know is a problem too,
 * because GitHub ignores it in silence and the caller never learns of the spelling mistake.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { Ajv, type ValidateFunction } from 'ajv';
import type { Json } from './world.ts';

export interface Operation {
  /** `GET /repos/{owner}/{repo}/issues`: the key of the route table. */
  readonly key: string;
  readonly params: Readonly<Record<string, string>>;
  /** In words, empty when the request fits. */
  problems(query: URLSearchParams, body: Json): readonly string[];
}

export interface Description {
  /** Null when GitHub has no such path and method. */
  match(method: string, path: string): Operation | null;
  /** The closed list of permission names: the schema itself lets unknown ones pass. */
  readonly permissionNames: ReadonlySet<string>;
}

interface Template {
  readonly template: string;
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly looseness: number;
}

let loading: Promise<Description> | null = null;

/** Read once in a process: it is large, the same for every stand-in, and what it has compiled is as good for the next one. */
export const loadDescription = (): Promise<Description> => (loading ??= readDescription());

async function readDescription(): Promise<Description> {
  const file = createRequire(import.meta.url).resolve('@octokit/openapi/generated/api.github.com.json');
  const document: Json = JSON.parse(await readFile(file, 'utf8'));
  const templates = Object.entries<Json>(document.paths)
    .map(([template, item]) => compileTemplate(template, item, document))
    .toSorted((one, other) => one.looseness - other.looseness || other.template.length - one.template.length);
  const validators = new Map<string, ReturnType<typeof compileOperation>>();
  return {
    permissionNames: new Set(Object.keys(document.components.schemas['app-permissions'].properties)),
    match(method, path) {
      const found = templates.find(({ template, pattern }) => pattern.test(path) && document.paths[template][method.toLowerCase()]);
      if (!found) return null;
      const key = `${method} ${found.template}`;
      const params = readParams(found, path);
      return {
        key,
        params,
        problems(query, body) {
          const known = validators.get(key) ?? compileOperation(document, found.template, method);
          validators.set(key, known);
          return known(params, query, body);
        },
      };
    },
  };
}

function compileTemplate(template: string, item: Json, document: Json): Template {
  const names: string[] = [];
  const multi = new Set<string>();
  for (const operation of Object.values<Json>(item)) {
    for (const raw of operation.parameters ?? []) {
      const parameter = follow(document, raw);
      if (parameter['x-multi-segment'] || operation['x-multi-segment']) multi.add(parameter.name);
    }
  }
  const source = template.replace(/[.+]/g, '\\$&').replace(/\{(\w+)\}/g, (_whole, name: string) => {
    names.push(name);
    return multi.has(name) ? '(.+)' : '([^/]+)';
  });
  return { template, pattern: new RegExp(`^${source}$`), names, looseness: names.length + 10 * multi.size };
}

function readParams(template: Template, path: string): Record<string, string> {
  const values = template.pattern.exec(path)?.slice(1) ?? [];
  return Object.fromEntries(template.names.map((name, index) => [name, safeDecode(values[index] ?? '')]));
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function follow(document: Json, node: Json): Json {
  if (typeof node?.$ref !== 'string') return node;
  return follow(
    document,
    node.$ref
      .slice(2)
      .split('/')
      .reduce((at: Json, name: string) => at[name], document),
  );
}

type Check = (params: Readonly<Record<string, string>>, query: URLSearchParams, body: Json) => string[];

function compileOperation(document: Json, template: string, method: string): Check {
  const operation = document.paths[template][method.toLowerCase()];
  const parameters: Json[] = (operation.parameters ?? []).map((parameter: Json) => follow(document, parameter));
  const inPath = compileParameters(document, parameters, 'path');
  const inQuery = compileParameters(document, parameters, 'query');
  const request = follow(document, operation.requestBody);
  const schema = follow(document, request?.content?.['application/json']?.schema);
  const inBody = schema ? compile(document, closed(schema)) : null;
  return (params, query, body) => {
    const problems = [...explain('path', inPath, { ...params }), ...explain('query', inQuery, Object.fromEntries(query))];
    if (body === undefined) return request?.required ? [...problems, 'body: missing'] : problems;
    if (!inBody) return request || Object.keys(body ?? {}).length === 0 ? problems : [...problems, 'body: none is expected'];
    return [...problems, ...explain('body', inBody, body)];
  };
}

function compileParameters(document: Json, parameters: Json[], where: string): ValidateFunction {
  const here = parameters.filter((parameter) => parameter.in === where);
  return compile(
    document,
    {
      type: 'object',
      properties: Object.fromEntries(here.map((parameter) => [parameter.name, parameter.schema])),
      required: here.filter((parameter) => parameter.required).map((parameter) => parameter.name),
      additionalProperties: false,
    },
    'array',
  );
}

/** A plain object schema lets no unknown key pass; one with alternatives is left as it is. */
function closed(schema: Json): Json {
  const plain = schema.properties && schema.additionalProperties === undefined && !schema.oneOf && !schema.anyOf && !schema.allOf;
  return plain ? { ...schema, additionalProperties: false } : schema;
}

/** Compiles with only those component schemas that it reaches: adding all of the document costs ajv 200 ms. */
function compile(document: Json, schema: Json, coerceTypes: false | 'array' = false): ValidateFunction {
  const schemas: Record<string, Json> = {};
  const translate = (node: Json): Json => {
    if (node === null || typeof node !== 'object') return node;
    if (Array.isArray(node)) return node.map(translate);
    const name = typeof node.$ref === 'string' ? /^#\/components\/schemas\/(.+)$/.exec(node.$ref)?.[1] : undefined;
    if (name !== undefined && !(name in schemas)) {
      schemas[name] = {};
      schemas[name] = translate(document.components.schemas[name]);
    }
    const { nullable, example: _example, ...rest } = node;
    const copy = Object.fromEntries(Object.entries(rest).map(([key, child]) => [key, translate(child)]));
    // OpenAPI 3.0's word for it; ajv takes it only beside `type`, and not with `enum`.
    return nullable === true ? { anyOf: [copy, { type: 'null' }] } : copy;
  };
  const ajv = new Ajv({ strict: false, validateSchema: false, validateFormats: false, allErrors: true, coerceTypes, logger: false });
  return ajv.compile({ ...translate(schema), components: { schemas } });
}

function explain(where: string, validate: ValidateFunction, value: Json): string[] {
  if (validate(value)) return [];
  return (validate.errors ?? []).map((error) => {
    const extra = error.params['additionalProperty'] ?? error.params['allowedValues'];
    return `${where}${error.instancePath}: ${error.message ?? error.keyword}${extra === undefined ? '' : ` (${String(extra)})`}`;
  });
}
