// What the command line does about a run's data: knows it again, says what was left out, tests on other data, takes strange
// pictures, numbers as targets, and a threshold for "I don't know".
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { openModel } from "../../lib/checkpoints/open.ts";
import { readConfig } from "../../lib/cli/shared/run-folder.ts";
import { readMetadata } from "../../lib/onnx/metadata.ts";
import { encodePng } from "../../lib/report/png.ts";
import { cli } from "../cli-capture.ts";
import { random } from "../ops/harness.ts";

const tmp = mkdtempSync(join(tmpdir(), "bayescnn-cli-data-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

/** A picture of a colour, a little different for each n. */
const png = (n: number, [r, g, b]: readonly number[], [h, w] = [32, 32]): Uint8Array => {
  const next = random(n + 1);
  const noise = () => 30 * next();
  return encodePng(
    Uint8Array.from({ length: h * w * 3 }, (_, i) => [r, g, b][i % 3] + noise()),
    h,
    w,
    3,
  );
};
const COLOURS: Readonly<Record<string, readonly number[]>> = {
  cat: [200, 40, 40],
  dog: [40, 40, 200],
  Dog: [40, 40, 200],
  elk: [40, 200, 40],
};
/** A folder with one folder a class. @param from first picture, so that two folders share none */
function pictures(name: string, counts: Readonly<Record<string, number>>, from = 0): string {
  const dir = join(tmp, name);
  for (const [kind, count] of Object.entries(counts)) {
    mkdirSync(join(dir, kind), { recursive: true });
    for (let i = 0; i < count; i++)
      writeFileSync(
        join(dir, kind, `${String(i).padStart(3, "0")}.png`),
        png(from + i + 1000 * kind.length, COLOURS[kind]),
      );
  }
  return dir;
}

const pets = join(tmp, "pets");
const run = join(tmp, "run");
const fast = ["--model", "lenet5", "--test-samples", "4", "--threads", "1", "--json"];
const notes = (events: readonly Record<string, unknown>[]) =>
  events.filter((e) => e.event === "note").map((e) => String(e.text));

beforeAll(async () => {
  pictures("pets", { cat: 60, dog: 50 });
  writeFileSync(join(pets, "cat", "thumbs.db"), "none");
  const { code, events, stderr } = await cli("train", "--data", pets, "--epochs", "25", "--out", run, ...fast);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(notes(events)).toEqual([
    "chosen for 74 training images: batches of 32 in place of 128, so that an epoch has 3 steps; " +
      "beta 0.02 in place of 0.1, because the KL term would outweigh so few images; " +
      "sigmas that begin at 0.5 of the weights of their layer, because so few steps do not widen them",
    "left out 1 file: 1 .db (pets/cat/thumbs.db)",
  ]);
  expect(events.at(-1)!.test.accuracy).toBe(1);
});

describe("a run's own data", () => {
  it("is known by its content: files may be renamed and moved", async () => {
    const before = (await cli("evaluate", run, "--json")).events[0];
    const moved = join(tmp, "elsewhere", "pets");
    mkdirSync(join(tmp, "elsewhere"));
    renameSync(pets, moved);
    renameSync(join(moved, "cat", "000.png"), join(moved, "cat", "zzz.png"));
    try {
      expect((await cli("evaluate", run)).stderr).toMatch(/--data-dir says where the data is/);
      for (const place of [join(tmp, "elsewhere"), moved]) {
        const { code, events } = await cli("evaluate", run, "--data-dir", place, "--json");
        expect(code).toBe(0);
        expect(events[0]).toEqual(before);
      }
    } finally {
      renameSync(join(moved, "cat", "zzz.png"), join(moved, "cat", "000.png"));
      renameSync(moved, pets);
    }
  });

  it("is not mistaken for itself when a class has another name or a picture has changed", async () => {
    renameSync(join(pets, "cat"), join(pets, "kitten"));
    expect((await cli("evaluate", run)).stderr).toMatch(
      /expected the train images .* as they were when the run was made/,
    );
    renameSync(join(pets, "kitten"), join(pets, "cat"));
    const file = join(pets, "dog", "007.png");
    const bytes = readFileSync(file);
    writeFileSync(file, png(99, COLOURS.dog));
    for (const command of [
      ["evaluate", run],
      ["train", "--resume", run, "--epochs", "26"],
      ["prune", run],
    ]) {
      const { code, stderr } = await cli(...command);
      expect(code).toBe(1);
      expect(stderr).toMatch(/images or class names have changed/);
    }
    writeFileSync(file, bytes);
    expect((await cli("evaluate", run)).code).toBe(0);
  });
});

describe("other data", () => {
  it("is tested on whole, its classes by name, and may lack some", async () => {
    const other = pictures("other", { dog: 7 }, 500);
    const { code, events } = await cli("evaluate", run, "--data", other, "--json");
    expect(code).toBe(0);
    expect(events.at(-1)).toMatchObject({ count: 7, accuracy: 1 });
    expect((await cli("evaluate", run, "--data", pictures("strange", { cat: 6, elk: 6 }, 500))).stderr).toMatch(
      /expected classes among cat, dog, received cat, elk/,
    );
    expect((await cli("evaluate", run, "--data", pictures("capital", { Dog: 6, cat: 6 }, 500))).stderr).toMatch(
      /Dog differs from dog in case alone/,
    );
  });

  it("that the run was trained on is no test, and that is said", async () => {
    const { events } = await cli("evaluate", run, "--data", pets, "--json");
    expect(notes(events).join()).toMatch(/\d+ of these 110 images are among those that the run was trained on/);
  });

  it("may be strange: any folder of pictures of any size", async () => {
    const photos = join(tmp, "photos");
    mkdirSync(join(photos, "deep", "er"), { recursive: true });
    for (let i = 0; i < 6; i++)
      writeFileSync(join(photos, "deep", "er", `${i}.png`), png(i, COLOURS.elk, [40 + i, 60]));
    writeFileSync(join(photos, "broken.png"), "no");
    const { code, events } = await cli("evaluate", run, "--ood", photos, "--json");
    expect(code).toBe(0);
    expect(events.at(-1)!.ood).toMatchObject({ data: "photos", count: 6 });
    expect(notes(events).join()).toMatch(/broken\.png/);
  });
});

describe("a threshold", () => {
  it("is chosen on validation images, kept in the run and its exported model, and makes answers unsure", async () => {
    const strange = join(tmp, "elk.png");
    writeFileSync(strange, png(1, COLOURS.elk));
    expect((await cli("threshold", run)).code).toBe(2);
    const state = loadCheckpoint(join(run, "checkpoint.safetensors")).training;
    const { code, events } = await cli("threshold", run, "--min-coverage", "0.5", "--json");
    expect(code).toBe(0);
    const { threshold, test } = events[0];
    expect(threshold.coverage).toBeGreaterThanOrEqual(0.5);
    expect(threshold.minCoverage).toBe(0.5);
    expect(test.answered).toBeLessThanOrEqual(test.count);
    using model = openModel(run);
    expect(model.threshold).toEqual(threshold);
    expect(loadCheckpoint(join(run, "checkpoint.safetensors")).training).toEqual(state);
    expect(JSON.parse(readMetadata(readFileSync(join(run, "model.onnx"))).get("bayescnn.threshold")!)).toEqual(
      threshold,
    );
    const certain = { ...threshold, certainty: 1.1 };
    model.threshold = certain; // nothing is as sure as that
    const [answer] = (await cli("predict", run, strange, "--json")).events;
    expect(answer.unsure).toBe(answer.probability < threshold.certainty);
    expect((await cli("evaluate", run)).stdout).toMatch(/with its threshold it answers .* of the test images/);
    expect(readFileSync(join(run, "report.html"), "utf8")).toMatch(/asked for: at least 50 % answered/);
  });

  it("that no images can prove is refused, and the run stays as it is", async () => {
    const before = readFileSync(join(run, "checkpoint.safetensors"));
    const { code, stderr } = await cli("threshold", run, "--max-error", "0.0001");
    expect(code).toBe(1);
    expect(stderr).toMatch(/expected a threshold whose answers cost at most 0\.0001 .* received none/);
    expect(readFileSync(join(run, "checkpoint.safetensors")).equals(before)).toBe(true);
  });
});

describe("a temperature and sets", () => {
  it("are fitted to the run's validation images; the temperature is kept, and taken back", async () => {
    await cli("threshold", run, "--min-coverage", "0.5");
    const before = (await cli("evaluate", run, "--json")).events.at(-1)!;
    const { code, events } = await cli("evaluate", run, "--temperature", "--conformal", "0.8", "--json");
    expect(code).toBe(0);
    const done = events.at(-1)!;
    expect(done.fitted.nll.after).toBeLessThanOrEqual(done.fitted.nll.before);
    const { valid } = readConfig(run).data;
    expect([done.fitted.count, done.conformal.count]).toEqual([Math.ceil(valid / 2), Math.floor(valid / 2)]); // its half each
    expect(done.conformal).toMatchObject({ kind: "sets", coverage: 0.8, test: { count: done.count } });
    expect(done.threshold).toBeUndefined();
    expect(notes(events).join()).toMatch(/threshold was chosen at another temperature and is gone/);
    using model = openModel(run);
    expect(model.temperature ?? 1).toBe(done.fitted.temperature);
    expect(model.threshold).toBeUndefined();
    expect((await cli("evaluate", run, "--json")).events.at(-1)!.nll).toBe(done.nll);
    expect((await cli("evaluate", run, "--temperature", "2.5")).stdout).toMatch(/exported model have the temperature/);
    const onnx = readMetadata(readFileSync(join(run, "model.onnx")));
    expect(JSON.parse(onnx.get("bayescnn.likelihood")!).temperature).toBe(2.5);
    const again = (await cli("evaluate", run, "--temperature", "1", "--json")).events.at(-1)!;
    expect(again.nll).toBe(before.nll);
    expect((await cli("evaluate", run, "--temperature", "0")).code).toBe(2);
  });

  it("need images that nothing was trained or tested on, and enough of them", async () => {
    const none = join(tmp, "no-validation");
    await cli(
      "train",
      "--model",
      "lenet5",
      "--data",
      pets,
      "--image-size",
      "28",
      "--epochs",
      "1",
      "--validation",
      "0",
      "--out",
      none,
    );
    for (const asked of [["--temperature"], ["--conformal", "0.9"]]) {
      const { code, stderr } = await cli("evaluate", none, ...asked);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /expected a run with validation images to fit to, received one trained with --validation 0/,
      );
    }
    expect((await cli("evaluate", run, "--conformal", "0.99")).stderr).toMatch(/at least 99 validation images/);
  });
});

describe("numbers as targets", () => {
  it("are read from a table, learned with their noise, and answered with sigma", async () => {
    const dir = join(tmp, "numbers");
    mkdirSync(dir);
    const rows = Array.from({ length: 60 }, (_, i) => {
      writeFileSync(
        join(dir, `${i}.png`),
        png(
          i,
          [4 * i, 4 * i, 4 * i].map((v) => Math.min(220, v)),
        ),
      );
      return `${i}.png,${(500 + i).toFixed(1)}`;
    });
    const table = join(tmp, "numbers.csv");
    writeFileSync(table, ["image,brightness", ...rows.map((r) => `numbers/${r}`)].join("\n"));
    const out = join(tmp, "numbers-run");
    const trained = await cli("train", "--data", table, "--epochs", "3", "--noise", "predicted", "--out", out, ...fast);
    expect(trained.stderr).toBe("");
    expect(trained.code).toBe(0);
    expect(trained.events[0].config.model.likelihood).toEqual({
      kind: "gaussian",
      noise: "predicted",
      names: ["brightness"],
    });
    expect(trained.events.at(-1)!.test).toHaveProperty("coverage90");
    const predicted = await cli("predict", out, join(dir, "10.png"), "--json");
    expect(predicted.events[0].text).toMatch(/^brightness [45]\d\d ± /);
    expect((await cli("predict", out, "--index", "0-2")).stdout).toMatch(/brightness .* ± /);
    expect(readFileSync(join(out, "report.html"), "utf8")).toContain("brightness");
    expect(
      (await cli("train", "--data", table, "--likelihood", "categorical", "--out", join(tmp, "no"))).stderr,
    ).toMatch(/images of classes for --likelihood categorical/);
    expect((await cli("train", "--data", pets, "--noise", "predicted", "--out", join(tmp, "no"))).code).toBe(2);
  });
});

it("weights of classes are part of the recipe, and a class that is not there is named", async () => {
  const out = join(tmp, "weighted");
  const { code, events } = await cli("train", "--data", pets, "--epochs", "1", "--class-weights", "cat:2,dog:1", "--out", out, ...fast); // biome-ignore format: one line
  expect(code).toBe(0);
  expect(events[0].config.training.classWeights).toEqual({ cat: 2, dog: 1 });
  const wrong = await cli("train", "--data", pets, "--epochs", "1", "--class-weights", "cow:2", "--out", join(tmp, "cow"), ...fast); // biome-ignore format: one line
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toMatch(/cow/);
});
