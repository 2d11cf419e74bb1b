// Whole models, exported and run in ONNX Runtime beside the native run: equal numbers for mean weights and given noise,
// equal distributions for the modes that draw their own.
import { describe, it } from "vitest";
import { createModel } from "../../lib/models/create.ts";
import { expectAgreement, make, nets } from "./onnx-kit.ts";

describe.each(Object.keys(nets))("%s", (name) => {
  it("mean weights: the native numbers", async () => {
    using m = make(name);
    for (const batch of [1, 5]) await expectAgreement(m, { mode: "mean" }, batch);
  });
  it("given noise: the native numbers", async () => {
    using m = make(name);
    for (const batch of [1, 5]) await expectAgreement(m, { mode: "noise" }, batch);
  });
  it("random: the native distribution", async () => {
    using m = make(name);
    await expectAgreement(m, { mode: "random", seed: 5 }, 2);
  });
  it("ensemble: the native probabilities and uncertainties", async () => {
    using m = make(name);
    await expectAgreement(m, { mode: "ensemble", samples: 6, seed: 6 }, 2);
  });
});

describe("LeNet-5", () => {
  const twins = {
    rho: { posterior: { kind: "rho", rhoInit: -2.5 } },
    alpha: { posterior: { kind: "alpha", per: "weight", logAlphaInit: -2 } },
    "weight noise": { estimator: "weight" },
    frequentist: { bayesian: false },
  } as const;
  for (const [name, options] of Object.entries(twins)) {
    it(`${name}: agrees in every mode it has`, async () => {
      using m = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed: 1, ...options });
      for (const batch of [1, 5]) await expectAgreement(m, { mode: "mean" }, batch);
      if (!m.bayesian) return;
      for (const batch of [1, 5]) await expectAgreement(m, { mode: "noise" }, batch);
      await expectAgreement(m, { mode: "random" }, 1, { runs: 120 });
    });
  }
});
