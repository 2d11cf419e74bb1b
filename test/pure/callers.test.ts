// What a caller holds is the caller's: changed after it was passed, or read twice with another answer, it changes nothing, and
// what the library hands out cannot be changed at all.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { gaussianPrior } from "../../lib/bayes/gaussianPrior.ts";
import { compile, Program } from "../../lib/graph/compile.ts";
import { constant, Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { parameter, withTrace } from "../../lib/graph/trace.ts";
import { bayesConv2d, bayesConvTranspose2d, conv2d, convTranspose2d } from "../../lib/layers/conv.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { alexnet } from "../../lib/models/alexnet.ts";
import { conv3fc3 } from "../../lib/models/conv3fc3.ts";
import { createModel } from "../../lib/models/create.ts";
import { kit } from "../../lib/models/kit.ts";
import { lenet5, lenet5Caffe } from "../../lib/models/lenet5.ts";
import { mobilenet } from "../../lib/models/mobilenet.ts";
import { Model } from "../../lib/models/model.ts";
import { resnet18, resnet20 } from "../../lib/models/resnet.ts";
import { vgg11, vgg16 } from "../../lib/models/vgg.ts";
import { exportOnnx } from "../../lib/onnx/export.ts";
import * as ops from "../../lib/ops/index.ts";
import { cubicSchedule } from "../../lib/prune/select.ts";
import { adam, sgd } from "../../lib/train/optimizers.ts";
import { parseRate, warmUpRate } from "../../lib/train/schedules.ts";
import { BayesError, checkOptions } from "../../lib/util/errors.ts";
import { freeMemory } from "../../lib/util/memory.ts";
import { forged, only, shifty } from "../hostile.ts";
import { nullDevice } from "../null-device.ts";

const fresh = () => new Store(nullDevice());
const noiseOf = () => ({ rng: constant(new Int32Array(4)), rows: constant(Int32Array.of(0)) });
const refusal = /^\[[^\]]+\] expected /;

type List = number[];
type Use = (x: Tensor, ...lists: List[]) => Tensor;
/** Every op and layer that takes lists, on images [2, 6, 6, 4]. */
const uses: Record<string, [lists: List[], use: Use]> = {
  maxPool2d: [
    [
      [2, 2],
      [2, 1],
      [1, 0, 1, 0],
    ],
    (x, kernel, stride, padding) => ops.maxPool2d(x, { kernel, stride, padding } as never),
  ],
  avgPool2d: [
    [
      [2, 3],
      [2, 1],
      [0, 1],
    ],
    (x, kernel, stride, padding) => ops.avgPool2d(x, { kernel, stride, padding } as never),
  ],
  "op conv2d": [
    [
      [3, 3, 4, 2],
      [1, 2],
      [1, 1],
      [1, 2],
    ],
    (x, w, stride, padding, dilation) =>
      ops.conv2d(x, constant(new Float32Array(72), w), undefined, { stride, padding, dilation } as never),
  ],
  "op conv2d same": [
    [
      [1, 2],
      [1, 2],
    ],
    (x, stride, dilation) =>
      ops.conv2d(x, constant(new Float32Array(72), [3, 3, 4, 2]), undefined, {
        stride,
        dilation,
        padding: "same",
      } as never),
  ],
  "op convTranspose2d": [
    [
      [2, 2],
      [1, 1],
      [1, 1],
      [1, 0],
    ],
    (x, stride, padding, dilation, outputPadding) =>
      ops.convTranspose2d(x, constant(new Float32Array(72), [3, 3, 2, 4]), undefined, {
        stride,
        padding,
        dilation,
        outputPadding,
      } as never),
  ],
  conv2d: [
    [
      [3, 2],
      [1, 2],
      [1, 1, 0, 0],
      [1, 2],
    ],
    (x, kernel, stride, padding, dilation) => conv2d(x, 2, kernel as never, { stride, padding, dilation } as never),
  ],
  bayesConv2d: [
    [
      [3, 2],
      [1, 2],
      [1, 1, 0, 0],
    ],
    (x, kernel, stride, padding) => bayesConv2d(x, 2, kernel as never, { stride, padding } as never),
  ],
  convTranspose2d: [
    [
      [3, 2],
      [2, 2],
      [1, 0],
    ],
    (x, kernel, stride, outputPadding) => convTranspose2d(x, 2, kernel as never, { stride, outputPadding } as never),
  ],
  bayesConvTranspose2d: [
    [
      [3, 2],
      [2, 2],
    ],
    (x, kernel, stride) => bayesConvTranspose2d(x, 2, kernel as never, { stride } as never),
  ],
  reshape: [[[4, 72]], (x, shape) => ops.reshape(x, shape)],
  transpose: [[[0, 2, 1, 3]], (x, perm) => ops.transpose(x, perm)],
  slice: [
    [
      [0, 1, 1, 0],
      [1, 2, 3, 4],
    ],
    (x, starts, sizes) => ops.slice(x, starts, sizes),
  ],
  pad: [
    [
      [0, 1, 0, 0],
      [0, 0, 2, 0],
    ],
    (x, before, after) => ops.pad(x, before, after),
  ],
  broadcastTo: [[[2, 3, 4, 1]], (_, shape) => ops.broadcastTo(constant(1), shape)],
  sum: [[[1, 3]], (x, axes) => ops.sum(x, axes)],
  sumTo: [[[6, 4]], (x, shape) => ops.sumTo(x, shape)],
  mean: [[[0, 2]], (x, axes) => ops.mean(x, axes)],
  constant: [[[2, 3]], (_, shape) => ops.square(constant(new Float32Array(6), shape))],
  parameter: [[[2, 3]], (_, shape) => ops.square(parameter("own", shape, () => new Float32Array(6)))],
  gatherBatch: [
    [
      [1, 2, 3, 4],
      [0, 1, 2, 3],
    ],
    (x, scale, shift) => ops.gatherBatch(x, constant(Int32Array.of(0, 1)), { scale, shift }),
  ],
};

