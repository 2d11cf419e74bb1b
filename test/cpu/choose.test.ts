// Which form serves a convolution (native/conv/choose.h), as a plan says it, and what BAYESCNN_CONV and BAYESCNN_WINOGRAD make
// of that: read once in a process, so a child asks.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { NativeProgram } from "../../lib/native/addon.ts";
import { cpu } from "../../lib/native/device.ts";

const root = join(import.meta.dirname, "../..");

interface Shape {
  readonly n: number;
  readonly size: number;
  readonly c: number;
  readonly k: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly groups?: number;
  readonly exact?: boolean;
}

/** A program of two steps: a convolution with padding, plain, and its gradients. */
function program({ n, size, c, k, kernel, stride = 1, groups = 1, exact }: Shape): NativeProgram {
  let arenaBytes = 0;
  const tensor = (...shape: number[]) => {
    const offset = arenaBytes;
    arenaBytes += Math.ceil((4 * shape.reduce((a, b) => a * b)) / 64) * 64;
    return { dtype: 0, space: 0, index: 0, offset, shape };
  };
  const out = Math.ceil(size / stride);
  const [x, w, y] = [tensor(n, size, size, c), tensor(kernel, kernel, c / groups, k), tensor(n, out, out, k)];
  const [dx, dw] = [tensor(...x.shape), tensor(...w.shape)];
  const pad = (kernel - 1) / 2;
  const attrs = {
    ...{
      stride: [stride, stride],
      dilation: [1, 1],
      padding: [pad, pad, pad, pad],
      groups: [groups],
      bias: [0],
      precision: [0],
    },
    ...(exact && { exact: [1] }),
  };
  const step = (op: string, inputs: readonly (typeof x)[], outputs: readonly (typeof x)[]) => ({
    ...{ op, inputs, outputs, attrs, commits: false },
  });
  const steps = [step("conv2d", [x, w], [y]), step("conv2dGrad", [y, x, w], [dx, dw])];
  return { steps, feedBytes: [], resultBytes: [], arenaBytes };
}

/** What the plan says of forward pass and gradients. */
function said(shape: Shape): readonly string[] {
  const { Store, Plan } = cpu().addon;
  const store = new Store();
  const plan = new Plan(store, program(shape));
  const { algorithms } = plan;
  plan.close();
  store.close();
  return algorithms;
}

const narrow = { n: 64, size: 16, c: 3, k: 8, kernel: 3 };
const wide = { n: 8, size: 8, c: 48, k: 40, kernel: 3 };

it.each([
  ["few channels, many images", narrow, ["imageLanes", "data imageLanes; weights imageLanes"]],
  ["many channels", wide, ["winograd/imagePanels", "data winograd/imagePanels; weights winograd"]],
  ["many channels, exact", { ...wide, exact: true }, ["imagePanels", "data imagePanels; weights imagePanels"]],
  ["many channels, 1x1", { ...wide, kernel: 1 }, ["imagePanels", "data imagePanels; weights imagePanels"]],
  [
    "many channels, 1x1 of every second pixel",
    { ...wide, kernel: 1, stride: 2 },
    ["im2col", "data col2im; weights im2col"],
  ],
  ["16 channels", { ...wide, size: 16, c: 16, stride: 2 }, ["imagePanels", "data imagePanels; weights rows"]],
  ["single pixels", { ...wide, size: 1, kernel: 1 }, ["stripes", "data stripes; weights imagePanels"]],
  [
    "single pixels, many images",
    { ...wide, n: 256, size: 1, kernel: 1 },
    ["imagePanels", "data imagePanels; weights imagePanels"],
  ],
  ["many channels, one image", { ...wide, n: 1 }, ["winograd/rows", "data col2im; weights winograd"]],
  ["one image, few channels", { ...narrow, n: 1 }, ["rows", "data col2im; weights rows"]],
  ["a group a channel", { ...wide, k: 48, groups: 48 }, ["channelLanes", "data channelLanes; weights channelLanes"]],
  ["few channels a group", { ...wide, groups: 8 }, ["channelLanes", "data channelLanes; weights channelLanes"]],
  ["many channels a group", { ...wide, groups: 2 }, ["imagePanels", "data imagePanels; weights imagePanels"]],
  ["groups of no whole quads", { ...wide, groups: 4 }, ["im2col", "data col2im; weights im2col"]],
] as const)("chooses by the shape: %s", (_, shape, algorithms) => {
  expect(said(shape)).toEqual(algorithms);
});

/** The same in a process with these environment variables. */
function saidWith(env: Readonly<Record<string, string>>, shapes: readonly Shape[]): readonly (readonly string[])[] {
  const code = `
    const addon = require("node-gyp-build")(${JSON.stringify(root)});
    const store = new addon.Store();
    console.log(JSON.stringify(${JSON.stringify(shapes.map(program))}.map((p) => new addon.Plan(store, p).algorithms)));`;
  return JSON.parse(
    execFileSync(process.execPath, ["-e", code], { cwd: root, encoding: "utf8", env: { ...process.env, ...env } }),
  );
}
const refused = (form: string) => `${form} (BAYESCNN_CONV cannot serve it)`;

const driven = process.env.BAYESCNN_DRIVER !== undefined; // a process without a form of ours
it.skipIf(driven).each([
  ["channelLanes", "channelLanes", "data channelLanes; weights channelLanes"],
  ["imageLanes", "winograd/imageLanes", "data winograd/imageLanes; weights imageLanes"],
  ["imagePanels", "winograd/imagePanels", "data winograd/imagePanels; weights winograd"],
  [
    "stripes",
    refused("winograd/imagePanels"),
    `data ${refused("winograd/imagePanels")}; weights ${refused("winograd")}`,
  ],
  ["rows", "winograd/rows", `data ${refused("winograd/imagePanels")}; weights rows`],
  ["im2col", "winograd/im2col", "data col2im; weights im2col"],
])("takes the form that BAYESCNN_CONV names, where it can: %s", (form, forward, backward) => {
  const grouped = form === "im2col" ? (name: string) => name : refused;
  const groups =
    form === "channelLanes"
      ? [forward, backward]
      : [grouped("im2col"), `data ${grouped("col2im")}; weights ${grouped("im2col")}`];
  expect(saidWith({ BAYESCNN_CONV: form }, [wide, { ...wide, groups: 4 }])).toEqual([[forward, backward], groups]);
});

it.skipIf(driven)("takes Winograd's patches always or never", () => {
  expect(saidWith({ BAYESCNN_WINOGRAD: "never" }, [wide])[0]).toEqual([
    "imagePanels",
    "data imagePanels; weights imagePanels",
  ]);
  const always = saidWith({ BAYESCNN_WINOGRAD: "always" }, [narrow, { ...narrow, exact: true }]);
  expect(always[0][0]).toBe("winograd/imageLanes");
  expect(always[1].join()).not.toContain("winograd");
});
