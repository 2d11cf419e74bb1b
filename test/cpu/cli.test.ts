import { spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { loadCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { recipe } from "../../lib/cli/shared/recipe.ts";
import { writeConfig } from "../../lib/cli/shared/run-folder.ts";
import { defaultOptions } from "../../lib/cli/shared/train-options.ts";
import { embeddedMnist } from "../../lib/data/locate.ts";
import { encodePng } from "../../lib/report/png.ts";
import { RunLock } from "../../lib/train/lock.ts";
import { version } from "../../lib/util/package.ts";
import { build } from "../built.ts";
import { cli, temporaryFolder, writeIdx } from "../cli-capture.ts";

const root = join(import.meta.dirname, "../..");
const tmp = temporaryFolder();
const data = join(tmp, "data");
const run = join(tmp, "run");
const digits = embeddedMnist();

/** The files of a folder, to be compared quickly. */
const contents = (dir: string) =>
  Object.fromEntries(readdirSync(dir).map((name) => [name, crc32(readFileSync(join(dir, name)))]));

const trainArgs = (out: string, ...more: string[]) => [
  ...["train", "--data", "mnist", "--data-dir", data, "--epochs", "3", "--batch", "50", "--seed", "7"],
  ...["--test-samples", "4", "--out", out, "--json", ...more],
];

beforeAll(() => writeIdx(join(data, "mnist")));

describe("train", () => {
  it("says what it does as JSON lines and leaves a whole run folder", async () => {
    const got = await cli(...trainArgs(run));
    expect(got.stderr).toBe("");
    expect(got.code).toBe(0);
    const { events } = got;
    const kinds = ["start", "note", "note", "epoch", "epoch", "epoch", "checkpoint", "done"];
    expect(events.map((e) => e.event)).toEqual(kinds);
    expect(events[1].text).toMatch(/^chosen for 400 training images: /);
    expect(events[2].text).toBe("no test images of 8"); // among the first 60
    expect(events[0]).toMatchObject({
      runDir: run,
      config: { data: { train: 400, valid: 80, test: 60 }, training: { seed: 7 } },
    });
    expect(events[0].device).toMatch(/^cpu-/);
    expect(events[3]).toMatchObject({ epoch: 0, step: 7 });
    expect(events[3].valid.accuracy).toBeGreaterThan(0);
    const done = events.at(-1)!;
    expect(done).toMatchObject({ end: "finished", steps: 24, epochs: 3, runDir: run });
    expect(typeof done.beta).toBe("number");
    for (const key of ["accuracy", "nll", "ece", "brier", "epistemic", "aleatoric"])
      expect(done.test[key]).toBeGreaterThan(0);
    expect(done.test).toMatchObject({ count: 60, samples: 4 });
    expect(readdirSync(run).sort()).toEqual([
      "checkpoint.safetensors",
      "config.json",
      "metrics.jsonl",
      "model.onnx",
      "report.html",
      "report.json",
    ]);
    expect(JSON.parse(readFileSync(join(run, "report.json"), "utf8")).test.accuracy).toBe(done.test.accuracy);
  });

  it("does not touch a folder that has a run in it", async () => {
    const before = readFileSync(join(run, "config.json"), "utf8");
    const got = await cli(...trainArgs(run, "--beta", "1"));
    expect(got).toMatchObject({ code: 1, stdout: "" });
    expect(got.stderr).toMatch(/expected a new or empty folder/);
    expect(readFileSync(join(run, "config.json"), "utf8")).toBe(before);
  });

  it("makes no folder when the request cannot be met", async () => {
    const out = join(tmp, "never");
    for (const more of [
      ["--batch", "401"],
      ["--data", "nowhere"],
      ["--epochs", "1000000000", "--batch", "1"], // found when the folder is there already
    ]) {
      const got = await cli(...trainArgs(out, ...more));
      expect(got.code).toBe(1);
      expect(got.stderr.trim().split("\n")).toHaveLength(1);
      expect(existsSync(out)).toBe(false);
    }
  });

  it("trains the frequentist twin, and keeps the best weights when asked", async () => {
    const out = join(tmp, "twin");
    const { code, events } = await cli(
      ...trainArgs(out, "--frequentist", "--best", "--optimizer", "sgd", "--lr", "0.05"),
    );
    expect(code).toBe(0);
    expect(events[1].kl).toBeUndefined();
    expect(events.at(-1)).toMatchObject({ beta: null, test: { samples: 1, epistemic: 0 } });
    expect(existsSync(join(out, "best.safetensors"))).toBe(true);
    const [beside] = (await cli("evaluate", run, "--compare", out, "--json")).events;
    expect(beside.beside).toMatchObject([
      { name: "lenet5, frequentist (twin)", metrics: { accuracy: events.at(-1)!.test.accuracy } },
    ]);
    expect((await cli("evaluate", run, "--compare", tmp)).stderr).toMatch(/expected the folder of a run/);

    const last = readFileSync(join(out, "checkpoint.safetensors"));
    expect((await cli("threshold", out, "--min-coverage", "0.5")).code).toBe(0);
    expect(loadCheckpoint(join(out, "best.safetensors")).model.threshold).toMatchObject({ minCoverage: 0.5 });
    expect(readFileSync(join(out, "checkpoint.safetensors")).equals(last)).toBe(true); // other weights, not asked about
  });

  it("writes into no folder in which somebody works, and reads from it", async () => {
    const before = contents(run);
    {
      using _ = RunLock.take(run);
      for (const args of [
        ["train", "--resume", run, "--epochs", "9"],
        ["threshold", run, "--min-coverage", "0.5"],
        trainArgs(run),
        ["prune", run, "--out", run],
        ["start", "--out", run],
      ]) {
        const { code, stderr } = await cli(...args);
        expect({ code, stderr }).toMatchObject({ code: 1 });
        expect(stderr.trim().split("\n")).toHaveLength(1);
        if (args[0] !== "start") expect(stderr).toMatch(/nobody works in, received .* has held since/);
      }
      expect((await cli("info", run)).code).toBe(0);
      expect((await cli("predict", run, "--index", "0")).code).toBe(0);
    }
    expect(contents(run)).toEqual(before);
  });

  it("does not replace a file of the run that it reads, whatever that is called", async () => {
    const link = join(tmp, "other.onnx");
    symlinkSync(join(run, "checkpoint.safetensors"), link);
    const before = contents(run);
    for (const [command, ...more] of [["export"], ["info"], ["threshold", "--min-coverage", "0.5"]])
      for (const path of [link, join(run, "config.json"), join(run, "metrics.jsonl")]) {
        const { code, stderr } = await cli(command, run, "--out", path, ...more);
        expect({ code, stderr }).toMatchObject({ code: 1 });
        expect(stderr).toMatch(/--out to be another file than those of the run, received/);
      }
    const { code, stderr } = await cli("threshold", run, "--min-coverage", "0.5", "--out", tmp);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("which is a directory") });
    expect(contents(run)).toEqual(before);
  });

  it("keeps its precision in the recipe: resumed, tested and predicted with it unless told otherwise", async () => {
    const out = join(tmp, "bf16");
    const { code, events } = await cli(...trainArgs(out, "--precision", "bf16"));
    expect(code).toBe(0);
    expect(events[0].config.training.precision).toBe("bf16");
    const { test } = events.at(-1)!;
    const evaluated = async (...more: string[]) => (await cli("evaluate", out, ...more, "--json")).events[0];
    expect(await evaluated()).toMatchObject(test);
    const full = await evaluated("--precision", "fp32");
    expect(full.nll).not.toBe(test.nll);
    expect(full.nll).toBeCloseTo(test.nll, 1);
    const more = await cli("train", "--resume", out, "--epochs", "4", "--json");
    expect(more.code).toBe(0);
    expect(more.events[0].config.training).toMatchObject({ precision: "bf16", epochs: 4 });
    const lines = await cli("predict", out, "--index", "0", "--json");
    expect((await cli("predict", out, "--index", "0", "--precision", "fp32", "--json")).events).not.toEqual(
      lines.events,
    );
    expect((await cli("train", "--resume", out, "--precision", "fp32")).code).toBe(2);
    expect(readFileSync(join(out, "report.html"), "utf8")).toContain("bf16");
    expect((await cli("evaluate", run, "--precision", "bf16", "--json")).code).toBe(0);
  });

  it("stopped by Ctrl-C and resumed is the uninterrupted run, bit for bit", async () => {
    const out = join(tmp, "stopped");
    const running = cli(...trainArgs(out));
    const metrics = join(out, "metrics.jsonl");
    while (!existsSync(metrics) || statSync(metrics).size === 0) await new Promise((wake) => setTimeout(wake, 2));
    process.emit("SIGINT");
    const stopped = await running;
    expect(stopped.code).toBe(130);
    expect(stopped.events.at(-1)).toMatchObject({ event: "stopped", resume: `bayescnn train --resume ${out}` });
    expect(existsSync(join(out, "report.html"))).toBe(false);
    const resumed = await cli("train", "--resume", out, "--json");
    expect(resumed.stderr).toBe("");
    expect(resumed.code).toBe(0);
    expect(
      readFileSync(join(out, "checkpoint.safetensors")).equals(readFileSync(join(run, "checkpoint.safetensors"))),
    ).toBe(true);
    const { test } = resumed.events.at(-1)!;
    expect((await cli("evaluate", run, "--json")).events[0]).toMatchObject(test);
  });

  it("with nothing to save ends at the signal, and writes nothing any more", async () => {
    const out = join(tmp, "evaluated");
    const before = { int: process.listenerCount("SIGINT"), term: process.listenerCount("SIGTERM") };
    for (const [name, code] of [["SIGTERM", 143], ["SIGHUP", 129]] as const) {
      const running = cli("evaluate", run, "--samples", "65536", "--out", out);
      await new Promise((wake) => setTimeout(wake, 50));
      process.emit(name);
      expect(await running).toMatchObject({ code, stdout: "", stderr: "" });
    }
    expect({ int: process.listenerCount("SIGINT"), term: process.listenerCount("SIGTERM") }).toEqual(before);
    expect(existsSync(out)).toBe(false);
  }); // biome-ignore format: one line

  it("prints a table for people", async () => {
    const args = trainArgs(join(tmp, "text")).filter((a) => a !== "--json");
    const { code, stdout } = await cli(...args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/beta {2,}constant\([\d.]+\)/);
    expect(stdout).toMatch(/1\/3 +\d+\.\d{4}/);
    expect(stdout).toMatch(/test on 60 images, 4 Monte-Carlo samples/);
    expect(stdout).not.toContain("\x1b[");
  });
});