describe("lists", () => {
  const printed = (use: Use, lists: List[], after: (y: Tensor) => void = () => {}): string => {
    const program = compile({ store: fresh() }, { x: [2, 6, 6, 4] }, ({ x }) => {
      const y = use(x, ...lists);
      after(y);
      return { y };
    });
    return String(program);
  };
  for (const [name, [lists, use]] of Object.entries(uses)) {
    const right = printed(use, structuredClone(lists));
    it(`of ${name} are copied`, () => {
      fc.assert(
        fc.property(fc.array(fc.oneof(fc.integer(), fc.double()), { maxLength: 7 }), (junk) => {
          const mine = structuredClone(lists);
          const program = printed(use, mine, () => {
            for (const list of mine) list.splice(0, list.length, ...junk);
          });
          expect(program).toBe(right);
        }),
        { numRuns: 8 },
      );
    });
    it(`of ${name} are read once`, () => {
      for (let i = 0; i < lists.length; i++)
        expect(
          printed(
            use,
            lists.map((list, k) => (k === i ? shifty(list, 100_000) : [...list])),
          ),
        ).toBe(right);
    });
  }

  it("that are longer than any are refused without being copied", () => {
    const endless = new Array<number>(2 ** 32 - 1);
    for (const [name, [lists, use]] of Object.entries(uses))
      for (let i = 0; i < lists.length; i++)
        expect(
          () =>
            printed(
              use,
              lists.map((list, k) => (k === i ? endless : list)),
            ),
          name,
        ).toThrow(refusal);
  });

  it("of shapes and inputs' specs are copied", () => {
    const store = fresh();
    const [spec, typed, slot] = [[2, 3], { shape: [4], dtype: "i32" as "i32" | "u8" }, [5]];
    const program = compile({ store }, { x: spec, n: typed }, ({ x, n }) => {
      spec[1] = 3000;
      typed.shape[0] = 4000;
      typed.dtype = "u8";
      return { x, n };
    });
    expect([...program.inputs.values()].map(String)).toEqual(["f32[2,3]", "i32[4]"]);
    store.define("w", slot, { init: () => new Float32Array(5) });
    slot[0] = 1 << 24;
    expect(store.get("w")).toHaveLength(5);
    expect(() => compile({ store }, { x: shifty([2, 3], 100_000) }, ({ x }) => ({ x }))).not.toThrow();
  });

  it("of tensors are copied too", () => {
    const [two, three] = [
      [1, 2],
      [1, 2, 3],
    ].map((v) => () => v.map((n) => constant(n)));
    const build = (list: Tensor[], spoil: boolean) =>
      String(
        compile({ store: fresh() }, {}, () => {
          const y = ops.concat(
            list.map((t) => ops.reshape(t, [1])),
            0,
          );
          const clipped = ops.clipByGlobalNorm(list, 1);
          if (spoil) list.length = 0;
          return { y, z: clipped[0] };
        }),
      );
    expect(build(two(), true)).toBe(build(two(), false));
    expect(build(three(), true)).not.toBe(build(two(), false));
  });
});

