// MobileNet, VGG and ResNet-18 as papers and libraries count them: traced, their weights never made.
import { describe, expect, it } from "vitest";
import { constant, sizeOf } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { trace, withTrace } from "../../lib/graph/trace.ts";
import { createModel } from "../../lib/index.ts";
import * as nets from "../../lib/models/index.ts";
import { type Kit, kit, mobilenet, resnet18, vgg11, vgg16 } from "../../lib/models/index.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { nullDevice } from "../null-device.ts";

type Net = typeof mobilenet;
const STATISTICS = /norm\/(mean|variance)$/;

/** Trainable values, and the maps [height, width, channels] behind each convolution, by name. */
function traced(net: Net, [h, w, c]: readonly number[], outputs: number, { bayesian = false, width = 1 } = {}) {
  class Done extends Error {}
  const parts = kit({ bayesian });
  const maps = new Map<string, string>();
  const look: Kit = {
    ...parts,
    conv(x, filters, kernel, options) {
      const y = parts.conv(x, filters, kernel, options);
      maps.set(options!.name!, y.shape.slice(1).join("x"));
      return y;
    },
  };
  let parameters = 0;
  const build = () => {
    const y = net(constant(new Float32Array(2 * h * w * c), [2, h, w, c]), look, outputs, width);
    expect(y.shape).toEqual([2, outputs]);
    for (const [name, t] of trace().parameters) if (!STATISTICS.test(name)) parameters += sizeOf(t.shape);
    throw new Done(); // before anything is made
  };
  expect(() => withTrace({ store: new Store(nullDevice()), training: true }, build)).toThrow(Done);
  return { parameters, maps };
}

describe("parameters", () => {
  const counts: [string, Net, number, number[], number, number][] = [
    // Howard et al. 2017, table 6 and 7: 4.2, 2.6, 1.3 and 0.5 million; to the last one as Keras counts the trainable ones
    ["MobileNet", mobilenet, 1, [224, 224, 3], 1000, 4_231_976],
    ["MobileNet 0.75", mobilenet, 0.75, [224, 224, 3], 1000, 2_585_560],
    ["MobileNet 0.5", mobilenet, 0.5, [224, 224, 3], 1000, 1_331_592],
    ["MobileNet 0.25", mobilenet, 0.25, [224, 224, 3], 1000, 470_072],
    ["ResNet-18", resnet18, 1, [224, 224, 3], 1000, 11_689_512],
    // torchvision's vgg11_bn and vgg16_bn without their classifiers have 9,225,984 and 14,723,136, with the biases that
    // norms take back (2,752 and 4,224); 5,130 are the outputs'
    ["VGG-11", vgg11, 1, [32, 32, 3], 10, 9_225_984 - 2752 + 5130],
    ["VGG-16", vgg16, 1, [32, 32, 3], 10, 14_723_136 - 4224 + 5130],
  ];
  it.each(counts)("%s has as many as published", (_, net, width, input, outputs, count) => {
    expect(traced(net, input, outputs, { width }).parameters).toBe(count);
  });
  it("a Bayesian twin has a mean and a rho for each weight and bias", () => {
    for (const [net, norms] of [
      [mobilenet, 21_888],
      [vgg11, 5504],
      [vgg16, 8448],
    ] as const) {
      const [plain, bayesian] = [false, true].map((b) => traced(net, [32, 32, 3], 10, { bayesian: b }).parameters);
      expect(bayesian).toBe(2 * plain - norms);
    }
  });
});

describe("maps", () => {
  const ofMobilenet = (h: number, w: number) => {
    const { maps } = traced(mobilenet, [h, w, 3], 10);
    return ["conv1", "block1/depthwise", "block2/pointwise", "block4/depthwise", "block13/pointwise"].map((n) =>
      maps.get(n),
    );
  };
  it("of MobileNet are the paper's at 224x224, and keep their size at first where images are small", () => {
    expect(ofMobilenet(224, 224)).toEqual(["112x112x32", "112x112x32", "56x56x128", "28x28x128", "7x7x1024"]);
    expect(ofMobilenet(32, 32)).toEqual(["32x32x32", "32x32x32", "16x16x128", "8x8x128", "2x2x1024"]);
    expect(ofMobilenet(65, 9)).toEqual(["33x5x32", "33x5x32", "17x3x128", "9x2x128", "3x1x1024"]);
    expect(ofMobilenet(1, 1).at(-1)).toBe("1x1x1024");
  });
  it("of VGG are halved behind each stage, but never to nothing", () => {
    expect([...traced(vgg11, [32, 32, 3], 10).maps.values()]).toEqual(
      ["32x32x64", "16x16x128", "8x8x256", "8x8x256", "4x4x512", "4x4x512", "2x2x512", "2x2x512"], // biome-ignore format: one net
    );
    expect([...traced(vgg16, [28, 20, 1], 10).maps.values()].at(-1)).toBe("1x1x512");
    expect(traced(vgg16, [1, 1, 1], 10).maps.size).toBe(13);
  });
});

describe("a wrong", () => {
  const refused = (config: object, text: string) =>
    expect(() => createModel({ input: [32, 32, 3], classes: 10, device: nullDevice(), ...config } as never)).toThrow(
      text,
    );
  it("width", () => {
    for (const width of [0, 0.1, 2, Number.NaN, "half"])
      refused({ model: "mobilenet", width }, "[createModel] expected a valid width (0.25 to 1), received");
    refused({ model: "vgg11", width: 0.5 }, '[createModel] expected a width with model mobilenet alone, received "vgg11"'); // biome-ignore format: long
  });
  it("place of dropout", () => {
    const after = { dropout: 0.2, dropoutAfter: ["block1"] };
    refused({ model: "mobilenet", ...after }, '[mobilenet] expected dropoutAfter among block13/pointwise, received "block1"'); // biome-ignore format: long
    refused({ model: "vgg11", ...after }, '[vgg11] expected dropoutAfter among conv8, received "block1"');
  });
});

describe("without a kit, or with another thing,", () => {
  const { alexnet, conv3fc3, espcn, lenet5, lenet5Caffe, resnet20 } = nets;
  const all = { alexnet, conv3fc3, espcn, lenet5, lenet5Caffe, mobilenet, resnet18, resnet20, vgg11, vgg16 };
  it.each(Object.entries(all))("%s says so", (_, net) => {
    const x = constant(new Float32Array(32 * 32), [1, 32, 32, 1]);
    for (const [wrong, message] of [
      [undefined, "expected a kit, as kit() makes it, received undefined"],
      [kit, "expected a kit, as kit() makes it, received function kit"],
      [{}, "expected a kit, as kit() makes it, with conv as a function, received undefined"],
      [{ ...kit(), drop: 3 }, "with drop as a function, received 3"],
      [{ ...kit(), dropoutAfter: "conv1" }, 'dropoutAfter as a list, received "conv1"'],
    ] as [never, string][]) {
      expect(() => net(x, wrong, 3)).toThrow(BayesError);
      expect(() => net(x, wrong, 3)).toThrow(message);
    }
  });
});
