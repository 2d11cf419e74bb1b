// A trained model that is asked by calling it: images in any form, and whether to rely on the answer.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { saveModel } from "../../lib/checkpoints/open.ts";
import { makeDataset } from "../../lib/data/dataset.ts";
import { loadImageFolder } from "../../lib/data/folder.ts";
import { loadImages } from "../../lib/data/images.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { type ImageInput, openRun } from "../../lib/index.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { bernoulli } from "../../lib/likelihoods/bernoulli.ts";
import { type Categorical, categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { answerOf, doubtOf, type Likelihood } from "../../lib/likelihoods/shared/likelihood.ts";
import { createModel } from "../../lib/models/create.ts";
import { Model } from "../../lib/models/model.ts";
import { setThreads, threads } from "../../lib/native/device.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import type { OpenedRun, Unanswered } from "../../lib/predict/open-run.ts";
import { predict } from "../../lib/predict/predict.ts";
import { fit } from "../../lib/train/fit.ts";
import { imageFolder, sharp } from "../images.ts";

const { dir, place, png } = imageFolder("open-run");
const before = threads();
beforeAll(() => setThreads(1));
afterAll(() => setThreads(before));

const open: { close(): unknown }[] = [];
afterAll(() => open.forEach((one) => void one.close()));
const opened = async (...args: Parameters<typeof openRun<Categorical>>): Promise<OpenedRun<Categorical>> => {
  const run = await openRun<Categorical>(...args);
  open.push(run);
  return run;
};

/** Two classes of coloured pictures, on a black background where they are transparent; and a net of one layer. */
async function trained(background?: string): Promise<Model<Categorical>> {
  for (let i = 0; i < 6; i++) {
    await png(`pets/cat/${i}.png`, 9, 12, [200 - 9 * i, 30, 40]);
    await png(`pets/dog/${i}.png`, 12, 9, [30, 60 + 9 * i, 200]);
  }
  const train = await loadImageFolder(join(dir, "pets"), { size: 8, background });
  const model = new Model({
    name: "tiny",
    input: [8, 8, 3],
    likelihood: categorical(2),
    build,
  });
  open.push(model);
  await fit(model, { train }, { epochs: 2, batchSize: 6 });
  return model;
}
const build = (x: Tensor) => bayesLinear(flatten(x), 2, { name: "fc" });

describe.skipIf(sharp === undefined)("a run that is opened", () => {
  let file: string;
  let photo: string;
  let model: Model<Categorical>;
  beforeAll(async () => {
    model = await trained("black");
    file = place("run/checkpoint.safetensors");
    saveModel(model, file);
    photo = place("photo.png");
    const raw = Uint8Array.from({ length: 15 * 11 * 4 }, (_, i) => (i * 37) % 256);
    await sharp!(raw, { raw: { width: 15, height: 11, channels: 4 } })
      .png()
      .toFile(photo);
  });

  it("answers with the bits of predict, with the samples and the seed that the run was tested with", async () => {
    const images = (await loadImages([photo], [8, 8, 3], { background: "black" })).images;
    const asked = { images, count: 1, shape: [8, 8, 3] as const };
    const expected = async (options: object) =>
      answerOf(model.likelihood, await predict(model, { ...asked, shape: [8, 8, 3] }, options), 0);
    const classify = await opened(file, { build });
    expect(await classify(photo)).toMatchObject(await expected({}));
    const folder = join(dir, "run");
    writeFileSync(join(folder, "config.json"), JSON.stringify({ testSamples: 5, testSeed: 9, other: true }));
    const run = await opened(folder, { build });
    expect(await run(photo)).toEqual({
      ...(await expected({ samples: 5, seed: 9 })),
      certainty: expect.any(Number),
      unsure: false,
    });
    expect(await run(photo)).not.toMatchObject(await expected({}));
    const own = await opened(folder, { build, samples: undefined, seed: 3 });
    expect(await own(photo)).toMatchObject(await expected({ samples: 5, seed: 3 }));
    writeFileSync(join(folder, "config.json"), '{"testSamples": "many"}');
    await expect(openRun(folder, { build })).rejects.toThrow(/config\.json\] expected .* testSamples wrong/);
    writeFileSync(join(folder, "config.json"), "{");
    await expect(openRun(folder, { build })).rejects.toThrow("expected JSON, received text that is not valid JSON");
  });

  it("takes an image in any form, on the background of the training images", async () => {
    const classify = await opened(file, { build });
    const bytes = readFileSync(photo);
    const { data: rgba, info } = await sharp!(photo).raw().toBuffer({ resolveWithObject: true });
    const white = await opened(file, { build, background: "white" });
    const expected = await classify(photo);
    expect(await white(photo)).not.toEqual(expected);
    expect(classify.model.preprocess?.background).toBe("black");
    const forms: ImageInput[] = [
      pathToFileURL(photo),
      pathToFileURL(photo).href,
      bytes,
      new Uint8Array(bytes).buffer,
      new Blob([bytes]),
      new Blob([bytes]).stream() as unknown as AsyncIterable<Uint8Array>,
      Readable.from([bytes.subarray(0, 50), bytes.subarray(50)]),
      { pixels: new Uint8ClampedArray(rgba), shape: [info.height, info.width, 4] },
      {
        pixels: (await loadImages([photo], [8, 8, 3], { background: "black" })).images,
        shape: [8, 8, 3],
      },
    ];
    for (const [i, form] of forms.entries()) expect(await classify(form), `form ${i}`).toEqual(expected);
    const mine = new Uint8Array(bytes);
    const answer = classify(mine);
    mine.fill(0); // it has been copied
    expect(await answer).toEqual(expected);
  });

  it("refuses what is no image with a sentence and a code, and only that among several", async () => {
    const classify = await opened(file, { build });
    const cases: [unknown, RegExp][] = [
      ["nowhere.png", /^\[nowhere\.png\] expected an image that can be decoded, .*: no such file$/],
      [dir, /it is a directory/],
      [readFileSync(photo).toString("base64").repeat(50), /^\[.{160}\] .*no such file$/],
      ["", /^\[classify\] expected an image \(a path, .*received ""$/],
      ["https://example.org/cat.png", /received a URL: fetch it/],
      [new URL("https://example.org/cat.png"), /expected a file: URL/],
      [new Uint8Array(0), /^\[image bytes\] .*it is empty$/],
      [new Uint8Array(192), /it is none of png, .*; raw pixels are passed as \{ pixels, shape: \[8, 8, 3\] \}$/],
      [readFileSync(photo).subarray(0, 90), /^\[image bytes\] expected an image that can be decoded/],
      [{ pixels: new Uint8Array(192), shape: [8, 8] }, /shape as \[height, width, channels\]/],
      [{ pixels: new Uint8Array(191), shape: [8, 8, 3] }, /expected 192 values .*received 191/],
      [{ pixels: new Uint8Array(12), shape: [2, 2, 3] }, /expected raw pixels of 8x8x3.*received 2x2x3/],
      [{ pixels: new Float32Array(192), shape: [8, 8, 3] }, /pixels as bytes from 0 to 255/],
      [
        { pixels: new Float32Array(192).fill(Number.NaN), shape: [8, 8, 3] },
        /expected finite pixels, received NaN at 0/,
      ],
      [{ pixels: [1, 2], shape: [8, 8, 3] }, /expected pixels as a Uint8Array or Float32Array/],
      [Readable.from(["text"]), /expected chunks of bytes/],
      [Readable.from([Buffer.from("GIF89a")]), /^\[image bytes\]/],
      [
        Readable.from(
          (async function* () {
            yield Buffer.from("GIF89a");
            throw new Error("gone");
          })(),
        ),
        /broke off: gone/,
      ],
      [null, /received null/],
      [17, /received 17/],
    ];
    for (const [input, message] of cases) {
      const error = await classify(input as ImageInput).then(
        () => undefined,
        (error) => error,
      );
      expect(error?.message).toMatch(message);
      expect(error?.code, error?.message).toBe("ERR_BAYES_DATA");
    }
    const alone = await classify(photo);
    const several = await classify([photo, null as never, readFileSync(photo), "nowhere.png", photo]);
    expect([several[0], several[2], several[4]]).toEqual([alone, alone, alone]);
    for (const i of [1, 3]) expect((several[i] as Unanswered).error).toMatchObject({ code: "ERR_BAYES_DATA" });
    expect((several[1] as Unanswered).error.message).toMatch(/^\[classify, input 1\]/);
    expect(await classify([])).toEqual([]);
    await expect(Promise.all([photo].map(classify as never))).rejects.toThrow(
      "expected options as an object, received 0",
    );
    await expect(classify(photo, { signals: 1 } as never)).rejects.toThrow("[classify] expected options among signal");
    expect(classify.unanswered).toBe(0);
  });

  it("refuses options that make no sense, and closes what it had opened", async () => {
    await expect(openRun(file, { build, samples: 0 })).rejects.toThrow("number of samples");
    await expect(openRun(file, { build, maxQueue: 0 })).rejects.toThrow("maxQueue");
    await expect(openRun(file, { build, threshold: Number.NaN })).rejects.toThrow("threshold");
    await expect(openRun(file, { build, background: "no colour" })).rejects.toThrow("background as a colour");
    await expect(openRun(file, { builds: build } as never)).rejects.toThrow("[openRun] expected options among");
    await expect(openRun(join(dir, "nothing"))).rejects.toThrow("expected the file of a model, or the folder of a run");
  });

  it("bounds its queue, gives up a call whose signal aborts, and answers the others", async () => {
    const classify = await opened(file, { build, maxQueue: 6 });
    const alone = await classify(photo);
    const leaver = new AbortController();
    const bytes = readFileSync(photo);
    const calls = Array.from({ length: 9 }, (_, i) => classify(i % 2 ? bytes : photo, i === 2 ? leaver : undefined));
    expect(classify.unanswered).toBe(6);
    leaver.abort(new Error("left"));
    const settled = await Promise.allSettled(calls);
    for (const [i, one] of settled.entries()) {
      if (i === 2) expect(one).toMatchObject({ reason: { message: "left" } });
      else if (i > 5) expect(one).toMatchObject({ reason: { code: "ERR_BAYES_QUEUE_FULL", name: "BayesError" } });
      else expect(one).toEqual({ status: "fulfilled", value: alone });
    }
    expect(classify.unanswered).toBe(0);
    await expect(classify(photo, { signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow("before");
    // a stream that never ends is left when the signal aborts
    const endless = new Readable({ read: () => {} });
    const waiting = classify(endless, { signal: AbortSignal.timeout(20) });
    await expect(waiting).rejects.toMatchObject({ name: "TimeoutError" });
    expect(classify.unanswered).toBe(0);
  });

  it("closes when the computation under way is over, and rejects whoever waits", async () => {
    const classify = await opened(file, { build, samples: 2000 });
    const calls = Array.from({ length: 50 }, () => classify(photo));
    const many = classify(Array(40).fill(photo));
    const settled = Promise.allSettled([...calls, many]);
    await calls[0];
    await Promise.all([classify.close(), classify.close()]);
    for (const one of await settled)
      if (one.status === "rejected") expect(one.reason).toMatchObject({ name: "BayesError" });
    expect((await settled)[50]).toMatchObject({ status: "rejected" });
    await expect(classify(photo)).rejects.toThrow("one that was closed");
    await classify.close();
    expect(String(classify)).toContain("closed");
    {
      using other = await openRun(file, { build });
      expect(other.model.store.closed).toBe(false);
      open.push(other);
    }
    expect((open.at(-1) as OpenedRun).model.store.closed).toBe(true);
  });

  it("says who it is", async () => {
    const classify = await opened(file, { build, threshold: 0.9 });
    await classify.prepare();
    expect(`${classify}`).toBe(
      `openRun(${file}): tiny, 8x8x3, categorical, 32 samples, unsure below certainty 0.9, 0 unanswered`,
    );
    expect(inspect(classify)).toBe(`${classify}`);
  });

  it("opens a published model without options, and one trained on floats takes floats only", async () => {
    const images = Float32Array.from({ length: 8 * 784 }, (_, i) => (i % 13) / 13);
    const train = makeDataset({ images, shape: [28, 28, 1], labels: [0, 1, 2, 0, 1, 2, 0, 1], classes: 3 });
    using published = createModel({ model: "lenet5", input: [28, 28, 1], classes: 3 });
    await fit(published, { train }, { epochs: 1, runDir: join(dir, "floats") });
    const classify = await opened(join(dir, "floats"));
    const answer = await classify({ pixels: images.subarray(0, 784), shape: [28, 28, 1] });
    const expected = await predict(published, { images: images.subarray(0, 784), count: 1, shape: [28, 28, 1] });
    expect(answer).toMatchObject(answerOf(published.likelihood, expected, 0));
    await expect(classify(photo)).rejects.toThrow("pixels as a Float32Array, as the model was trained on");
  });

  it("is unsure below the model's threshold, another one, or never", async () => {
    const certainty = (await (await opened(file, { build }))(photo)).certainty;
    model.threshold = { certainty: certainty + 1e-4, maxError: 0.1, risk: 0, coverage: 1, count: 9 };
    saveModel(model, place("with/checkpoint.safetensors"));
    model.threshold = undefined;
    const classify = await opened(join(dir, "with"), { build });
    const answer = await classify(photo);
    expect(answer).toMatchObject({ certainty, probability: certainty, unsure: true, why: expect.any(String) });
    expect(JSON.parse(JSON.stringify(answer)).why).toBe(answer.why);
    classify.model.threshold = undefined;
    expect(await classify(photo)).toMatchObject({ unsure: false });
    for (const [threshold, unsure] of [
      [null, false],
      [certainty, false],
      [certainty + 1e-6, true],
    ] as const) {
      const other = await opened(join(dir, "with"), { build, threshold });
      const { unsure: is, why } = await other(photo);
      expect([is, typeof why]).toEqual([unsure, unsure ? "string" : "undefined"]);
    }
  });
});

/** The sentence about an example of these outputs, one row a sample. */
function sentence<L extends Likelihood>(
  likelihood: L,
  outputs: Record<string, number[]>,
  samples: number,
  limit: number,
) {
  const heads = Object.fromEntries(Object.entries(outputs).map(([name, v]) => [name, Float32Array.from(v)]));
  const width = Object.values(outputs)[0].length / samples;
  const prediction = likelihood.prediction(heads, samples, 1, likelihood.config.kind === "categorical" ? [] : [width]);
  return doubtOf(likelihood, prediction, 0, limit);
}

describe("why a model does not know", () => {
  const logits = (...p: number[]) => ({ logits: p.map(Math.log) });
  const pets = categorical(["cat", "dog", "fox"]);

  it("tells an image of two classes from one that the samples disagree about", () => {
    expect(sentence(pets, logits(0.56, 0.41, 0.03, 0.56, 0.41, 0.03), 2, 0.9)).toBe(
      "cat 56 %, dog 41 %, below the limit of 90 %: the samples agree that it fits both",
    );
    expect(sentence(pets, logits(0.98, 0.01, 0.01, 0.01, 0.98, 0.01), 2, 0.9)).toBe(
      "cat 50 %, dog 50 %, below the limit of 90 %: the model's samples disagree, as on images unlike its training images",
    );
    expect(sentence(pets, logits(0.34, 0.34, 0.32, 0.34, 0.34, 0.32), 2, 0.9)).toMatch(
      /^cat 34 %, dog 34 %, fox 32 %, .*: the samples agree that it fits several classes$/,
    );
    expect(sentence(pets, logits(0.1, 0.8, 0.1, 0.1, 0.8, 0.1), 2, 0.9)).toBe(
      "dog 80 %, cat 10 %, below the limit of 90 %: the samples agree that it is unclear",
    );
    expect(sentence(pets, logits(0.56, 0.41, 0.03), 1, 0.9)).toBe("cat 56 %, dog 41 %, below the limit of 90 %");
  });

  it("never says that a number is below itself", () => {
    expect(sentence(pets, logits(0.8999, 0.1, 0.0001, 0.8999, 0.1, 0.0001), 2, 0.9)).toMatch(
      /^cat 89\.99 %, dog 10 %, below the limit of 90\.00 %/,
    );
    expect(sentence(gaussian({ noise: 1 }), { mean: [1], variance: [25.01] }, 1, -5)).toBe(
      "1: its spread ± 5.001 is more than the limit ± 5",
    );
  });

  it("knows numbers, labels, and likelihoods that say nothing", () => {
    const spread = gaussian({ names: ["age", "height"] });
    expect(sentence(spread, { mean: [20, 150, 44, 150], variance: [1, 4, 1, 4] }, 2, -5)).toBe(
      "age 32: its spread ± 12 is more than the limit ± 5: the model's samples disagree, as on images unlike its training images",
    );
    expect(sentence(gaussian(), { mean: [20, 20], variance: [144, 144] }, 2, -5)).toBe(
      "20: its spread ± 12 is more than the limit ± 5: the samples agree that most of it is noise",
    );
    const labels = bernoulli({ labels: ["indoor", "night"] });
    expect(sentence(labels, { logits: [3, 0.2, 3, 0.2] }, 2, 0.9)).toBe(
      "night yes 55 %, below the limit of 90 %: the samples agree that it is unclear",
    );
    const { doubt: _, certainty: __, ...silent } = gaussian();
    expect(sentence(silent as Likelihood, { mean: [20, 20], variance: [9, 9] }, 2, -1)).toBe(
      "certainty -9 is less than the limit of -1: the samples agree that it is unclear",
    );
  });
});

it("has the answer's type of the likelihood", async () => {
  const folder = join(dir, "numbers");
  mkdirSync(folder);
  using model = new Model({
    input: [2, 2, 1],
    likelihood: gaussian(),
    build: (x) => linear(flatten(x), 1),
    preprocess: { scale: [1], shift: [0] },
  });
  saveModel(model, join(folder, "m.safetensors"));
  const measure = await openRun<ReturnType<typeof gaussian>>(join(folder, "m.safetensors"), {
    build: (x) => linear(flatten(x), 1),
    threshold: -1e-9,
  });
  open.push(measure);
  const answer = await measure({ pixels: new Uint8Array(4), shape: [2, 2, 1] });
  expect(answer).toMatchObject({ mean: [0], unsure: true, why: expect.stringMatching(/more than the limit/) });
});