describe("values", () => {
  it("of a constant and of a prior are copied", () => {
    const values = Float32Array.of(1, 2);
    const mean = new Map([["w", Float32Array.of(3, 4)]]);
    const prior = gaussianPrior({ mean });
    const program = compile({ store: fresh() }, {}, () => {
      const y = ops.square(constant(values));
      values.fill(9);
      return { y };
    });
    expect([...new Float32Array(program.planned.constants.buffer, 0, 2)]).toEqual([1, 2]);
    mean.get("w")!.fill(Number.NaN);
    mean.clear();
    const handed = prior.moments!("w", 2).mean as Float32Array;
    expect(handed).toEqual(Float32Array.of(3, 4));
    handed.fill(7);
    expect(prior.moments!("w", 2).mean).toEqual(Float32Array.of(3, 4));
  });

  it("of configurations, names, preprocessing and thresholds are copied, and what a model has is frozen", () => {
    const names = ["cat", "dog"];
    const [center, spread] = [[0], [1]];
    const config = { a: [1, 2], b: { c: 3 } };
    const preprocess = { scale: [1], shift: [0] };
    const input: [number, number, number] = [4, 4, 1];
    const numbers = gaussian({ center, spread });
    const likelihood = categorical(names);
    const build = (x: Tensor) => linear(ops.flatten(x), 2);
    const model = new Model({ input, likelihood, build, config, preprocess, device: nullDevice() });
    const threshold = { certainty: 0.5, risk: 0, coverage: 1, count: 1 };
    model.threshold = threshold;
    names[0] = "horse";
    center[0] = spread[0] = 1e9;
    config.a[0] = config.b.c = preprocess.scale[0] = input[0] = 77;
    threshold.certainty = Number.NaN;
    expect(likelihood.classes).toEqual(["cat", "dog"]);
    expect(numbers.config).toMatchObject({ center: [0], spread: [1] });
    expect(model.config).toEqual({ a: [1, 2], b: { c: 3 } });
    expect(model.preprocess).toMatchObject({ scale: [1] });
    expect(model.inputShape).toEqual([4, 4, 1]);
    expect(model.threshold).toEqual({ certainty: 0.5, risk: 0, coverage: 1, count: 1 });
    const writes: (() => unknown)[] = [
      () => (model.inputShape as unknown as number[]).pop(),
      () => (model.outputShape as number[]).push(1),
      () => (model.targetShape as number[]).push(1),
      () => ((model.config as typeof config).b.c = 4),
      () => ((model.threshold as typeof threshold).certainty = 0),
      () => (model.preprocess!.scale as number[]).push(1),
      () => (likelihood.classes as string[]).push("x"),
      () => ((likelihood.config as { kind: string }).kind = "x"),
      () => ((likelihood as { nll: unknown }).nll = 1),
      () => ((model as { store: unknown }).store = fresh()),
    ];
    for (const write of writes) expect(write).toThrow(TypeError);
    for (const made of [adam(), sgd(), gaussianPrior(), model.bayes.posterior])
      expect(Object.isFrozen(made)).toBe(true);
    model.close();
  });

  it("of a schedule's own memory are kept, also where it is a method of a class", () => {
    class Mine {
      readonly name = "mine";
      at() {
        return 1;
      }
      learn() {
        return { best: this.name.length, waited: 0, drops: 0 };
      }
    }
    expect(warmUpRate(1, new Mine()).learn?.(undefined, 1)).toEqual({ best: 4, waited: 0, drops: 0 });
  });

  it("of options are read once, and options that throw are refused", () => {
    let reads = 0;
    const own = checkOptions("here", { get a() { return reads++; } }, { a: "number" }); // biome-ignore format: short
    expect([own.a, own.a, reads]).toEqual([0, 0, 1]);
    expect(Object.isFrozen(own)).toBe(true);
    const throwing = { get momentum(): number { throw new Error("no"); } }; // biome-ignore format: short
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    for (const bad of [throwing, revoked.proxy]) expect(() => sgd(bad)).toThrow(/^\[sgd\] expected options/);
    const inherited = Object.create({ momentum: 2 });
    expect(() => sgd(inherited)).toThrow(/momentum/);
  });
});

