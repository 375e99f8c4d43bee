/** Counts what the models cost as it goes, into the report and the day's budgets: also a run that fails has spent it. */
import { addSpend, addStep, addUsage, startSpend } from '../agent/spend.ts';
import type { Spend } from '../agent/spend.ts';
import type { BudgetShare } from '../job.ts';
import type { Model, Reply } from '../model/model.ts';
import type { ModelUse, RunReport } from './report.ts';

/** The same model, metered. One per run. */
export function meter(model: Model, { report, budget }: { report: RunReport; budget: BudgetShare | null }): Model {
  const total = startSpend();
  const count = (counted: Pick<Reply, 'usage' | 'by'>, add: typeof addStep): void => {
    add(total, counted, model);
    Object.assign(report, report.earlier === null ? total : addSpend(report.earlier, total));
    const use = useOf(report, counted.by ?? model);
    const spend: Spend = { ...use };
    add(spend, counted, model);
    Object.assign(use, spend);
  };
  return {
    name: model.name,
    priceSource: model.priceSource,
    ...(model.fallback && { fallback: model.fallback }),
    cost: (usage) => model.cost(usage),
    async ask(question) {
      const tell = async (): Promise<void> => budget?.tell({ costUsd: total.costUsd ?? 0, tokens: total.usage.inputTokens + total.usage.outputTokens });
      const onLost = (lost: Pick<Reply, 'usage' | 'by'>): void => {
        count(lost, addUsage);
        question.onLost?.(lost);
        // The next tries may take minutes, in which a worker can die.
        void tell();
      };
      useOf(report, model);
      try {
        const reply = await model.ask({ ...question, onLost });
        count(reply, addStep);
        return reply;
      } finally {
        await tell();
      }
    },
  };
}

function useOf(report: RunReport, { name, priceSource }: Model): ModelUse {
  const known = report.models.find((use) => use.name === name);
  if (known !== undefined) return known;
  const use: ModelUse = { name, price: priceSource, ...startSpend(), costUsd: priceSource === null ? null : 0 };
  report.models.push(use);
  return use;
}
