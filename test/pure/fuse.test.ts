import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, inLayer, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { topo } from "../../lib/graph/walk.ts";
import { add } from "../../lib/ops/add.ts";
import { batchNorm2d, batchNorm2dInference } from "../../lib/ops/batchNorm2d.ts";
import { bayesConv2d } from "../../lib/ops/bayesConv2d.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { leakyRelu } from "../../lib/ops/leakyRelu.ts";
import { linear } from "../../lib/ops/linear.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { mul } from "../../lib/ops/mul.ts";
import { relu } from "../../lib/ops/relu.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { sigmoid } from "../../lib/ops/sigmoid.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { sum } from "../../lib/ops/sum.ts";
import { tanh } from "../../lib/ops/tanh.ts";
import { nullDevice } from "../null-device.ts";

type Inputs = Readonly<Record<"x" | "w" | "b", Tensor>>;
const specs = { x: [4, 3], w: [3, 5], b: [5] };
const planned = (build: (t: Inputs) => Record<string, Tensor>) =>
  compile({ store: new Store(nullDevice()) }, specs, build).planned;
/** The ops of the program, with the attributes of what was fused. */
const steps = (build: (t: Inputs) => Record<string, Tensor>): string[] =>
  planned(build).native.steps.map(({ op, attrs: { activation, slope } }) =>
    activation ? `${op} ${activation} ${slope}` : op,
  );

describe("an activation behind a layer", () => {
  it.each([
    ["relu", relu, "1 0"],
    ["leakyRelu", (z: Tensor) => leakyRelu(z, 0.25), "1 0.25"],
    ["softplus", softplus, "2 0"],
  ] as const)("%s becomes part of it, forward and backward", (name, f, how) => {
    expect(steps(({ x, w, b }) => ({ y: f(linear(x, w, b)) }))).toEqual([`linear ${how}`]);
    const graded = planned(({ x, w, b }) => {
      const y = f(linear(x, w, b));
      return { y, dw: grad(sum(mul(y, y)), [w])[0] };
    });
    const last = graded.native.steps.at(-1)!;
    expect([last.op, last.attrs.activation, last.attrs.slope].join(" ")).toBe(`linearGrad ${how}`);
    expect(last.inputs.at(-1)!.shape).toEqual([4, 5]); // y
    expect(graded.native.steps.filter(({ op }) => op.startsWith(name))).toEqual([]);
  });

  it("becomes part of batch norm, in training and with given statistics", () => {
    const trained = (x: Tensor, b: Tensor) => batchNorm2d(x, b, b).y;
    const given = (x: Tensor, b: Tensor) => batchNorm2dInference(x, b, b, b, b);
    for (const [name, norm] of [
      ["batchNorm2d", trained],
      ["batchNorm2dInference", given],
    ] as const) {
      const build = ({ x, w, b }: Inputs) => {
        const y = relu(norm(linear(x, w), b));
        return { y, dw: grad(sum(mul(y, y)), [w])[0] };
      };
      const made = steps(build);
      expect(made).toContain(`${name} 1 0`);
      expect(made).toContain("batchNorm2dGrad 1 0");
      expect(made.filter((op) => op.startsWith("relu"))).toEqual([]);
      const { inputs, outputs } = planned(build).native.steps.find(({ op }) => op === "batchNorm2dGrad")!;
      expect(outputs[0]).toEqual(inputs[0]); // dx takes the place of dy
    }
  });

  it("keeps the layer's name, line and place in the order", () => {
    const { steps } = planned(({ x, w }) => {
      const z = inLayer("first", () => linear(x, w));
      const other = sigmoid(x);
      return { y: inLayer("second", () => relu(z)), other };
    });
    expect(steps.map((s) => s.op)).toEqual(["linear", "sigmoid"]);
    expect(steps[0].node!.describe()).toMatch(/^linear \(layer first, at test\/pure\/fuse\.test\.ts:\d+\)$/);
  });

  it("goes on: what reads the activation reads the layer", () => {
    expect(
      steps(({ x, w }) => {
        const y = softplus(linear(x, w));
        return { y: sum(add(y, sigmoid(y))), flat: relu(conv2d(reshape(y, [4, 1, 5, 1]), reshape(w, [1, 1, 1, 15]))) };
      }),
    ).toEqual(["linear 2 0", "sigmoid", "add", "sum", "conv2d 1 0"]);
  });

  it("leaves the traced graph as it was", () => {
    let traced: Tensor | undefined;
    planned(({ x, w }) => {
      traced = relu(linear(x, w));
      return { y: traced };
    });
    expect(topo([traced!]).flatMap((n) => (n.leaf ? [] : [n.op.name]))).toEqual(["linear", "relu"]);
  });
});