describe("what is handed out", () => {
  it("cannot be changed: tensors, nodes, programs, slots", () => {
    const store = fresh();
    const program = compile({ store }, { x: [1, 4, 4, 1] }, ({ x }) => {
      const y = conv2d(x, 2, 3);
      const { node } = y;
      const writes: (() => unknown)[] = [
        () => (y.shape as number[]).pop(),
        () => ((y.shape as number[])[0] = 7),
        () => ((y as { shape: unknown }).shape = [7]),
        () => ((y as { node: unknown }).node = x.node),
        () => (node.inputs as Tensor[]).pop(),
        () => (node.outputs as Tensor[]).pop(),
        () => ((node.attrs as Record<string, unknown>).groups = 7),
        () => ((node.attrs.stride as number[])[0] = 7),
        () => ((node as { inputs: unknown }).inputs = []),
      ];
      for (const write of writes) expect(write).toThrow(TypeError);
      return { y };
    });
    const slot = store.slot("conv2d_0/weight");
    const writes: (() => unknown)[] = [
      () => (program.inputs as Map<string, Tensor>).clear(),
      () => (program.outputs as Map<string, Tensor>).delete("y"),
      () => ((program as { store: unknown }).store = fresh()),
      () => (store.slots as Map<string, unknown>).set("x", slot),
      () => (store.streams as Map<string, number>).set("x", 1),
      () => (slot.shape as number[]).push(7),
      () => ((slot as { dtype: string }).dtype = "u8"),
    ];
    for (const write of writes) expect(write).toThrow(TypeError);
  });

  it("is known again: what only looks like a tensor is none", () => {
    compile({ store: fresh() }, { x: [2, 3] }, ({ x }) => {
      for (const fake of forged(x)) {
        expect(Tensor.is(fake)).toBe(false);
        const takes: (() => unknown)[] = [
          () => ops.square(fake),
          () => ops.flatten(fake),
          () => linear(fake, 2),
          () => grad(fake, [x]),
          () => grad(ops.sum(x), [fake]),
          () => ops.concat([x, fake], 0),
          () => ops.checkFinite([fake]),
          () => withTrace({ store: fresh(), noise: { rng: fake, rows: fake } }, () => 0),
          () => compile({ store: fresh() }, {}, () => ({ y: fake })),
        ];
        for (const take of takes) expect(take).toThrow(BayesError);
      }
      return { x };
    });
  });
});

