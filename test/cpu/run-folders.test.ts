// What a run does to its folder, and what others do to it meanwhile.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openModel } from "../../lib/checkpoints/open.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { bayesLinear } from "../../lib/layers/linear.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { Model } from "../../lib/models/model.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { fit } from "../../lib/train/fit.ts";
import { LOCK } from "../../lib/train/lock.ts";
import { type Owner, ownerText, self } from "../../lib/util/owner.ts";
import { bits, CLASSES, common, data, eachRun, tinyBayes, tinyPlain, train, withoutWall } from "./train-kit.ts";

let runDir = "";
eachRun((folder) => {
  runDir = folder;
});
const metrics = () => readFileSync(join(runDir, "metrics.jsonl"), "utf8");
const files = (folder = runDir) => readdirSync(folder).sort();
const RUN = ["best.safetensors", "checkpoint.safetensors", "metrics.jsonl"];
const at = (step: number, act: () => void) => ({
  onStep: (record: { step: number }) => {
    if (record.step === step) act();
  },
});

/** A run that was stopped after some epochs. */
const part = async (epochs: number) => {
  const stop = new AbortController();
  const onEpoch = ({ epoch }: { epoch: number }) => epoch === epochs - 1 && stop.abort();
  const { result } = await train({ runDir, chunk: 1, signal: stop.signal, callbacks: { onEpoch } });
  expect(result.end).toBe("aborted");
};