describe("stays apart", () => {
  it("when something else reads the layer", () => {
    expect(
      steps(({ x, w }) => {
        const z = linear(x, w);
        return { y: add(relu(z), z) };
      }),
    ).toEqual(["linear", "relu", "add"]);
  });
  it("when the layer is an output", () => {
    expect(
      steps(({ x, w }) => {
        const z = linear(x, w);
        return { z, y: softplus(z) };
      }),
    ).toEqual(["linear", "softplus"]);
  });
  it("when two activations follow", () => {
    expect(
      steps(({ x, w }) => {
        const z = linear(x, w);
        return { y: relu(z), other: softplus(z) };
      }),
    ).toEqual(["linear", "relu", "softplus"]);
  });
  it("behind another op, and of other functions", () => {
    expect(steps(({ x, w }) => ({ y: sigmoid(linear(x, w)), other: relu(tanh(x)) }))).toEqual([
      "linear",
      "sigmoid",
      "tanh",
      "relu",
    ]);
  });
  it("when the slope is not positive: the sign of the output says nothing then", () => {
    for (const slope of [0, -0.5])
      expect(
        steps(({ x, w }) => {
          const y = leakyRelu(linear(x, w), slope);
          return { y, dw: grad(sum(y), [w])[0] };
        }),
      ).toEqual(["broadcastTo", "linear", "leakyRelu", "leakyReluGrad", "linearGrad"]); // of a constant: frozen
  });
  it("in the gradient, when that of the sums is asked for, or is one part of several", () => {
    const ops = (more: (z: Tensor, y: Tensor) => Tensor) =>
      steps(({ x, w }) => {
        const z = linear(x, w);
        const y = softplus(z);
        const [dz, dw] = grad(more(z, y), [z, w]);
        return { dz, dw };
      });
    expect(ops((_, y) => sum(y))).toContain("softplusGrad");
    expect(ops((z, y) => add(sum(y), sum(sigmoid(z))))).toContain("softplusGrad");
  });
});

describe("an activation before max pooling", () => {
  const pool = (t: Tensor) => maxPool2d(t, { kernel: [1, 2], stride: 1 }); // windows overlap
  const maps = (t: Tensor) => reshape(t, [4, 1, 1, 3]);
  const layer = ({ x, w }: Inputs) => conv2d(maps(x), reshape(w, [1, 1, 3, 5]), undefined, { padding: [0, 1] });
  it.each([
    ["relu", relu, { activation: 1, slope: 0 }],
    ["leakyRelu", (z: Tensor) => leakyRelu(z, 0.25), { activation: 1, slope: 0.25 }],
    ["softplus", softplus, { activation: 2, slope: 0 }],
  ] as const)("%s becomes part of it, and its gradient comes before that of the pooling", (name, f, how) => {
    const { steps } = planned((t) => {
      const p = pool(f(layer(t)));
      return { p, dw: grad(sum(mul(p, p)), [t.w])[0] };
    });
    const found = steps.filter((s) => /pool|relu|softplus|conv/i.test(s.op)).map((s) => s.node!);
    expect(found.map((n) => n.op.name)).toEqual(["conv2d", "maxPool2d", `${name}Grad`, "maxPool2dGrad", "conv2dGrad"]);
    expect(found[0].attrs.activation).toBe(undefined);
    expect(found[1].attrs).toMatchObject(how);
    expect(found.slice(1, 4).map((n) => n.outputs[0].shape)).toEqual([
      [4, 1, 2, 5],
      [4, 1, 2, 5],
      [4, 1, 3, 5],
    ]);
  });
  it.each([
    ["something else reads it", (y: Tensor, p: Tensor) => ({ y: add(sum(y), sum(p)) })],
    ["it is an output", (y: Tensor, p: Tensor) => ({ y, p })],
  ] as const)("stays there when %s", (_, results) => {
    const ops = steps((t) => {
      const y = relu(layer(t));
      return results(y, pool(y));
    });
    expect(ops.slice(0, 2)).toEqual(["conv2d 1 0", "maxPool2d"]);
  });
  it("stays there when its own gradient is asked for, or a negative slope turns it around", () => {
    const graded = (f: (z: Tensor) => Tensor, wrt: (t: Inputs, y: Tensor) => Tensor[]) =>
      steps((t) => {
        const y = f(layer(t));
        return Object.fromEntries(grad(sum(pool(y)), wrt(t, y)).map((g, i) => [`g${i}`, g]));
      });
    expect(graded(softplus, (t, y) => [y, t.w]).slice(1, 3)).toEqual(["conv2d 2 0", "maxPool2d"]);
    const turned = graded(
      (z) => leakyRelu(z, -1),
      (t) => [t.w],
    );
    expect(turned.slice(1, 4)).toEqual(["conv2d", "leakyRelu", "maxPool2d"]);
  });
});