describe("a program of a store", () => {
  const two = () => {
    const [a, b] = [fresh(), fresh()];
    for (const store of [a, b]) store.define("w", [2], { trainable: true });
    return { a, b };
  };

  it("reads and writes its own slots alone, as they are now", () => {
    const { a, b } = two();
    const other = /own store, received w of another, read by square \(at .*callers\.test\.ts:\d+\)$/;
    expect(() => compile({ store: a }, {}, () => ({ y: ops.square(b.tensor("w")) }))).toThrow(other);
    expect(() => compile({ store: a }, {}, () => ({ y: b.tensor("w") }))).toThrow(/of another, read by the caller$/);
    const kept = a.tensor("w");
    a.delete("w");
    a.define("w", [1]);
    expect(() => compile({ store: a }, {}, () => ({ y: ops.square(kept) }))).toThrow(
      /w as it is now, received one of before/,
    );
    compile({ store: a }, {}, () => ({ y: ops.square(a.tensor("w")) }));
  });

  it("writes into nothing else in place: neither inputs, constants, results, nor other stores", () => {
    const { a, b } = two();
    const targets: Record<string, (x: Tensor) => Tensor> = {
      "the input x": (x) => x,
      "a constant": () => constant(new Float32Array(2)),
      "the result of square": () => ops.square(a.tensor("w")),
      "the result of reshape": () => ops.reshape(a.tensor("w"), [1, 2]),
      "w of another store": () => b.tensor("w"),
    };
    for (const [what, target] of Object.entries(targets)) {
      const writers: ((t: Tensor, own: Tensor) => void)[] = [
        (t) => ops.sgdUpdate(constant(1), [{ param: t, grad: t }]),
        (t, own) => ops.sgdUpdate(constant(1), [{ param: own, grad: t, velocity: t }], { momentum: 0.9 }),
        (t) => ops.adamUpdate(constant(1), constant(Int32Array.of(1)), [{ param: t, grad: t, m: t, v: t }]),
        (t) => ops.batchNorm2dUpdate(t, t, t, t, { count: 2 }),
        (t) => sgd().update(new Map([["w", t]]), [t], constant(1), constant(Int32Array.of(1))),
        (t) => adam().update(new Map([["w", t]]), [t], constant(1), constant(Int32Array.of(1))),
      ];
      for (const write of writers)
        expect(
          () =>
            compile({ store: a }, { x: [2] }, ({ x }) => {
              const t = target(x);
              const own = a.tensor("w");
              write(t, t.shape.length === 1 ? own : ops.reshape(own, [1, 2]));
              return { x };
            }),
          what,
        ).toThrow(BayesError);
    }
    expect([...a.slots.keys()]).toEqual(["w"]); // no moments of a refused optimizer
    const twice = () =>
      compile({ store: a }, { g: [2] }, ({ g }) => {
        ops.sgdUpdate(
          constant(1),
          [a, a].map((s) => ({ param: s.tensor("w"), grad: g })),
        );
        return { g };
      });
    expect(twice).toThrow(/^\[sgd\] expected every parameter once, received "w"/);
  });

  it("that was refused leaves no slots and no streams, and has asked for no contents", () => {
    const store = fresh();
    let asked = 0;
    const build = (x: Tensor): Tensor => {
      parameter("own", [2], () => {
        asked++;
        return new Float32Array(2);
      });
      store.define("other", [2]);
      return bayesConv2d(x, 2, 3);
    };
    const options = { store, mode: "sample" as const };
    expect(() => compile(options, { x: [1, 2, 2, 1] }, ({ x }) => ({ y: build(x) }))).toThrow(BayesError);
    const wrong = () => {
      store.define("v", [2]);
      store.define("u", [2], { init: () => new Float32Array(3) });
      return {};
    };
    expect(() => compile({ store }, {}, wrong)).toThrow(/2 values/);
    const caught = () => {
      const u = store.tensor(store.define("u", [2], { init: () => new Float32Array(3) }).name);
      expect(() => store.get("u")).toThrow(/2 values/);
      return { u };
    };
    expect(() => compile({ store }, {}, caught)).toThrow(/tensor of u as it is now, received one of before/);
    expect([store.slots.size, store.streams.size, asked]).toEqual([0, 0, 0]);
    compile({ store }, { x: [1, 4, 4, 1] }, ({ x }) => {
      build(x);
      expect(asked).toBe(0);
      expect(store.get("own")).toEqual(new Float32Array(2)); // whoever looks finds it
      return { x };
    });
    expect(asked).toBe(1);
  });
});

it("programs made by hand, posteriors and priors of one's own take anything badly, but well-mannered", () => {
  const junk = [undefined, null, 1, "x", [], {}, new Map([["x", {}]]), [{}], () => 1] as never[];
  for (const a of junk)
    for (const b of junk) {
      expect(() => new Program(a, b, new Map(), [])).toThrow(BayesError);
      if (!((b as unknown) instanceof Map)) expect(() => new Program(fresh(), b, a, [])).toThrow(BayesError);
    }
  const layer = (bayes: object) => () =>
    compile({ store: fresh(), mode: "sample" }, { x: [2, 3] }, ({ x }) => ({ y: bayesLinear(x, 2, bayes) }));
  for (const result of junk) {
    expect(layer({ posterior: { name: "mine", weight: () => result } })).toThrow(/posterior mine to give|expected/);
    const prior = { name: "mine", klRho: () => result, logDensity: () => result };
    expect(layer({ prior })).toThrow(BayesError);
    expect(layer({ prior, kl: "sampled" })).toThrow(BayesError);
  }
});

