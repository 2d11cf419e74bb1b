// The runner of experiments, on units that cost nothing, and one true unit from the command line.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { experiments } from "../../lib/experiments/index.ts";
import { runExperiment } from "../../lib/experiments/runner.ts";
import type { Experiment, JsonObject, Unit, Work } from "../../lib/experiments/shared/experiment.ts";
import { standIn } from "../../lib/experiments/shared/standIn.ts";
import { type RunnerOptions, states } from "../../lib/experiments/units.ts";
import { RunLock } from "../../lib/train/lock.ts";
import { cli, temporaryFolder } from "../cli-capture.ts";

const folder = temporaryFolder();
let folders = 0;

/** A place of its own, and what was said and begun there. */
function place(options: Partial<RunnerOptions> = {}) {
  const root = join(folder, String(folders++));
  const said: string[] = [];
  const begun: string[] = [];
  const all: RunnerOptions = {
    quick: false,
    seed: 1,
    out: join(root, "results"),
    work: join(root, "work"),
    device: "cpu",
    signal: new AbortController().signal,
    progress: false,
    on: { say: (s) => void said.push(s), begin: (u) => void begun.push(u.name), done: () => {} },
    ...options,
  };
  return { root, said, begun, all };
}

const unit = (name: string, run: Unit["run"], about: Partial<Unit> = {}): Unit => ({
  name,
  settings: { name },
  minutes: 1,
  run,
  ...about,
});
const made = (name: string, units: readonly Unit[]): Experiment => ({
  name,
  title: name,
  summary: "",
  units: () => units,
});
const file = (options: RunnerOptions, name: string, experiment = "e") =>
  JSON.parse(readFileSync(join(options.out, experiment, `${name}.json`), "utf8"));

describe("the runner", () => {
  it("makes a needed unit again whose figures are there and whose folder is gone, as in a clone of ours", async () => {
    const { all, begun, said } = place();
    const base = unit("base", async (work) => {
      writeFileSync(join(work.dir, "net"), "7");
      return { value: 7 };
    });
    const net = (work: Work) => ({ net: readFileSync(join(work.dirOf("base"), "net"), "utf8") });
    const e = made("e", [base, unit("on", async (work) => net(work), { needs: ["base"] })]);
    await runExperiment([e], e, { ...all, only: "base" });
    rmSync(all.work, { recursive: true });
    await runExperiment([e], e, { ...all, only: "base" }); // its figures are all that was asked for
    expect(begun).toEqual(["base"]);
    await runExperiment([e], e, all);
    expect(begun).toEqual(["base", "on"]);
    expect(said).toContain("base runs again, and its figures are written anew: its folder is not there, or not whole");
    expect(file(all, "on").figures).toEqual({ net: "7" });
    await runExperiment([e], e, all);
    expect(begun).toHaveLength(2);
  });

  it("takes no half-made folder for a needed one", async () => {
    const { all, said } = place();
    const e = made("e", [
      unit("base", async () => ({ value: 7 })),
      unit("on", async (work) => ({ dir: work.dirOf("base") }), { needs: ["base"] }),
    ]);
    await runExperiment([e], e, { ...all, only: "base" });
    rmSync(all.work, { recursive: true });
    mkdirSync(join(all.work, "e", "base"), { recursive: true });
    const lock = RunLock.take(join(all.work, "e", "base")); // another process is at it
    await runExperiment([e], e, all);
    lock[Symbol.dispose]();
    expect(said.join("\n")).toMatch(/on is left out: base, which it needs, is not done yet/);
  });

  it("runs what is needed first, across experiments, and computes nothing twice", async () => {
    const { all, begun, said } = place();
    const other = made("other", [unit("base", async () => ({ value: 2 }))]);
    const e = made("e", [
      unit("twice", async (work) => ({ value: 2 * Number(work.figuresOf("once").value) }), { needs: ["once"] }),
      unit("once", async (work) => ({ value: Number(work.figuresOf("other/base").value) + 1 }), {
        needs: ["other/base"],
      }),
    ]);
    await runExperiment([e, other], e, { ...all, only: "tw*" });
    expect(begun).toEqual(["base", "once", "twice"]);
    expect(file(all, "twice").figures).toEqual({ value: 6 });
    expect(file(all, "base", "other").provenance.command).toBe("npx bayescnn experiment other --only base");
    await runExperiment([e, other], e, all);
    expect(begun).toHaveLength(3);
    expect(said.at(-1)).toBe("3 of 3 units are done already");
  });

  it("computes anew what was made with other settings, and not from what those left", async () => {
    const { all } = place();
    const seen: string[][] = [];
    const run: Unit["run"] = async ({ dir }) => {
      seen.push(readdirSync(dir).filter((name) => name === "run"));
      mkdirSync(join(dir, "run"), { recursive: true });
      return {};
    };
    const e = (epochs: number) => made("e", [unit("u", run, { settings: { epochs } })]);
    for (const epochs of [1, 2, 2]) await runExperiment([e(epochs)], e(epochs), all);
    expect(seen).toEqual([[], []]);
    expect(file(all, "u").settings).toEqual({ epochs: 2 });
  });

  it("goes on in the unit's folder after a stop, and counts the time of both attempts", async () => {
    const { all } = place();
    let attempts = 0;
    const stop = new AbortController();
    const run = async ({ dir, signal }: Work): Promise<JsonObject> => {
      attempts++;
      if (existsSync(join(dir, "half"))) return { attempts };
      writeFileSync(join(dir, "half"), "");
      await new Promise((resolve) => setTimeout(resolve, 600));
      stop.abort(new Error("stopped"));
      signal.throwIfAborted();
      return {};
    };
    const e = made("e", [unit("u", run)]);
    await expect(runExperiment([e], e, { ...all, signal: stop.signal })).rejects.toThrow("stopped");
    expect(states([e], e, all)[0].state).toBe("begun");
    expect(existsSync(join(all.out, "e"))).toBe(false);
    await runExperiment([e], e, all);
    expect(file(all, "u").figures).toEqual({ attempts: 2 });
    expect(file(all, "u").provenance.seconds).toBeGreaterThan(0);
    expect(states([e], e, all)[0].state).toBe("done");
  });

  it("leaves a unit to the process that works on it, and what needs it, and says so", async () => {
    const { all, said, begun } = place();
    const run = async (): Promise<JsonObject> => ({});
    const e = made("e", [unit("a", run), unit("b", run, { needs: ["a"] }), unit("c", run)]);
    mkdirSync(join(all.work, "e", "a"), { recursive: true });
    {
      using _ = RunLock.take(join(all.work, "e", "a"));
      await runExperiment([e], e, all);
    }
    expect(begun).toEqual(["c"]);
    expect(said).toEqual([
      "a is left out: another process works on it",
      "b is left out: a, which it needs, is not done yet",
    ]);
  });

  it.each([
    ["a unit that is not there", { only: "nothing" }, /--only among a, received "nothing"/],
    ["figures that are no numbers", {}, /figures\.value/],
  ])("refuses %s", async (_, options, message) => {
    const { all } = place(options);
    const e = made("e", [unit("a", async () => ({ value: Number.NaN }))]);
    await expect(runExperiment([e], e, all)).rejects.toThrow(message);
    expect(existsSync(join(all.out, "e"))).toBe(false);
  });

  it("does not take another file for figures, nor quick ones for those of a full run", async () => {
    const { all, begun } = place();
    const e = made("e", [unit("a", async () => ({}))]);
    await runExperiment([e], e, { ...all, quick: true });
    await runExperiment([e], e, all);
    expect(begun).toEqual(["a", "a"]);
    writeFileSync(join(all.out, "e", "a.json"), "{}");
    await expect(runExperiment([e], e, all)).rejects.toThrow(/expected figures of an experiment.*remove it/);
  });
});

