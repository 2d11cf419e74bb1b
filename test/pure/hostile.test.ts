// Arguments of any kind where a graph is built and planned: the answer is a BayesError or a result, never another error.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { constantBeta, cosineBeta, parseBeta, warmUpBeta } from "../../lib/bayes/beta.ts";
import { gaussianPrior } from "../../lib/bayes/gaussianPrior.ts";
import { alphaPosterior, rhoPosterior } from "../../lib/bayes/posterior.ts";
import { scaleMixturePrior } from "../../lib/bayes/scaleMixturePrior.ts";
import { absentClasses, alignClasses } from "../../lib/data/classes.ts";
import { makeDataset, subset } from "../../lib/data/dataset.ts";
import { canonical, identity, overlap } from "../../lib/data/identity.ts";
import { loadImages } from "../../lib/data/images.ts";
import { loadImageFolders } from "../../lib/data/layouts.ts";
import { loadData } from "../../lib/data/locate.ts";
import { normalizationOf } from "../../lib/data/prepare.ts";
import { split } from "../../lib/data/split.ts";
import { loadTable } from "../../lib/data/table.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { bayesConv2d, bayesConvTranspose2d, conv2d, convTranspose2d } from "../../lib/layers/conv.ts";
import { dropout } from "../../lib/layers/dropout.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { batchNorm2d } from "../../lib/layers/norm.ts";
import { adaptiveEce, ece } from "../../lib/metrics/calibration.ts";
import { accuracy, classificationMetrics } from "../../lib/metrics/classification.ts";
import { aupr, auroc, fpr95, riskCoverage } from "../../lib/metrics/ood.ts";
import { decompose, mutualInformation, softmaxRows } from "../../lib/metrics/uncertainty.ts";
import { Model } from "../../lib/models/model.ts";
import { cubicSchedule } from "../../lib/prune/select.ts";
import { l1Penalty } from "../../lib/train/l1.ts";
import { adam, adamw, sgd } from "../../lib/train/optimizers.ts";
import { cosineRate, parseRate, plateauRate, stepRate, warmUpRate } from "../../lib/train/schedules.ts";
import { BayesError, checkOptions } from "../../lib/util/errors.ts";
import { junk, junkOf, only, onlyAsync } from "../hostile.ts";
import { nullDevice } from "../null-device.ts";

const fresh = () => new Store(nullDevice());

const pets = makeDataset({ images: new Uint8Array(12), labels: [0, 1, 1], shape: [2, 2, 1], classes: ["cat", "dog"] });

describe("functions that make something from options", () => {
  const makers: Record<string, (...args: never[]) => unknown> = {
    rhoPosterior,
    alphaPosterior,
    gaussianPrior,
    scaleMixturePrior,
    sgd,
    adam,
    adamw,
    cosineRate,
    stepRate,
    plateauRate: (rate: never, options: never) => plateauRate(rate, options),
    warmUpRate,
    parseBeta,
    parseRate,
    makeDataset,
    subset,
    split,
    "split of a set": (sizes: never, seed: never) => split(pets, sizes, seed),
    identity,
    canonical,
    overlap: (a: never, b: never) => [overlap(pets, a), overlap(a, b)],
    alignClasses: (a: never) => alignClasses(pets, a),
    absentClasses,
    normalizationOf,
    accuracy,
    ece,
    adaptiveEce,
    classificationMetrics,
    auroc,
    aupr,
    fpr95,
    riskCoverage,
    decompose,
    softmaxRows,
    mutualInformation,
    cubicSchedule,
    l1Penalty,
    constantBeta,
    warmUpBeta,
    cosineBeta,
    constant,
  };
  for (const [name, make] of Object.entries(makers))
    it(name, () => {
      const fields = ["rhoInit", "muInit", "per", "mean", "sigma", "pi", "momentum", "nesterov", "beta1", "factor"];
      fc.assert(
        fc.property(
          fc.array(fc.oneof(junk, junkOf([...fields, "images", "labels", "shape", "classes"])), { maxLength: 3 }),
          (args) => void only(() => make(...(args as never[]))),
        ),
        { numRuns: 400 },
      );
    });
});

describe("readers of files", () => {
  const readers: Record<string, (...args: never[]) => Promise<unknown>> = {
    loadImages,
    loadData,
    loadTable,
    loadImageFolders,
  };
  const paths = fc.constantFrom(import.meta.filename, import.meta.dirname, "/dev/null", "no/such/file", [
    import.meta.filename,
  ]);
  const options = junkOf(["size", "background", "skipCorrupt", "image", "label", "targets", "split"]);
  for (const [name, read] of Object.entries(readers))
    it(name, () =>
      fc.assert(
        fc.asyncProperty(
          fc.oneof(paths, junk),
          fc.array(fc.oneof(junk, options, fc.constant([4, 4, 3])), { maxLength: 3 }),
          async (path, args) => void (await onlyAsync(() => read(...([path, ...args] as never[])))),
        ),
        { numRuns: 200 },
      ),
    );
});

it("checkOptions names the option that is unknown or of another kind, and lets undefined pass", () => {
  const kinds = { epochs: "number", rate: "number|object" };
  const check = (options: unknown) => checkOptions("here", options as { epochs?: number; rate?: number }, kinds);
  expect(check({ epochs: 1, rate: undefined })).toEqual({ epochs: 1, rate: undefined });
  expect(() => check({ epoch: 1 })).toThrow('[here] expected options among epochs, rate, received "epoch"');
  expect(() => check({ rate: "0.1" })).toThrow('[here] expected rate as number or object, received "0.1"');
  expect(() => check({ rate: null })).toThrow(/rate as number or object, received null/);
  expect(() => check(null)).toThrow(/options as an object/);
});

