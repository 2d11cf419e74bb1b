// What a Bayesian training step needs more than its frequentist twin's: per layer one tensor of the size of its result (r),
// and what belongs to a weight's second parameter. All sizes are read off the programs.
import { describe, expect, it } from "vitest";
import type { Node } from "../../lib/graph/node.ts";
import { createModel } from "../../lib/models/create.ts";
import { adam } from "../../lib/train/optimizers.ts";
import { compileStep, residentData, type StepProgram } from "../../lib/train/step.ts";
import { nullDevice } from "../null-device.ts";

const BATCH = 256;
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

function stepOf(name: string, bayesian: boolean): StepProgram {
  const input = [32, 32, name === "lenet5" ? 1 : 3] as const;
  const model = createModel({ model: name, input: [...input], classes: 10, bayesian, device: nullDevice() });
  const data = {
    name: "made",
    images: new Uint8Array(BATCH * input[0] * input[1] * input[2]),
    targets: new Int32Array(BATCH),
    targetShape: [],
    count: BATCH,
    shape: [...input] as const,
    classes: Array.from({ length: 10 }, (_, i) => `${i}`),
  };
  residentData(model, data, data.targets);
  return compileStep(model, BATCH, { optimizer: adam(), samples: 1 });
}

/** Bytes that are live at the step where most are: no plan can need less. */
function liveBytes({ claims, steps }: StepProgram["planned"]): number {
  return Math.max(
    ...steps.map((_, t) =>
      sum(claims.filter((c) => c.from <= t && t <= c.to).map((c) => Math.ceil(c.bytes / 64) * 64)),
    ),
  );
}

describe.each(["lenet5", "alexnet", "3conv3fc", "resnet20"])("a training step of %s, batch 256", (name) => {
  const [bayesian, frequentist] = [stepOf(name, true), stepOf(name, false)];
  const layers = bayesian.planned.steps
    .map((s) => s.node)
    .filter((n): n is Node => n !== undefined && /^bayes(Conv2d|Linear)$/.test(n.op.name));
  const residues = layers.map((n) => n.outputs[1].bytes);
  const weights = layers.map((n) => n.inputs[1].bytes);

  it("keeps one more tensor of a result's size per Bayesian layer than the twin, and variances", () => {
    expect(layers.length).toBe(frequentist.planned.steps.filter((s) => s.op === "conv2d" || s.op === "linear").length);
    layers.forEach((n) => {
      expect(n.outputs[1].bytes).toBe(n.outputs[0].bytes);
    });
    const more = bayesian.planned.native.arenaBytes - frequentist.planned.native.arenaBytes;
    // A weight's variance waits from forward to backward, and its gradient takes that place; while a layer's gradients are
    // put together, they and those of the KL exist at once. 1 %: biases, and gaps between buffers.
    const parameters = sum(weights) + 3 * Math.max(...weights);
    expect(more).toBeGreaterThan(0);
    expect(more).toBeLessThanOrEqual(1.01 * (sum(residues) + parameters));
  });

  it("wastes at most 5 % of the arena on gaps", () => {
    for (const { planned } of [bayesian, frequentist])
      expect(planned.native.arenaBytes).toBeLessThanOrEqual(1.05 * liveBytes(planned));
  });
});