describe("start", () => {
  it("trains, explains, exports, and shows that ONNX Runtime agrees; in the place of an earlier tour", async () => {
    const out = join(tmp, "start");
    mkdirSync(out);
    writeFileSync(join(out, "mine.txt"), "kept");
    writeFileSync(join(out, "checkpoint.safetensors"), "of a run without a recipe");
    const refused = await cli("start", "--epochs", "1", "--out", out);
    expect(refused.stderr).toMatch(/a new folder or one of an earlier tour, received .* with checkpoint\.safetensors/);
    expect(readdirSync(out).sort()).toEqual(["checkpoint.safetensors", "mine.txt"]);
    cpSync(run, out, { recursive: true });
    expect((await cli("start", "--epochs", "1", "--out", out)).code).toBe(1); // a run on other data
    expect(readFileSync(join(out, "config.json"))).toEqual(readFileSync(join(run, "config.json")));
    for (const name of readdirSync(out)) if (name !== "mine.txt") rmSync(join(out, name));
    const own = recipe({ ...defaultOptions, data: "mnist" }, digits);
    writeConfig(out, own); // a run of the user's on the same digits
    expect((await cli("start", "--epochs", "1", "--out", out)).stderr).toMatch(/with config\.json of something else/);
    writeConfig(out, { ...own, tour: true });
    mkdirSync(join(out, "model.onnx"));
    expect((await cli("start", "--epochs", "1", "--out", out)).stderr).toMatch(/model\.onnx, which is a directory/);
    rmSync(join(out, "model.onnx"), { recursive: true });
    writeFileSync(join(out, "checkpoint.safetensors"), "of an earlier tour");
    const { code, stdout, stderr } = await cli("start", "--epochs", "1", "--out", out);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    for (const word of ["accuracy", "NLL", "ECE", "epistemic", "aleatoric"])
      expect(stdout).toMatch(new RegExp(`^ {2}${word} `, "m"));
    expect(stdout).toMatch(/ONNX Runtime and the native run agree: largest difference \d/);
    expect(stdout).toContain(join(out, "report.html"));
    expect(stdout).not.toContain("\x1b[");
    expect(readFileSync(join(out, "mine.txt"), "utf8")).toBe("kept");
    expect(readFileSync(join(out, "report.html"), "utf8")).toMatch(/^<!doctype html>/);
  });
});

