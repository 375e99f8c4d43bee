import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { FixError } from '../../src/errors.ts';
import { createOperator } from '../../src/operator.ts';

const ceilingOf = (allowed: string) => createOperator(loadConfig('tool', { MAYFLY_ALLOWED_HOSTS: allowed })).ceilings['allow.setup'];

describe('the hosts that an operator allows', () => {
  it('are the ceiling of each phase, with the hosts of registries for their names; none without the variable', () => {
    const hosts = { value: ['pypi.org', 'files.pythonhosted.org', 'GET example.org/a/*'], variable: 'MAYFLY_ALLOWED_HOSTS', given: true };

    expect(ceilingOf('pypi, GET example.org/a/*')).toEqual(hosts);
    expect(ceilingOf('')).toBeUndefined();
  });

  it.each(['https://npm.corp.example/', '*', 'npm.corp.example:'])('are refused with the one that is none: %s', (wrong) => {
    const read = () => ceilingOf(`pypi ${wrong}`);

    expect(read).toThrow(FixError);
    expect(read).toThrow(expect.objectContaining({ code: 'config_invalid', details: { problems: [expect.stringContaining(JSON.stringify(wrong))] } }));
  });
});