describe("a run folder", () => {
  it("is one run's: a second fit is refused at once, whatever it was to do, and changes nothing", async () => {
    const others: Promise<unknown>[] = [];
    const second = async (options: object) => {
      using model = tinyBayes({ seed: 8 });
      const before = bits(model);
      const error = await fit(model, data, { ...common, runDir, ...options }).catch((e: unknown) => e);
      expect(bits(model)).toEqual(before);
      return error;
    };
    const { result, bits: trained } = await train({
      runDir,
      chunk: 1,
      callbacks: at(9, () => {
        for (const options of [{}, { resume: true }, { runDir: `${runDir}/.` }]) others.push(second(options));
      }),
    });
    for (const error of await Promise.all(others))
      expect(error).toMatchObject({
        code: "ERR_BAYES_BUSY",
        message: expect.stringMatching(/which process \d+ \(this one\) has held since 20/),
      });
    expect(others.length).toBe(3);
    expect(result.end).toBe("finished");
    expect((await train()).bits).toEqual(trained);
    expect(files()).toEqual(RUN);
    expect(withoutWall(metrics()).length).toBe(24);
  });

  it("is free after a run that failed, and after one that was refused, which leaves no folder", async () => {
    for (const options of [{ batchSize: 1000 }, { runDir: join(runDir, "a/b"), learningRate: -1 }])
      await expect(train({ runDir, ...options })).rejects.toThrow(/expected/);
    const broken = { ...data, train: { ...data.train, shape: [9, 16, 1] as const } };
    await expect(fit(tinyPlain(), broken, { ...common, runDir: join(runDir, "a/b") })).rejects.toThrow(/expected/);
    expect(existsSync(runDir)).toBe(false);
    const onEpoch = () => {
      throw new Error("of my own");
    };
    await expect(train({ runDir, callbacks: { onEpoch } })).rejects.toThrow("of my own");
    expect(files()).not.toContain(LOCK);
    await train({ runDir, epochs: 1 });
    await expect(train({ runDir, epochs: 1 })).rejects.toThrow(/without a checkpoint, or resume: true/);
    expect(files()).toEqual(RUN);
  });

  it("of a process that was killed is gone on with; its lock and its unfinished files go", async () => {
    await part(1);
    const { pid } = spawnSync("true");
    const dead: Owner = { ...self(), pid: pid!, thread: pid! };
    writeFileSync(join(runDir, LOCK), JSON.stringify({ owner: ownerText(dead) }));
    writeFileSync(join(runDir, `.checkpoint.safetensors.${ownerText(dead)}01234567.tmp`), "half");
    writeFileSync(join(runDir, `.other.${ownerText(dead)}01234567.tmp`), "half");
    const { bits: resumed } = await train({ runDir, resume: true });
    expect(files()).toEqual(RUN);
    expect((await train()).bits).toEqual(resumed);
  });

  it("can be read while the run is under way, and always holds whole files", async () => {
    const build = (x: Tensor) => bayesLinear(flatten(x), CLASSES, { name: "fc" });
    using model = new Model({ name: "small", input: [12, 12, 1], likelihood: categorical(CLASSES), build });
    const seen = new Set<string>();
    const read = ({ step }: { step: number }) => {
      if (step === 0) return; // there is no checkpoint yet
      using other = openModel(runDir, { build });
      seen.add(bits(other)["fc/weight/mu"]);
    };
    const callbacks = { onStep: read };
    await fit(model, data, {
      ...common,
      evaluate: undefined,
      epochs: 1,
      runDir,
      chunk: 1,
      checkpoint: { steps: 1 },
      callbacks,
    });
    expect(seen.size).toBe(6);
  });

  it("that is removed or replaced ends the run with a sentence, and nothing is written into the other", async () => {
    const lost = async (act: () => void) => {
      const error = await train({ runDir, chunk: 1, callbacks: at(8, act) }).catch((e: unknown) => e);
      expect(error).toMatchObject({ name: "BayesError", code: "ERR_BAYES_FILE" });
      return (error as Error).message;
    };
    const stays = `[run folder] expected ${runDir} to stay in its place during the run, received`;
    expect(await lost(() => rmSync(runDir, { recursive: true }))).toBe(
      `${stays} none: it was removed or renamed; nothing more was written there`,
    );
    expect(existsSync(runDir)).toBe(false);
    const old = `${runDir}-old`;
    const message = await lost(() => {
      renameSync(runDir, old);
      mkdirSync(runDir);
      writeFileSync(join(runDir, "mine"), "");
    });
    expect(message).toContain(`${stays} another one`);
    expect(files()).toEqual(["mine"]);
    // where it is now, the run can be gone on with
    const { bits: resumed } = await train({ runDir: old, resume: true });
    expect((await train()).bits).toEqual(resumed);
    expect(files(old)).toEqual(RUN);
  });

  it("is the same one where the program goes to another folder meanwhile", async () => {
    const before = process.cwd();
    mkdirSync(runDir);
    process.chdir(runDir);
    try {
      await train({ runDir: "run", epochs: 1, callbacks: at(3, () => process.chdir(tmpdir())) });
    } finally {
      process.chdir(before);
    }
    expect(files(join(runDir, "run"))).toEqual(RUN);
  });

  it("loses damaged lines of its metrics alone, and says so", async () => {
    await part(2);
    const whole = metrics();
    const lines = whole.split("\n");
    lines[3] = `${lines[3].slice(0, 10)}\0`;
    writeFileSync(join(runDir, "metrics.jsonl"), lines.join("\n"));
    const notes: string[] = [];
    await train({ runDir, resume: true, callbacks: { onNote: (sentence) => notes.push(sentence) } });
    expect(notes).toContainEqual(
      expect.stringMatching(/metrics\.jsonl: 1 damaged or repeated line was dropped \(line 4\); the others are kept$/),
    );
    const kept = withoutWall(metrics());
    expect(kept.length).toBe(23);
    await train({ runDir: `${runDir}-whole` });
    const expected = withoutWall(readFileSync(join(`${runDir}-whole`, "metrics.jsonl"), "utf8"));
    expect(kept).toEqual(expected.filter((_, i) => i !== 3));
  });

  it("with something else in the place of a file is refused, and the model is as it was", async () => {
    await part(1);
    for (const name of RUN)
      for (const make of [
        (path: string) => mkdirSync(path),
        (path: string) => expect(spawnSync("mkfifo", [path]).status).toBe(0),
      ]) {
        const path = join(runDir, name);
        const kept = readFileSync(path);
        rmSync(path);
        make(path);
        using model = tinyBayes();
        const before = Object.keys(bits(model));
        const error = await fit(model, data, { ...common, runDir, resume: true }).catch((e: unknown) => e);
        expect(error, name).toMatchObject({
          code: "ERR_BAYES_FILE",
          message: expect.stringMatching(/a directory|a pipe/),
        });
        expect(Object.keys(bits(model)).filter((slot) => !slot.startsWith("optimizer/"))).toEqual(before);
        rmSync(path, { recursive: true });
        writeFileSync(path, kept);
      }
    expect((await train({ runDir, resume: true })).result.end).toBe("finished");
  });
});