it("as many draws of all weights as nobody could plan, and nested texts, are refused", () => {
  const draws = () =>
    compile({ store: fresh(), mode: "sample", samples: 65536, noise: noiseOf() }, { x: [1, 3] }, ({ x }) => ({
      y: bayesLinear(x, 2, { estimator: "weight" }),
    }));
  expect(draws).toThrow(/^\[bayesLinear\] expected at most 1024 samples with estimator "weight"/);
  expect(() => parseRate(`${"warmup:1:".repeat(20_000)}0.1`)).toThrow(BayesError);
  expect(() => cubicSchedule(0.5, 2 ** 40)).toThrow(/the number of rounds to be an integer from 1 to 1048576/);
});

describe("what is too large for memory", () => {
  it("is refused before anything is initialised", () => {
    const store = fresh();
    let asked = 0;
    const init = () => {
      asked++;
      return new Float32Array(1);
    };
    const memory = /^\[[^\]]+\] expected \S+ GiB of free memory, received \S+ GiB: /;
    const huge = () =>
      compile({ store }, {}, () => {
        parameter("small", [1], init);
        parameter("large", [2 ** 24, 2 ** 23], init);
        return {};
      });
    expect(huge).toThrow(memory);
    expect([store.slots.size, asked]).toEqual([0, 0]);
    // each would fit, all together not
    const each = Math.floor(freeMemory() / 4 / 3);
    const many = () =>
      compile({ store }, {}, () => {
        for (let i = 0; i < 4; i++) parameter(`p${i}`, [each], init);
        return {};
      });
    expect(many).toThrow(/4 tensors, this one the largest/);
    expect([store.slots.size, asked]).toEqual([0, 0]);
    const make = (side: number) => () =>
      createModel({ model: "lenet5", input: [side, side, 1], classes: 10, device: nullDevice() });
    expect(make(1 << 20)).toThrow(memory);
    expect(make(1 << 17)).toThrow(memory);
    expect(() =>
      compile({ store }, { x: [1] }, ({ x }) => ({ y: ops.broadcastTo(x, [2 ** 20, 2 ** 20, 2 ** 20]) })),
    ).toThrow(expect.objectContaining({ code: "ERR_BAYES_MEMORY" }));
    const program = compile({ store }, { x: [1] }, ({ x }) => ({ y: ops.broadcastTo(x, [1 << 16]) }));
    expect(() => program.run({ x: 1 }, 2 ** 31 - 1)).toThrow(/^\[run\] expected .* of free memory, .*fewer steps/);
  });

  it("such as an ONNX file above protobuf's limit", (context) => {
    if (freeMemory() < 2 ** 32) {
      console.log("skipped: less than 4 GiB of free memory");
      context.skip();
    }
    const build = (x: Tensor) => linear(ops.flatten(x), 2);
    const model = new Model({ input: [2, 2, 1], likelihood: categorical(2), build, device: nullDevice() });
    model.store.define("large/weight", [2 ** 29], { trainable: true });
    expect(() => exportOnnx(model)).toThrow(
      /2\^31 bytes that an ONNX file can hold, received 2147483\d+ bytes of weights/,
    );
    model.close();
  });
});

describe("what a slot holds", () => {
  it("is finite, not negative or a mask, as it was made; the first bad value is named and nothing has changed", () => {
    const store = fresh();
    const first = () => Float32Array.of(1, 0);
    store.define("w", [2], { init: first });
    store.define("v", [2], { init: first, values: "not negative" });
    store.define("m", [2], { init: first, values: "mask" });
    store.define("a", [2], { values: "any" });
    const cases: [string, number, RegExp][] = [
      ["w", Number.NaN, /^\[store w\] expected finite values, received NaN at 1$/],
      ["w", Infinity, /received Infinity at 1/],
      ["v", -1e-9, /^\[store v\] expected finite values of at least 0, received -9\.99\S+e-10 at 1$/],
      ["v", Infinity, /at 1/],
      ["m", 0.5, /^\[store m\] expected a mask of 0 and 1, received 0\.5 at 1$/],
    ];
    for (const [name, value, message] of cases) {
      expect(() => store.set(name, Float32Array.of(0, value))).toThrow(message);
      expect(store.get(name)).toEqual(first());
    }
    store.set("a", Float32Array.of(Number.NaN, 1));
    expect(() => store.define("z", [1], { init: () => Float32Array.of(Number.NaN) })).toThrow(/store z/);
    expect(store.slots.has("z")).toBe(false);
    expect(() => store.define("z", [1], { values: "toString" as never })).toThrow(/values "finite"/);
  });
});