describe("images in folders", () => {
  it("are trained on and keep their classes' names", async () => {
    const pictures = join(tmp, "pictures");
    for (const [digit, name] of ["zero", "one"].entries()) {
      mkdirSync(join(pictures, name), { recursive: true });
      const rows = [...digits.train.targets.keys()].filter((i) => digits.train.targets[i] === digit).slice(0, 25);
      for (const i of rows) {
        const pixels = digits.train.images.subarray(i * 784, (i + 1) * 784) as Uint8Array;
        writeFileSync(join(pictures, name, `${i}.png`), encodePng(pixels, 28, 28, 1));
      }
    }
    const out = join(tmp, "pictures-run");
    const args = ["--data", pictures, "--epochs", "2", "--batch", "8", "--augment", "--test-samples", "2"];
    const trained = await cli("train", ...args, "--out", out, "--json");
    expect(trained.stderr).toBe("");
    expect(trained.events[0].config).toMatchObject({
      model: { classes: ["one", "zero"] },
      training: { augment: { shift: 4, flip: true } },
    });
    const predicted = await cli("predict", out, "--index", "0-2", "--json");
    for (const e of predicted.events) expect(["one", "zero"]).toContain(e.label);
  });
});

describe("a trained run", () => {
  it("is evaluated, against strange images too", async () => {
    const { code, events } = await cli("evaluate", run, "--samples", "2", "--ood", "mnist", "--json");
    expect(code).toBe(0);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ event: "evaluation", samples: 2, count: 60 });
    for (const s of events[0].ood.scores) expect(s.auroc).toBeGreaterThan(0);
    expect(events[0].ood.scores.map((s: { score: string }) => s.score)).toContain("mutual information");
  });

  it("classifies test images and image files", async () => {
    const { code, events } = await cli("predict", run, "--index", "0,3-5", "--json");
    expect(code).toBe(0);
    expect(events.map((e) => e.image)).toEqual(["mnist 0", "mnist 3", "mnist 4", "mnist 5"]);
    for (const e of events) {
      const p = Object.values(e.probabilities as Record<string, number>);
      expect(p.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
      expect(e.probability).toBe(Math.max(...p));
      expect(e.epistemic + e.aleatoric).toBeCloseTo(
        p.reduce((a, q) => a + q * (1 - q), 0),
        5,
      ); // Kwon et al. 2018
    }
    expect(events[0].truth).toBe(String(digits.test.targets[0]));

    const png = join(tmp, "digit.png");
    writeFileSync(png, encodePng(digits.test.images.subarray(0, 784) as Uint8Array, 28, 28, 1));
    const file = await cli("predict", run, png, "--json");
    expect(file.code).toBe(0);
    expect(file.events[0].probabilities).toEqual(events[0].probabilities); // the same pixels in the same row
    const missing = await cli("predict", run, join(tmp, "no.png"), png, join(run, "config.json"), "--json");
    expect(missing.code).toBe(1);
    expect(missing.events.map((e) => e.event)).toEqual(["failed", "failed", "prediction"]);
    expect(missing.events[2].probabilities).toEqual(events[0].probabilities); // one bad file costs only itself
    expect(missing.stderr).toMatch(/received .*no\.png \(and 1 more\): no such file; the others have their answers/);
    expect((await cli("predict", run, "--index", "60")).stderr).toMatch(/expected --index below 60/);
  });

  it.each(["mean", "noise"])("is exported in mode %s, and agrees in ONNX Runtime", async (mode) => {
    const out = join(tmp, "exported", `${mode}.onnx`);
    const { code, events } = await cli("export", run, "--mode", mode, "--out", out, "--verify", "--json");
    expect(code).toBe(0);
    expect(events[0]).toMatchObject({
      event: "done",
      path: out,
      bytes: statSync(out).size,
      verified: { agrees: true },
    });
  });

  it("is described", async () => {
    const { events } = await cli("info", run, "--json");
    expect(events[0]).toMatchObject({ event: "run", steps: 24, epochs: 3, config: { training: { seed: 7 } } });
    expect((await cli("info", run)).stdout).toContain("24 steps, 3 of 3 epochs");
  });

  it("is pruned into a new run", async () => {
    const out = join(tmp, "pruned");
    const { code, events } = await cli("prune", run, "--sparsity", "0.8", "--fine-tune", "1", "--out", out, "--json");
    expect(code).toBe(0);
    const done = events.at(-1)!;
    expect(done.sparsity).toBeGreaterThanOrEqual(0.8);
    expect(done.kept).toBe(done.weights - Math.ceil(0.8 * done.weights - 1e-6));
    // the file has the masks: what is read back is as sparse, and tests the same
    const again = await cli("evaluate", out, "--json");
    expect(again.events[0]).toMatchObject(done.test);
    expect(done.test.nll).toBe(done.fineTuned.nll);
    expect((await cli("evaluate", run, "--json")).events[0].nll).toBe(done.before.nll);
  });

  it("is shrunk into a new run, whose model and file are really smaller", async () => {
    const out = join(tmp, "shrunk");
    const args = ["--structured", "--flops", "0.5", "--rounds", "2", "--fine-tune", "1", "--out", out, "--json"];
    const { code, events, stderr } = await cli("prune", run, ...args);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const done = events.at(-1)!;
    const { before, after } = done.costs;
    expect(after.multiplyAdds / before.multiplyAdds).toBeLessThanOrEqual(0.5);
    expect(after.weights).toBeLessThan(before.weights);
    for (const of of [done.speed.before, done.speed.after]) expect(of.step).toBeGreaterThan(of.inference / 2);
    const size = (dir: string) => statSync(join(dir, "model.onnx")).size;
    expect(size(out)).toBeLessThan(0.8 * size(run));
    expect((await cli("evaluate", out, "--json")).events[0]).toMatchObject(done.test);
    expect((await cli("info", out, "--json")).events[0].parameters).toBe(2 * after.weights);
    expect((await cli("info", out)).stdout).toMatch(/widths +conv1 \d/);
    // more epochs of it, and once more smaller
    expect((await cli("train", "--resume", out, "--epochs", "2")).code).toBe(0);
    const again = ["--structured", "--parameters", "0.5", "--fine-tune", "0", "--rounds", "1"];
    const second = await cli("prune", out, ...again, "--out", join(tmp, "shrunk-again"));
    expect(second.stdout).toMatch(/of the multiply-adds left.*conv1.*inference, 128 images.*training step/s);
    expect(second.stdout).toContain(`of ${after.weights.toLocaleString("en-US")} weights`);
  }, 240_000);

  it("is pruned by options that go together", async () => {
    for (const [args, message] of [
      [["--structured", "--sparsity", "0.5"], /--flops or --parameters with --structured, received --sparsity/],
      [["--flops", "0.5"], /--structured with it, received --flops/],
      [["--score", "taylor"], /--structured with --score taylor/],
      [["--structured", "--flops", "0.5", "--parameters", "0.5"], /either --flops or --parameters/],
    ] as const) {
      const { code, stderr } = await cli("prune", run, ...args, "--out", join(tmp, "never"));
      expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
      expect(existsSync(join(tmp, "never"))).toBe(false);
    }
  });

  it("is not half pruned: stopped before there is anything to go on with, the folder is gone", async () => {
    const out = join(tmp, "pruned-stopped");
    const running = cli("prune", run, "--out", out, "--json");
    while (!existsSync(out)) await new Promise((wake) => setTimeout(wake, 2));
    process.emit("SIGINT");
    expect((await running).code).toBe(130);
    expect(existsSync(out)).toBe(false);
    const without = await cli("prune", run, "--sparsity", "0.5", "--fine-tune", "0", "--out", out, "--json");
    expect(without.events.at(-1)).toMatchObject({ event: "done", fineTuned: null });
    expect((await cli("evaluate", out, "--json")).events[0]).toMatchObject(without.events.at(-1)!.test);
    expect((await cli("train", "--resume", out)).stderr).toMatch(/expected a checkpoint of a training run/);
  });

  it("with a damaged file is refused in one sentence", async () => {
    const damage = (name: string, file: string, change: (bytes: Buffer) => Uint8Array) => {
      const dir = join(tmp, name);
      cpSync(run, dir, { recursive: true });
      writeFileSync(join(dir, file), change(readFileSync(join(dir, file))));
      return dir;
    };
    const cases: [string, RegExp][] = [
      [damage("cut", "checkpoint.safetensors", (b) => b.subarray(0, b.length / 2)), /checkpoint.safetensors/],
      [damage("empty", "checkpoint.safetensors", () => Buffer.alloc(0)), /checkpoint.safetensors/],
      [damage("noise", "checkpoint.safetensors", (b) => b.map((x, i) => x ^ (i * 37))), /checkpoint.safetensors/],
      [
        damage("deep", "config.json", () => Buffer.from(`{"a":${"[".repeat(1e5)}${"]".repeat(1e5)}}`)),
        /at most 100 levels/,
      ],
      [
        damage("deeper", "config.json", (b) =>
          Buffer.from(b.toString().replace('"model": {', `"model": {"x":${"[".repeat(99)}${"]".repeat(99)},`)),
        ),
        /at most 100 levels/,
      ],
      [
        damage("proto", "config.json", (b) =>
          Buffer.from(b.toString().replace('"model": {', '"model": {"__proto__": {"seed": 1},')),
        ),
        /keys that are names/,
      ],
      [
        damage("twice", "config.json", (b) =>
          Buffer.from(b.toString().replace('"schema": 2', '"schema": 2, "schema": 2')),
        ),
        /"schema" stands twice/,
      ],
      [
        damage("flipped", "checkpoint.safetensors", (b) => b.map((x, i) => (i === b.length - 7 ? x ^ 1 : x))),
        /the file is damaged/,
      ],
      [damage("other", "config.json", (b) => Buffer.from(b.toString().replace('"lenet5"', '"alexnet"'))), /\[/],
      [
        damage("moved", "config.json", (b) => Buffer.from(b.toString().replaceAll(data, "/nowhere"))),
        /expected mnist in one of/,
      ],
    ];
    for (const [dir, pattern] of cases) {
      const got = await cli("evaluate", dir, "--json");
      expect(got, dir).toMatchObject({ code: 1, stdout: "" });
      expect(got.stderr).toMatch(pattern);
      expect(got.stderr.trim().split("\n")).toHaveLength(1);
    }
    const flipped = join(tmp, "flipped");
    const before = contents(flipped);
    expect(await cli("train", "--resume", flipped, "--epochs", "9", "--json")).toMatchObject({ code: 1 });
    expect(contents(flipped)).toEqual(before); // its recipe neither
  });
});

