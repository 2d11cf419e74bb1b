import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { peekCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { withSource } from "../../lib/cli/shared/from.ts";
import type { RunConfig } from "../../lib/cli/shared/run-folder.ts";
import type { TrainOptions } from "../../lib/cli/shared/train-options.ts";
import { type ClassModelConfig, createModel, openModel, saveModel } from "../../lib/index.ts";
import { type Captured, cli, temporaryFolder, writeIdx } from "../cli-capture.ts";
import { golden, torchFile } from "../import-kit.ts";

const tmp = temporaryFolder();
const data = join(tmp, "data");
const at = (name: string) => join(tmp, name);
beforeAll(() => writeIdx(join(data, "mnist")));

const train = (out: string, ...more: string[]) =>
  cli(
    ...["train", "--data", "mnist", "--data-dir", data, "--epochs", "1", "--batch", "50", "--seed", "7"],
    ...["--test-samples", "2", "--json", "--out", at(out), ...more],
  );
const config = (out: string) => JSON.parse(readFileSync(join(at(out), "config.json"), "utf8"));
const notes = (got: Captured) => got.events.flatMap((e) => (e.event === "note" ? [e.text] : [])).join("\n");

describe("train --from", () => {
  beforeAll(async () => {
    expect((await train("net", "--frequentist")).code).toBe(0);
  });

  it("a run, --moped: its weights are the means and the prior's, its pixels and activation stay, nothing is moved by lr 0", async () => {
    const got = await train("moped", "--from", at("net"), "--moped", "--lr", "0");
    expect(got.stderr).toBe("");
    expect(notes(got)).not.toContain("last layer");
    using net = openModel(at("net"));
    using model = openModel(at("moped"));
    expect(model.bayesian).toBe(true);
    expect(model.config).toMatchObject({ activation: "relu", prior: { kind: "gaussian", mean: "initial", sigma: 1 } });
    for (const part of ["mu", "prior"])
      expect(model.store.get(`fc1/weight/${part}`)).toEqual(net.store.get("fc1/weight"));
    const [mu, rho] = ["mu", "rho"].map((part) => model.store.get(`fc3/weight/${part}`));
    expect(Math.log1p(Math.exp(rho[5])) / Math.abs(mu[5])).toBeCloseTo(0.1, 4);
    expect(model.preprocess).toEqual(net.preprocess);
    expect(config("moped").from).toEqual({ path: join(at("net"), "checkpoint.safetensors"), except: [], delta: 0.1 });
  });

  it("--head-only trains the last layer alone", async () => {
    const got = await train("head", "--from", at("net"), "--head-only");
    expect(got.stderr).toBe("");
    using net = openModel(at("net"));
    using model = openModel(at("head"));
    for (const name of ["conv1/weight", "conv2/bias", "fc2/weight"])
      expect(model.store.get(name)).toEqual(net.store.get(name));
    expect(model.store.get("fc3/weight/mu")).not.toEqual(net.store.get("fc3/weight"));
    expect(model.frozen).toEqual(["conv1", "conv2", "fc1", "fc2"]);
    const plain = await train("plain-head", "--from", at("net"), "--head-only", "--frequentist");
    expect(plain.stderr).toBe("");
    using other = openModel(at("plain-head"));
    expect(other.bayesian).toBe(false);
    expect(other.store.get("fc2/weight")).toEqual(net.store.get("fc2/weight"));
  });

  it("other classes: the last layer is new, and a note says so", async () => {
    using letters = createModel({ model: "lenet5", input: [28, 28, 1], classes: ["a", "b", "c"], bayesian: false });
    saveModel(letters, at("letters.safetensors"));
    const got = await train("letters", "--from", at("letters.safetensors"), "--lr", "0");
    expect(got.stderr).toBe("");
    expect(notes(got)).toContain("the last layer, fc3, is new");
    using model = openModel(at("letters"));
    expect(model.store.get("conv2/weight/mu")).toEqual(letters.store.get("conv2/weight"));
    expect(model.outputShape).toEqual([10]);
    // as many, but others
    using ten = createModel({
      model: "lenet5",
      input: [28, 28, 1],
      classes: [..."klmnopqrst"],
      bayesian: false,
    });
    saveModel(ten, at("ten.safetensors"));
    const about = peekCheckpoint(at("ten.safetensors"));
    for (const [classes, expected] of [
      [[..."klmnopqrst"], []],
      [[..."abcdefghij"], ["fc3"]],
    ]) {
      const config = { model: { model: "lenet5", input: [28, 28, 1], classes }, training: {} } as unknown as RunConfig;
      const source = { file: at("ten.safetensors"), options: {}, about };
      const said: string[] = [];
      const made = withSource(config, source, { from: "ten", posterior: "rho" } as TrainOptions, (s) => said.push(s));
      expect(made.from?.except).toEqual(expected);
      expect(said.join().includes("is new")).toBe(expected.length > 0);
    }
  });

  it("a file of PyTorch's: ReLU, and notes on its classes and pixels", async () => {
    const file = torchFile(at("torch.safetensors"), golden.formula.lenet5.tensors);
    const got = await train("torch", "--from", file, "--lr", "0");
    expect(got.stderr).toBe("");
    expect(notes(got)).toMatch(/its classes are taken to be those of the data[\s\S]*does not say what its net saw/);
    expect(config("torch").model.activation).toBe("relu");
  });

  /** A net of MNIST in a file; what it is made of. */
  const saved = (name: string, more: Partial<ClassModelConfig>) => {
    const input = [28, 28, 1] as const;
    using net = createModel({ model: "mobilenet", input, classes: 10, bayesian: false, ...more } as ClassModelConfig);
    saveModel(net, at(name));
    return at(name);
  };

  it.each<[Partial<ClassModelConfig>, string[]]>([
    [{ width: 0.25, norm: "filter-response", dropout: 0.3, dropoutAfter: [] }, ["--frequentist", "--width", "0.25"]],
    [{ model: "lenet5", bayesian: true, bias: false, dropout: 0.2 }, ["--head-only"]],
    [{ model: "lenet5", widths: { conv1: 4, conv2: 9, fc1: 30 } }, ["--moped"]],
  ])("%j comes from the source", async (made, more) => {
    const file = saved("source.safetensors", made);
    const got = await train(`of-${more[0]}`, "--from", file, "--lr", "0", ...more);
    expect(got.stderr).toBe("");
    const { bayesian: _, ...kept } = made;
    expect(config(`of-${more[0]}`).model).toMatchObject(kept);
    expect((await cli("evaluate", at(`of-${more[0]}`), "--data-dir", data, "--json")).code).toBe(0);
  });

  it("dropout that stays on is tested with samples, and other dropout than the source's may be said", async () => {
    const file = saved("drop.safetensors", { model: "lenet5", dropout: 0.2, monteCarloDropout: true });
    await train("drop", "--from", file, "--frequentist");
    expect(config("drop")).toMatchObject({ testSamples: 2, model: { dropout: 0.2, monteCarloDropout: true } });
    await train("other-drop", "--from", file, "--frequentist", "--dropout", "0.4:fc1");
    expect(config("other-drop").model).toMatchObject({ dropout: 0.4, dropoutAfter: ["fc1"] });
    expect(config("other-drop").model.monteCarloDropout).not.toBe(true);
  });

  it.each<[Partial<ClassModelConfig>, string[], string]>([
    [{ width: 0.3 }, ["--width", "0.5"], "expected --width 0.3, as SOURCE has it, or no --width, received 0.5"],
    [{ norm: "filter-response" }, ["--norm", "batch"], 'or no --norm, received "batch"'],
    [{ bayesian: true, bias: false }, ["--bias", "point"], 'or no --bias, received "point"'],
    [{}, ["--bias", "none"], 'expected --bias bayesian, as SOURCE has it, or no --bias, received "none"'],
    [
      { model: "lenet5", bayesian: true, bias: false },
      ["--frequentist"],
      "of lenet5 (bias true), received a file (bias",
    ],
  ])("%j: %j is refused in a short sentence", async (made, more, message) => {
    const file = saved("source.safetensors", { width: made.model ? undefined : 0.25, ...made });
    const got = await train("bad", "--from", file, ...more);
    expect(got.code).toBe(1);
    expect(got.stderr).toContain(message.replace("SOURCE", file));
    expect(got.stderr.length).toBeLessThan(400);
    expect(existsSync(at("bad"))).toBe(false);
  });

  it("a run that was killed before its first checkpoint begins with the weights again", async () => {
    await train("again", "--from", at("net"), "--moped", "--lr", "0");
    for (const name of ["checkpoint.safetensors", "metrics.jsonl"]) rmSync(join(at("again"), name));
    const got = await cli("train", "--resume", at("again"), "--data-dir", data, "--json");
    expect(got.stderr).toBe("");
    using net = openModel(at("net"));
    using model = openModel(at("again"));
    expect(model.store.get("conv1/weight/mu")).toEqual(net.store.get("conv1/weight"));
  });

  it.each([
    [["--moped"], 2, "expected --from together with --moped"],
    [["--head-only"], 2, "expected --from together with --head-only"],
    [["--from", "NET", "--moped", "--frequentist"], 2, "or --frequentist, received both"],
    [["--from", "NET", "--moped", "--prior", "tied"], 2, "or --prior, received both"],
    [["--from", "NET", "--model", "alexnet"], 1, "expected --model lenet5, the net of"],
    [["--from", "nowhere"], 1, "expected the file of a model"],
  ])("%j is refused, and nothing is left", async (args, code, message) => {
    const got = await train("bad", ...args.map((a) => (a === "NET" ? at("net") : a)));
    expect(got.code).toBe(code);
    expect(got.stderr).toContain(message);
    expect(existsSync(at("bad"))).toBe(false);
  });

  it("a file whose other layers do not fit either is refused by its own sentence", async () => {
    const file = torchFile(at("alien.safetensors"), golden.formula.alexnet.tensors);
    const got = await train("bad", "--from", file);
    expect(got.stderr).toContain("expected layers by the usual names");
    expect(existsSync(at("bad"))).toBe(false);
  });
});