describe("the published nets", () => {
  const nets = {
    lenet5,
    "lenet5-caffe": lenet5Caffe,
    resnet18,
    resnet20,
    mobilenet,
    vgg11,
    vgg16,
    alexnet,
    "3conv3fc": conv3fc3,
  };
  class Traced extends Error {}
  // a trace that ends with an error makes no parameters: quick
  const traced = (name: keyof typeof nets, [h, w, c]: number[], bayesian: boolean) => {
    try {
      withTrace({ store: fresh(), training: true }, () => {
        const y = nets[name](constant(new Float32Array(2 * h * w * c), [2, h, w, c]), kit({ bayesian }), 3);
        expect(y.shape).toEqual([2, 3]);
        throw new Traced();
      });
    } catch (error) {
      if (error instanceof Traced) return "works";
      return (error as Error).message;
    }
    return "?";
  };
  for (const name of Object.keys(nets) as (keyof typeof nets)[])
    it(`${name} takes images of any size, or says the least`, () => {
      const side = fc.integer({ min: 1, max: 40 });
      fc.assert(
        fc.property(side, side, fc.boolean(), (h, w, bayesian) => {
          const result = traced(name, [h, w, 1], bayesian);
          const least = new RegExp(`^\\[${name}\\] expected images of at least \\d+x\\d+ pixels, received ${h}x${w}$`);
          if (result !== "works") expect(result).toMatch(least);
        }),
        { numRuns: /^(resnet|mobilenet|vgg)/.test(name) ? 8 : 20, examples: [[1, 1, true], [1, 40, false], [40, 1, true], [23, 23, true]] }, // biome-ignore format: short
      );
    });
  it("resnet20 and alexnet work from 1x1 up, lenet5 from 28x28, 3conv3fc from 23x23", () => {
    for (const size of [[1, 1, 1], [1, 9, 3], [9, 1, 1]]) for (const name of ["resnet20", "alexnet"] as const) expect(traced(name, size, true)).toBe("works"); // biome-ignore format: short
    expect([traced("lenet5", [28, 28, 1], true), traced("3conv3fc", [23, 23, 1], true)]).toEqual(["works", "works"]);
    expect(traced("3conv3fc", [22, 23, 1], true)).toMatch(/at least 23x23/);
  });
});

it("ops take anything badly, but well-mannered", () => {
  const all = Object.entries(ops) as [string, (...args: unknown[]) => unknown][];
  const value = fc.oneof(
    fc.constantFrom("x", "index", "list", "parts"),
    fc.constantFrom(undefined, null, Number.NaN, -1, 3, 0.5, 1e300, "3", true, 10n, Symbol("s"), [], [2, 3], [-1, 2], {}, { length: 3 }, { kernel: 2 }, new Float32Array(3), () => 3), // biome-ignore format: short
  );
  fc.assert(
    fc.property(fc.constantFrom(...all), fc.array(value, { maxLength: 4 }), ([, op], args) => {
      only(() =>
        compile({ store: fresh() }, { x: [2, 6, 6, 4], i: { shape: [2], dtype: "i32" } }, ({ x, i }) => {
          const parts = { mu: x, sigma2: x, param: x, grad: x, m: x, v: x, rng: i, rows: i };
          const known: Record<string, unknown> = { x, index: i, list: [x, x], parts };
          const given = args.map((a) => (typeof a === "string" && Object.hasOwn(known, a) ? known[a] : a));
          op(...given);
          return { x };
        }),
      );
    }),
    { numRuns: 1500 },
  );
});