describe("info and bench", () => {
  it("describes the machine and a model", async () => {
    const [machine] = (await cli("info", "--json")).events;
    expect(machine).toMatchObject({ event: "info", version, node: process.version });
    expect(["avx512bf16", "avx512", "avx2", "base", "neon"]).toContain(machine.instructionSet);
    const { events } = await cli("info", "--model", "lenet5", "--batch", "4", "--json");
    const model = events.at(-1)!;
    expect(model.parameters).toBe(2 * 61_706); // LeNet-5 has 61,706 weights and biases
    expect(events.filter((e) => e.event === "layer").reduce((sum, l) => sum + l.parameters, 0)).toBe(model.parameters);
    expect(model.stepFlops).toBeGreaterThan(2 * model.forwardFlops);
    expect((await cli("info", "--model", "lenet5", "--frequentist", "--json")).events.at(-1)!.parameters).toBe(61_706);
    const sized = (await cli("info", "--model", "lenet5", "--batch", "4", "--image-size", "64x48", "--json")).events.at(
      -1,
    )!;
    expect(sized.input).toEqual([64, 48, 1]);
    expect(sized.stepArenaBytes).toBeGreaterThan(2 * model.stepArenaBytes);
    expect(sized.stepMilliseconds).toBeGreaterThan(0);
    const narrow = ["--width", "0.25", "--batch", "2", "--image-size", "8", "--frequentist"];
    expect((await cli("info", "--model", "mobilenet", ...narrow, "--json")).events.at(-1)!.parameters).toBe(215_642);
  });

  it("writes its lines to a file too", async () => {
    const out = join(tmp, "info.jsonl");
    await cli("info", "--out", out);
    expect(JSON.parse(readFileSync(out, "utf8"))).toMatchObject({ event: "info" });
    expect((await cli("info", "--out", join(tmp, "no", "where"))).stderr).toMatch(
      /cannot write .*no such file or directory/,
    );
  });

  it("times a step, and prints one line", async () => {
    const { code, events } = await cli("bench", "step", "--model", "lenet5", "--batch", "8", "--json");
    expect(code).toBe(0);
    expect(events).toHaveLength(1);
    const { median_ms, min_ms, max_ms, n, ...rest } = events[0];
    expect(rest).toEqual({});
    expect(n).toBeGreaterThanOrEqual(20);
    expect(min_ms).toBeGreaterThan(0);
    expect(median_ms).toBeGreaterThanOrEqual(min_ms);
    expect(max_ms).toBeGreaterThanOrEqual(median_ms);
    const half = await cli("bench", "predict", "--batch", "8", "--samples", "2", "--precision", "bf16");
    expect(half.stdout).toMatch(/^lenet5, bf16, batch 8, /);
  });
});