describe("max pooling by tiles behind a layer", () => {
  const layer = ({ x, w }: Inputs) =>
    conv2d(reshape(x, [4, 1, 1, 3]), reshape(w, [1, 1, 3, 5]), undefined, { padding: [0, 1] });
  const pool = (t: Tensor, stride: number = 2) => maxPool2d(t, { kernel: [1, 2], stride: [1, stride] });
  const types = ["f32", "i32", "u8"];
  const shapes = (ts: readonly { shape: readonly number[]; dtype: number }[]) =>
    ts.map((t) => `${types[t.dtype]} ${t.shape}`);

  it("becomes part of it with its activation, forward and backward", () => {
    const { native } = planned((t) => {
      const p = pool(softplus(layer(t)));
      return { p, dw: grad(sum(mul(p, p)), [t.w])[0] };
    });
    const found = native.steps.filter((s) => /pool|relu|softplus|conv/i.test(s.op));
    expect(found.map((s) => s.op)).toEqual(["conv2d", "conv2dGrad"]);
    const [forward, backward] = found;
    for (const { attrs } of found) expect(attrs).toMatchObject({ pool: [1, 2], activation: [2], slope: [0] });
    expect(shapes(forward.outputs)).toEqual(["f32 4,1,1,5", "u8 4,1,1,5"]);
    expect(shapes(backward.inputs)).toEqual([
      ...["f32 4,1,1,5", "f32 4,1,1,3", "f32 1,1,3,5"], // dy, x, w
      ...["f32 4,1,1,5", "u8 4,1,1,5"], // y, where
    ]);
  });
  it("of a Bayesian layer keeps only what the largest had of r", () => {
    const { native } = planned((t) => {
      const [mu, sigma2] = [t.w, mul(t.w, t.w)].map((w) => reshape(w, [1, 1, 3, 5]));
      const noise = { rng: constant(new Int32Array(4)), rows: constant(new Int32Array(4)), stream: 0, samples: 1 };
      const p = pool(bayesConv2d(reshape(t.x, [4, 1, 1, 3]), { mu, sigma2 }, noise, { padding: [0, 1] }));
      return { p, dw: grad(sum(mul(p, p)), [t.w])[0] };
    });
    const [forward, backward] = native.steps.filter((s) => /pool|conv/i.test(s.op));
    expect(shapes(forward.outputs)).toEqual(["f32 4,1,1,5", "f32 4,1,1,5", "u8 4,1,1,5"]);
    expect(backward.op).toBe("bayesConv2dGrad");
    expect(shapes([backward.inputs[1], backward.inputs.at(-1)!])).toEqual(["f32 4,1,1,5", "u8 4,1,1,5"]);
  });
  it("stays apart when windows overlap, or something else reads the map or its gradient", () => {
    const convs = (build: (t: Inputs, z: Tensor) => Record<string, Tensor>) =>
      steps((t) => build(t, layer(t))).filter((op) => /pool|conv/i.test(op));
    expect(convs((_, z) => ({ p: pool(z) }))).toEqual(["conv2d"]);
    expect(convs((_, z) => ({ p: pool(z, 1) }))).toEqual(["conv2d", "maxPool2d"]);
    expect(convs((_, z) => ({ p: pool(z), z }))).toEqual(["conv2d", "maxPool2d"]);
    const graded = convs((t, z) => {
      const p = pool(z);
      const [dz, dw] = grad(sum(mul(p, p)), [z, t.w]);
      return { p, dz, dw };
    });
    expect(graded).toEqual(["conv2d", "maxPool2d", "maxPool2dGrad", "conv2dGrad"]);
  });
});