describe("layers", () => {
  const layers: [string, number[], (...args: never[]) => Tensor][] = [
    ["conv2d", [2, 6, 6, 4], conv2d],
    ["bayesConv2d", [2, 6, 6, 4], bayesConv2d],
    ["convTranspose2d", [2, 6, 6, 4], convTranspose2d],
    ["bayesConvTranspose2d", [2, 6, 6, 4], bayesConvTranspose2d],
    ["linear", [2, 6], linear],
    ["bayesLinear", [2, 6], bayesLinear],
    ["batchNorm2d", [2, 6, 6, 4], batchNorm2d],
    ["dropout", [2, 6], dropout],
  ];
  const options = junkOf(["stride", "padding", "dilation", "groups", "outputPadding", "bias", "prior", "kl", "name"]);
  for (const [name, shape, layer] of layers)
    it(name, () => {
      fc.assert(
        fc.property(
          fc.array(fc.oneof(fc.integer({ min: 1, max: 4 }), junk, options), { maxLength: 3 }),
          fc.boolean(),
          (args, other) =>
            void only(() =>
              compile({ store: fresh() }, { x: other ? [3] : shape }, ({ x }) => ({
                y: layer(...([x, ...args] as never[])),
              })),
            ),
        ),
        { numRuns: 150 },
      );
      only(() => compile({ store: fresh() }, {}, () => ({ y: layer(...(["no tensor", 3, 3] as never[])) })));
    });

  it("says what it would have taken", () => {
    const make = (of: (x: Tensor) => Tensor) => () =>
      compile({ store: fresh() }, { x: [2, 6, 6, 4] }, ({ x }) => ({ y: of(x) }));
    expect(make((x) => conv2d(x, 3, "3" as never))).toThrow(/kernel as a size or \[height, width\], received "3"/);
    expect(make((x) => conv2d(x, -3, 3))).toThrow(/the number of filters to be an integer from 1 .* received -3/);
    expect(make((x) => conv2d(x, 3, 3, { strides: 2 } as never))).toThrow(
      /options among stride, .* received "strides"/,
    );
    expect(make((x) => linear(x, 3))).toThrow(/\[batch, features\] \(use flatten first\), received \[2, 6, 6, 4\]/);
  });
});

describe("programs", () => {
  it("compile, grad and run take anything badly, but well-mannered", () => {
    fc.assert(
      fc.property(junk, junk, junk, (a, b, c) => {
        only(() => compile(a as never, b as never, c as never));
        only(() => compile({ store: fresh() }, { x: a as never }, ({ x }) => ({ x })));
        only(() => compile({ store: fresh() }, { x: [2] }, () => a as never));
        only(() => compile({ store: fresh() }, { x: [2] }, ({ x }) => ({ x: grad(x, a as never)[0] })));
        only(() => compile({ store: fresh() }, { x: [2] }, () => ({ x: grad(a as never, b as never)[0] })));
        const program = compile({ store: fresh() }, { x: [2] }, ({ x }) => ({ x }));
        only(() => program.run(a as never, 1));
        only(() => program.run({ x: a as never }, 1));
        only(() =>
          program.run({ x: new Float32Array(2) }, typeof a === "number" && a > 1e6 ? Number.NaN : (a as never)),
        );
      }),
      { numRuns: 200 },
    );
  });

  it("new Model() takes anything badly, but well-mannered", () => {
    const names = ["name", "input", "classes", "build", "bayes", "seed", "config"];
    fc.assert(
      fc.property(
        fc.oneof(junk, junkOf(names)),
        (o) =>
          void only(() =>
            new Model(
              typeof o === "object" && o !== null ? ({ ...o, device: nullDevice() } as never) : (o as never),
            ).close(),
          ),
      ),
      { numRuns: 300 },
    );
  });
});

describe("a store", () => {
  it("keeps no slot that could not be filled", () => {
    const store = fresh();
    expect(() => store.define("w", [2], { init: () => new Float32Array(3) })).toThrow(
      /2 values as a Float32Array, received Float32Array\(3\)/,
    );
    expect(store.slots.size).toBe(0);
    expect(store.define("w", [2], { init: () => Float32Array.of(1, 2) }).shape).toEqual([2]);
    expect(() => store.define("z", [0])).toThrow(/every dimension to be an integer >= 1, received 0/);
    expect(() => store.define("z", [2], { dtype: "f64" as never })).toThrow(/dtype f32, i32, u8, received "f64"/);
  });

  it("is closed once and for all, and says so", () => {
    const store = fresh();
    const program = compile({ store }, { x: [2] }, ({ x }) => ({ x }));
    store.define("w", [2]);
    store.close();
    store.close();
    for (const use of [
      () => store.get("w"),
      () => store.set("w", new Float32Array(2)),
      () => store.define("v", [2]),
      () => store.delete("w"),
      () => compile({ store }, { x: [2] }, ({ x }) => ({ x })),
      () => program.run({ x: new Float32Array(2) }),
    ])
      expect(use).toThrow(/expected an open store or model, received one that was closed/);
    program.close();
  });
});

it("`only` fails for any other error", () => {
  expect(() => only(() => (undefined as never as { x: number }).x)).toThrow(TypeError);
  expect(
    only(() => {
      throw new BayesError("[x] expected a, received b");
    }),
  ).toBe("refused");
});