describe("the built program", () => {
  const main = join(root, "dist/cli/main.js");
  beforeAll(build);
  const spawned = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });

  it("has exit codes", () => {
    expect(spawned("--version")).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(spawned("train", "--nothing")).toMatchObject({ status: 2, stdout: "" });
    expect(spawned("evaluate", join(tmp, "gone"))).toMatchObject({ status: 1, stdout: "" });
  });

  it.runIf(existsSync("/dev/full"))("knows a reader that has gone from a disk that is full", () => {
    const shell = (line: string) => spawnSync("sh", ["-c", line, process.execPath, main], { encoding: "utf8" });
    expect(shell('{ "$0" "$1" --help; echo "rc $?" >&2; } | :').stderr).toBe("rc 141\n");
    const full = shell('"$0" "$1" data list > /dev/full');
    expect(full.stderr).toBe(
      "bayescnn: cannot write standard output: the disk is full (ENOSPC); what follows is lost\n",
    );
    expect(full.status).toBe(1);
  });

  it("saves when its terminal closes while nobody reads, and exits with 129", async () => {
    const out = join(tmp, "killed");
    const child = spawn(process.execPath, [main, ...trainArgs(out, "--epochs", "500")], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
      if (!stdout.includes('"epoch"') || child.killed) return;
      child.stdout.destroy();
      child.stderr.destroy();
      child.kill("SIGHUP");
    });
    const code = await new Promise((done) => child.on("exit", done));
    expect(code).toBe(129);
    expect(readdirSync(out).sort()).toEqual(["checkpoint.safetensors", "config.json", "metrics.jsonl"]);
  });
});
