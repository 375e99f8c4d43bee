/** What the operator of this installation says about settings; made from the environment, handed in. */
import type { Key, Values } from './values.ts';

/** One variable of the operator. */
export interface Word<T> {
  readonly value: T;
  /** `MAYFLY_MAX_STEPS`. */
  readonly variable: string;
  /** False: the variable is not set, and this is its own default. */
  readonly given: boolean;
}

export interface Operator {
  /** What holds where no file says anything else. */
  readonly defaults: { readonly [K in Key]?: Word<Values[K]> };
  /** What no file can go beyond. Of hosts: all that a phase may reach, registries of setup among them. Of `protect.refuse`: what is always refused. */
  readonly ceilings: { readonly [K in Key]?: Word<Values[K]> };
  /** What no file can go below, because the host has it no smaller. */
  readonly floors: { readonly [K in Key]?: Word<Values[K]> };
  /** All models that a repository may name; null: not known here. */
  readonly models: readonly string[] | null;
  /** All registries, some with the beginning of a path, that images may come from; null: not known here. */
  readonly imageRegistries: readonly string[] | null;
}

/** An operator who leaves everything to the repositories. */
export const silentOperator: Operator = { defaults: {}, ceilings: {}, floors: {}, models: null, imageRegistries: null };