describe("the experiments", () => {
  const options = { quick: false, seed: 1 };

  it.each(experiments.map((e) => [e.name, e] as const))(
    "%s has units with names of their own, and finds what they need",
    (_, e) => {
      for (const quick of [false, true]) {
        const units = e.units({ quick, seed: 1 });
        expect(units.length).toBeGreaterThan(0);
        expect(new Set(units.map((u) => u.name)).size).toBe(units.length);
        for (const u of units) {
          expect(u.name).toMatch(/^[\w.-]+$/);
          expect(JSON.parse(JSON.stringify(u.settings))).toEqual(u.settings);
        }
        expect(states(experiments, e, place({ ...options, quick }).all).length).toBeGreaterThanOrEqual(units.length);
      }
    },
  );

  it("quick data has the shape of what it stands for", () => {
    expect(standIn("mnist").train.shape).toEqual([28, 28, 1]);
    expect(standIn("cifar-10").test.shape).toEqual([32, 32, 3]);
    expect(standIn("fashion-mnist").train.name).toBe("digits in place of fashion-mnist");
  });

  it("a quick unit from the command line leaves its figures, and --list says so", async () => {
    const work = join(folder, "cli");
    const args = ["experiment", "classification", "--quick", "--work", work, "--only", "mnist-lenet5-frequentist*"];
    const ran = await cli(...args, "--json");
    expect(ran.stderr).toBe("");
    expect(ran.events.map((e) => e.event)).toEqual(["begin", "done", "end"]);
    const [done] = ran.events.filter((e) => e.event === "done");
    expect(done.figures.accuracy).toBeGreaterThan(0.2);
    const path = join(work, "quick-results", "classification", "mnist-lenet5-frequentist-0-1.json");
    const { figures, quick } = JSON.parse(readFileSync(path, "utf8"));
    expect([figures, quick]).toEqual([done.figures, true]);
    const listed = await cli(...args, "--list");
    expect(listed.stdout).toMatch(/^mnist-lenet5-frequentist-0-1\s+done/);
    expect((await cli("experiment", "nothing")).code).toBe(2);
    expect((await cli(...args.slice(0, 5), "--only", "x")).stderr).toMatch(/--only among/);
  });
});
