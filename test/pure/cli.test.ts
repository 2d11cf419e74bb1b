import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { reshaped } from "../../lib/cli/commands/evaluate.ts";
import { EXIT_CODES, program, unexpected } from "../../lib/cli/program.ts";
import { bytes, table } from "../../lib/cli/shared/output.ts";
import { recipe } from "../../lib/cli/shared/recipe.ts";
import { splitData } from "../../lib/cli/shared/run-data.ts";
import { createRun, newRunDir, readConfig } from "../../lib/cli/shared/run-folder.ts";
import {
  defaultOptions,
  parseAugment,
  parseDropout,
  parsePosterior,
  parsePrior,
  rateText,
} from "../../lib/cli/shared/train-options.ts";
import { makeDataset, subset } from "../../lib/data/dataset.ts";
import { embeddedMnist } from "../../lib/data/locate.ts";
import { defaults } from "../../lib/train/defaults.ts";
import { validationSize } from "../../lib/train/validation.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { asBayesError } from "../../lib/util/memory.ts";
import { version } from "../../lib/util/package.ts";
import { cli, temporaryFolder } from "../cli-capture.ts";
import { read } from "../docs-kit/blocks.ts";
import { tries } from "../tries.ts";

const tmp = temporaryFolder();

/** One line on standard error, nothing on standard output, no stack. */
function expectSentence(got: { code: number; stdout: string; stderr: string }, code: number, pattern: RegExp): void {
  expect(got.stderr).toMatch(pattern);
  expect(got.stderr).not.toMatch(/\n\s+at /);
  expect(got.stdout).toBe("");
  expect(got.code).toBe(code);
}

describe("help", () => {
  const commands = program().commands.flatMap((c) =>
    c.commands.length ? c.commands.map((d) => [c.name(), d.name()]) : [[c.name()]],
  );

  it("knows the twelve commands", () => {
    expect(program().commands.map((c) => c.name())).toEqual([
      "train", "evaluate", "threshold", "predict", "super-resolve", "prune", "export", "data", "info", "bench", "experiment", "start",
    ]); // biome-ignore format: one line
  });

  it.each(commands)("%s %s has help with an example and the shared options", async (...name) => {
    const { code, stdout, stderr } = await cli(...name.filter(Boolean), "--help");
    expect(code).toBe(0);
    expect(stderr).toBe("");
    expect(stdout).toContain(`Example:\n  $ bayescnn ${name.filter(Boolean).join(" ")}`);
    for (const option of ["--json", "--seed", "--device", "--threads", "--out"]) expect(stdout).toContain(option);
  });

  it("prints the version", async () => {
    expect(await cli("--version")).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

describe("a wrong command line is one sentence and exit code 2", () => {
  it.each([
    [["fly"], /unknown command 'fly'/],
    [["train", "--model", "resnet9000"], /Allowed choices are lenet5/],
    [["train", "--wings", "2"], /unknown option '--wings'/],
    [["train", "--epochs", "0"], /'--epochs <n>' argument '0' is invalid. Expected the value to be an integer >= 1/],
    [["train", "--epochs", "two"], /Expected the value to be an integer >= 1, received no number/],
    [["train", "--epochs", "1.5"], /Expected the value to be an integer/],
    [["train", "--lr", "-1"], /Expected the value to be a finite number >= 0/],
    [["train", "--beta", "lots"], /'--beta <spec>' argument 'lots' is invalid. Expected a number, "blundell"/],
    [["train", "--schedule", "zigzag"], /Expected constant, cosine, step or plateau/],
    [["train", "--posterior", "cauchy"], /Expected rho/],
    [["train", "--prior", "gaussian:x"], /Expected gaussian/],
    [["train", "--augment", "spin"], /Expected shift, flip, .*, received "spin"/],
    [["train", "--augment", "shift"], /Expected "shift:PIXELS", received "shift"/],
    [["train", "--device", "tpu"], /Expected device "auto", "cpu", "cuda" or "cuda:<number>"/],
    [["train", "--threads", "0"], /Expected the value to be an integer from 1 to 64/],
    [["train", "--seed", "-1"], /Expected the value to be an integer >= 0/],
    [["train", "--resume", "somewhere", "--lr", "1"], /received --lr as well/],
    [["train", "--validation", "0", "--best"], /expected --validation above 0/],
    [["evaluate"], /missing required argument 'rundir'/],
    [["predict", "run"], /expected image files or --index, received neither/],
    [["predict", "run", "a.png", "--index", "1"], /received both/],
    [["predict", "run", "--index", "5-2"], /end of a range/],
    [["prune", "run", "--sparsity", "1"], /<= 0.9999/],
    [["info", "run", "--model", "lenet5"], /received both/],
    [["info", "--width", ".5"], /expected --model together with --width, received none/],
    [["info", "run", "--batch", "3", "--image-size", "5"], /--model together with --batch, received a run folder/],
    [["train", "--model", "mobilenet", "--width", "2"], />= 0.25 and <= 1, received 2/],
    [["bench", "step", "--batch", "-3"], /an integer from 1 to 65536/],
    [
      ["bench", "step", "--precision", "fp8"],
      /'--precision <name>' argument 'fp8' is invalid. Allowed choices are fp32, tf32, bf16/,
    ],
    [["train", "--resume", "somewhere", "--precision", "bf16"], /received --precision as well/],
  ])("%j", async (args, pattern) => {
    const got = await cli(...args);
    expectSentence(got, 2, pattern);
    expect(got.stderr.trim().split("\n").length).toBeLessThanOrEqual(2); // the sentence, and where help is
  });
});

describe("what cannot be done is one sentence and exit code 1", () => {
  it.each([
    [["train", "--data", "imagenet"], /expected one of mnist, .* received "imagenet"/],
    [
      ["train", "--data", "mnist", "--data-dir", join(tmp, "nothing")],
      /expected mnist in one of .*bayescnn data get mnist/,
    ],
    [["train", "--device", "cuda:9999"], /^bayescnn: \[--device\] expected .*CUDA/],
    [["train", "--resume", join(tmp, "gone")], /expected the folder of a run, received .*gone, which does not exist/],
    [["evaluate", join(tmp, "gone")], /which does not exist/],
    [["evaluate", tmp], /expected the folder of a run .* without config.json/],
    [
      ["train", "--out", join(import.meta.filename, "below")],
      /cannot make directory .*a part of the path is not a directory/,
    ],
    [["data", "get", "imagenet"], /expected one of mnist/],
  ])("%j", async (args, pattern) => {
    const got = await cli(...args, "--json");
    expectSentence(got, 1, pattern);
    expect(got.stderr.trim().split("\n")).toHaveLength(1);
  });
});

describe("numbers and values of options", () => {
  it.each([
    ["--epochs", "1e99", /an integer >= 1, received 1e\+99/],
    ["--epochs", "NaN", /received no number/],
    ["--epochs", "0x10", /received no number/],
    ["--epochs", "", /received no number/],
    ["--epochs", " 5", /received no number/],
    ["--epochs", "9".repeat(400), /received no number/],
    ["--epochs", "--json", /received no number/],
    ["--lr", "Infinity", /received no number/],
    ["--lr", "1e-400x", /received no number/],
    ["--beta", "0x1", /Expected a number, "blundell"/],
    ["--beta", "warmup:", /Expected a number, "blundell"/],
    ["--schedule", "warmup:1:warmup:1:constant", /Expected constant/],
    ["--noise", "1_000", /Expected "learned"/],
    ["--out", "", /Expected a value/],
    ["--out", "--json", /Expected a value .*received "--json"/],
    ["--data-dir", "--epochs", /Expected a value/],
    ["--compare", "--lr", /Expected a value/],
  ])("%s %j", async (option, value, pattern) => {
    expectSentence(await cli("train", option, value), 2, pattern);
  });

  it("-0 is 0, the last of two counts, and a value may begin with a dash where that means something", () => {
    const parsed = (...args: string[]) => {
      const root = program();
      const train = root.commands.find((c) => c.name() === "train")!.action(() => {});
      root.parse(["train", ...args], { from: "user" });
      return train.opts();
    };
    expect(Object.is(parsed("--lr", "-0").lr, 0)).toBe(true);
    expect(parsed("--epochs", "3", "--epochs", "4").epochs).toBe(4);
    expect(parsed("--posterior", "rho:-4", "--out", "-x", "--seed=7")).toMatchObject({ out: "-x", seed: 7 });
  });

  it("lists of indices end somewhere", async () => {
    const list = (text: string) => cli("predict", "run", "--index", text);
    expectSentence(await list(new Array(1000).fill("0-99999").join(",")), 2, /at most 100000 indices, received more/);
    for (const text of ["1-2-3", "-5", "5-", "", "1,,2", "0-1e9"]) expect((await list(text)).code, text).toBe(2);
  });
});

describe("whatever is said", () => {
  const family = (command: ReturnType<typeof program>): ReturnType<typeof program>[] => [
    command as never,
    ...command.commands.flatMap((c) => family(c as never)),
  ];
  const all = family(program());
  const evil = [
    "\u001b[2J",
    "\u001b]0;x\u0007",
    "a\nb",
    "\u202etxt",
    "\u009b2J",
    "--\u001b[2J",
    "-\u0007",
    "\ud800",
    "x".repeat(5000),
  ];
  const plain = [
    "",
    "0",
    "-1",
    "1e99",
    "NaN",
    "-0",
    "0x10",
    "--",
    "-",
    "=",
    "--=",
    "--seed=",
    "none",
    join(tmp, "no\nwhere"),
    "__proto__",
  ];
  const token = fc.oneof(
    fc.constantFrom(
      ...all.flatMap((c) => c.options.map((o) => o.long!)).filter((o) => o !== "--device" && o !== "--debug"),
    ),
    fc.constantFrom(...evil, ...plain),
    fc.string({ maxLength: 8, unit: "binary" }).filter((text) => !text.includes("\0")),
  );
  const argv = fc.tuple(
    fc.constantFrom(...all.map((c) => (c.name() === "get" || c.name() === "list" ? ["data", c.name()] : [c.name()])), [], ["fly"], ["fl\u001b[2Jy"]),
    fc.array(token, { maxLength: 5 }),
  ); // biome-ignore format: lists

  it("is answered with a code of the table and one sentence that a terminal can show", async () => {
    const raw = /(?!\n)(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
    await fc.assert(
      fc.asyncProperty(argv, async ([command, rest]) => {
        // there is no such device, so that nothing begins by chance
        const { code, stdout, stderr } = await cli(...command, ...rest, "--device", "cuda:9999");
        expect([0, 1, 2]).toContain(code);
        expect(stdout + stderr).not.toMatch(raw);
        expect(stderr).not.toMatch(/\n {4}at |unexpected/);
        if (code === 0) expect(stderr).toBe("");
        else if (!stderr.startsWith("Usage: ")) expect(stderr).toMatch(/^bayescnn: [^\n]+\n(\(--help says what there is\)\n)?$/);
        expect(stderr.length).toBeLessThan(12_000);
      }),
      { numRuns: 400 },
    ); // biome-ignore format: long lines
    tries("command lines of random words", 400);
  });

  it("has exit codes that are in the help and in the documents", async () => {
    const { stdout } = await cli("--help");
    for (const [code, what] of EXIT_CODES) {
      expect(stdout.replace(/\s+/g, " ")).toContain(`${code} ${what}`);
      expect(read("docs/errors.md")).toContain(`| ${code} | ${what}`);
    }
  });

  it("shows a stack and causes only with --debug", async () => {
    const args = ["evaluate", tmp];
    const quiet = await cli(...args);
    for (const loud of [await cli(...args, "--debug"), await cli("--debug", ...args)]) {
      expect(loud.code).toBe(1);
      expect(loud.stderr.startsWith(quiet.stderr)).toBe(true);
      expect(loud.stderr).toMatch(/\n {4}at .*code: 'ERR_BAYES_FILE'/s);
    }
  });

  it("and what nobody has foreseen is told apart, in one line without --debug", () => {
    let said = "";
    const spy = vi.spyOn(process.stderr, "write").mockImplementation((text) => Boolean((said += text)));
    try {
      const error = new TypeError("x is\u001b[2J no function", { cause: new Error("why") });
      expect(unexpected(error, false)).toBe(3);
      expect(said).toBe("bayescnn: unexpected: TypeError: x is\\u001b[2J no function; please report it; --debug prints the stack\n");
      expect(unexpected(error, true)).toBe(3);
      expect(said).toMatch(/\n {4}at .*\[cause\]: Error: why/s);
      for (const odd of [undefined, null, "text", 3, { toString: null }]) expect(unexpected(odd, false)).toBe(3);
      expect(said).not.toContain("\u001b");
    } finally {
      spy.mockRestore();
    }
  }); // biome-ignore format: one line
});

it("what JavaScript itself says of sizes is a lack of memory", () => {
  const deep = (n: number): number => deep(n + 1) + 1;
  for (const make of [() => new Uint8Array(2 ** 53 - 1), () => new Float64Array(-1), () => "x".repeat(2 ** 30), () => new Array(-1), () => deep(0)]) {
    let error: unknown;
    try {
      make();
    } catch (thrown) {
      error = thrown;
    }
    expect(asBayesError("read", error)).toMatchObject({ code: "ERR_BAYES_MEMORY", message: expect.stringMatching(/^\[read\] expected something that fits/) });
  }
  expect(asBayesError("read", new TypeError("x"))).toBeUndefined();
  expect(asBayesError("read", null)).toBeUndefined();
}); // biome-ignore format: long lines

it.runIf(process.platform === "linux")("a folder that the kernel will not make is an error, not a hang", async () => {
  const got = await cli("data", "get", "mnist", "--data-dir", "/proc/bayescnn/data");
  expectSentence(got, 1, /cannot make directory .*no such file or directory/);
});

describe("specifications", () => {
  it("reads posteriors and priors", () => {
    expect(parsePosterior("rho")).toEqual({ kind: "rho", rhoInit: undefined });
    expect(parsePosterior("rho:-4")).toEqual({ kind: "rho", rhoInit: -4 });
    expect(parsePosterior("alpha:layer:-3")).toEqual({ kind: "alpha", per: "layer", logAlphaInit: -3 });
    expect(parsePrior("gaussian:0.2")).toEqual({ kind: "gaussian", sigma: 0.2 });
    expect(parsePrior("tied")).toEqual({ kind: "gaussian", mean: "tied", sigma: undefined });
    expect(parsePrior("mixture:0.5:1:0.01")).toEqual({ kind: "mixture", pi: 0.5, sigma1: 1, sigma2: 0.01 });
    for (const bad of ["mixture:0.5", "gaussian:1:2", "gaussian: ", "", "laplace"])
      expect(() => parsePrior(bad)).toThrow(BayesError);
  });

  it("reads dropout", () => {
    expect(parseDropout("0.5")).toEqual({ dropout: 0.5 });
    expect(parseDropout("0.25:conv1,stage1/block1/conv1")).toEqual({
      dropout: 0.25,
      dropoutAfter: ["conv1", "stage1/block1/conv1"],
    });
    for (const bad of ["", "1", "-0.1", "half", "0.5:", "0.5:a,,b", "0.5:a:b"])
      expect(() => parseDropout(bad), bad).toThrow(/--dropout.* expected RATE or RATE:LAYER,LAYER/);
  });

  it("reads augmentations", () => {
    expect(parseAugment("shift:2")).toEqual({ shift: 2, flip: false });
    expect(parseAugment("flip,shift:4")).toEqual({ shift: 4, flip: true });
    expect(parseAugment("shift:4,flip,rotate:15,crop:0.5-1,brightness:0.2,contrast:.25,cutout:8,mixup:0.2")).toEqual({
      shift: 4,
      flip: true,
      rotate: 15,
      resizedCrop: { scale: [0.5, 1], ratio: [3 / 4, 4 / 3] },
      brightness: 0.2,
      contrast: 0.25,
      cutout: 8,
      mixup: 0.2,
    });
    expect(parseAugment("crop").resizedCrop).toEqual({ scale: [0.08, 1], ratio: [3 / 4, 4 / 3] });
    for (const [bad, message] of [
      ["", /shift, flip, .* received ""/],
      ["flip,", /shift, flip, .* received ""/],
      ["flip:1", /expected "flip", received "flip:1"/],
      ["shift", /received "shift"/],
      ["crop:0.5", /received "crop:0.5"/],
      ["crop:1-0.5", /least, largest/],
      ["rotate:-5", /received "rotate:-5"/],
      ["rotate:200", /augment.rotate .*received 200/],
      ["brightness:20", /augment.brightness .*<= 1, received 20/],
      ["mixup:0", /augment.mixup above 0/],
      ["cutout:1.5", /augment.cutout to be an integer/],
      ["flip,flip", /flip once/],
      ["constructor:1", /shift, flip, .* received "constructor:1"/],
      ["rotate:0x10", /received "rotate:0x10"/],
      ["shift:2000", /at most 1024 pixels, received 2000/],
    ] as const)
      expect(() => parseAugment(bad), bad).toThrow(message);
  });

  it("turns schedule, rate and warm-up into one text", () => {
    expect(rateText("constant", 0.01, 9)).toBe("0.01");
    expect(rateText("cosine", 0.01, 9)).toBe("cosine:0.01");
    expect(rateText("step", 0.01, 9)).toBe("step:0.01:3");
    expect(rateText("step:2:0.5", 0.01, 9)).toBe("step:0.01:2:0.5");
    expect(rateText("plateau", 0.01, 9, 2)).toBe("warmup:2:plateau:0.01");
  });

  it("never accepts junk, and never throws anything but a BayesError", () => {
    for (const parse of [parsePosterior, parsePrior, parseAugment, (text: string) => rateText(text, 1, 1)])
      fc.assert(
        fc.property(fc.string(), (text) => {
          try {
            parse(text);
          } catch (error) {
            expect(error).toBeInstanceOf(BayesError);
          }
        }),
      );
  });
});

describe("recipe", () => {
  const digits = embeddedMnist();
  it("keeps a twelfth for validation, but a thousand where that is a sixth", () => {
    expect(validationSize(60_000)).toBe(5000);
    expect(validationSize(6000)).toBe(1000);
    fc.assert(
      fc.property(fc.integer({ min: 6, max: 1e6 }), (n) => validationSize(n) >= 1 && validationSize(n) <= n / 6),
    );
  });

  it("comes back from its file as it was", () => {
    const config = recipe({ ...defaultOptions, data: "mnist", seed: 3, augment: true, clip: 2 }, digits);
    const all = "shift:4,flip,rotate:15,crop:0.5-1,brightness:0.2,contrast:0.2,cutout:8,mixup:0.2";
    const varied = recipe({ ...defaultOptions, data: "mnist", augment: all }, digits);
    createRun(join(tmp, "varied"), varied);
    expect(readConfig(join(tmp, "varied"))).toEqual(JSON.parse(JSON.stringify(varied)));
    expect(varied.training.augment).toEqual(parseAugment(all));
    expect(config.data).toMatchObject({ name: "mnist", train: 5000, valid: 1000, test: 1000, seed: 3 });
    expect(config.training).toMatchObject({
      beta: defaults.beta,
      augment: { shift: 2, flip: false },
      clipNorm: 2,
      weights: "final",
    });
    const dir = join(tmp, "run");
    createRun(dir, config)[Symbol.dispose]();
    expect(readConfig(dir)).toEqual(JSON.parse(JSON.stringify(config)));
    expect(() => createRun(dir, config)).toThrow(/expected a new or empty folder/);
  });

  it("has norm and dropout in the model, and draws samples for dropout that stays on", () => {
    expect(recipe({ ...defaultOptions, dropout: "0.5:fc1", norm: "batch" }, digits).model).toMatchObject({
      dropout: 0.5,
      dropoutAfter: ["fc1"],
      norm: "batch",
    });
    const drawn = recipe({ ...defaultOptions, frequentist: true, dropout: "0.2", monteCarloDropout: true }, digits);
    expect([drawn.model.monteCarloDropout, drawn.testSamples, drawn.training.validationSamples]).toEqual([true, 32, 4]);
  });

  it("of the frequentist twin is the same but for what is Bayesian", () => {
    const [a, b] = [false, true].map((frequentist) => recipe({ ...defaultOptions, frequentist }, digits));
    expect(b.training).toEqual({ ...a.training, beta: undefined, samples: 1, validationSamples: 1 });
    expect(b.data).toEqual(a.data);
    expect(b.testSamples).toBe(1);
  });

  it("takes the data's own validation images, and the training images in an order of their content", () => {
    const all = { train: digits.train, valid: digits.test, test: digits.test };
    const config = recipe({ ...defaultOptions, data: "mnist" }, all);
    expect(config.data).toMatchObject({ train: 6000, valid: 1000, test: 1000 });
    const parts = splitData(all, config.data);
    expect(parts.valid).toBe(digits.test);
    const shuffled = subset(
      digits.train,
      Array.from({ length: 6000 }, (_, i) => (i * 7) % 6000),
    );
    const again = splitData({ ...all, train: shuffled }, config.data);
    expect(Buffer.compare(again.train.images as Uint8Array, parts.train.images as Uint8Array)).toBe(0);
    expect([...again.train.targets]).toEqual([...parts.train.targets]);
    expect(() => recipe({ ...defaultOptions, data: "mnist", validation: 5 }, all)).toThrow(/expected no --validation/);
  });

  it("does not augment unless asked", () => {
    expect(recipe(defaultOptions, digits).training.augment).toBeUndefined();
  });

  it("is refused when it is damaged, with the field's name", () => {
    const good = JSON.parse(JSON.stringify(recipe(defaultOptions, digits)));
    const damaged: [unknown, RegExp][] = [
      ["{", /expected JSON/],
      [{}, /wrong/],
      [{ ...good, extra: 1 }, /extra/],
      [{ ...good, schema: 1 }, /schema wrong/],
      [{ ...good, training: { ...good.training, epochs: -1 } }, /training.epochs wrong/],
      [{ ...good, training: { ...good.training, augment: { rotate: 400 } } }, /training.augment wrong: .*<= 180/],
      [{ ...good, training: { ...good.training, augment: { spin: 4 } } }, /training.augment wrong: .*spin/],
      [{ ...good, training: { ...good.training, beta: "lots" } }, /training.beta wrong.*expected a number/],
      [{ ...good, training: { ...good.training, learningRate: "fast" } }, /training.learningRate wrong/],
      [null, /wrong/],
    ];
    for (const [i, [value, pattern]] of damaged.entries()) {
      const dir = join(tmp, `damaged-${i}`);
      mkdirSync(dir);
      writeFileSync(join(dir, "config.json"), typeof value === "string" ? value : JSON.stringify(value));
      expect(() => readConfig(dir)).toThrow(BayesError);
      expect(() => readConfig(dir)).toThrow(pattern);
    }
  });

  it("names a new folder after model, data and time, and never one that exists", () => {
    const now = new Date("2026-01-31T23:59:59Z");
    expect(newRunDir("lenet5", "mnist", now)).toBe(join("runs", "lenet5-mnist-20260131-235959"));
    expect(newRunDir("lenet5", "a/b c", now)).toBe(join("runs", "lenet5-a-b-c-20260131-235959"));
    for (const name of ["..", "/etc", "a\0b", "x".repeat(1000), "../../a", "\u202e", "a\nb"]) {
      const dir = newRunDir(name, name, now);
      expect(dirname(dir)).toBe("runs");
      expect(dir).toMatch(/^runs\/[\w.-]{16,130}$/);
    }
  });
});

describe("data", () => {
  it("lists the sets, and says which is embedded", async () => {
    const { code, events } = await cli("data", "list", "--json", "--data-dir", join(tmp, "none"));
    expect(code).toBe(0);
    expect(events.map((e) => e.name)).toEqual(["mnist", "fashion-mnist", "cifar-10", "cifar-100"]);
    expect(events.every((e) => e.folder === null && e.embedded === false)).toBe(true);
    expect((await cli("data", "list", "--data-dir", join(tmp, "none"))).stdout).toContain("bayescnn data get cifar-10");
  });

  it("leaves nothing behind when a download cannot start", async () => {
    const dir = join(tmp, "download");
    const got = await cli("data", "get", "mnist", "--data-dir", dir, "--url", "ftp://example.org/", "--json");
    expectSentence({ ...got, stdout: "" }, 1, /expected an http or https address/);
    expect(existsSync(join(dir, "mnist")) ? readdirSync(join(dir, "mnist")) : []).toEqual([]);
  });
});

describe("output", () => {
  it("lines up columns", () => {
    expect(table([["a", "bb"], ["ccc", "d"]])).toEqual(["a    bb", "ccc   d"]); // biome-ignore format: one line
    expect(table([["a", "bb"], ["ccc", "d"]], "left")).toEqual(["a    bb", "ccc  d"]); // biome-ignore format: one line
    expect([bytes(5), bytes(1536), bytes(3 * 2 ** 20)]).toEqual(["5 B", "1.5 KiB", "3 MiB"]);
  });
});

describe("strange images take the shape of the familiar ones", () => {
  it("crops and pads around the centre, averages colours, repeats grey", () => {
    const colour = makeDataset({
      images: Uint8Array.from({ length: 12 }, (_, i) => 10 * i),
      labels: [0],
      shape: [2, 2, 3],
      classes: 2,
    });
    expect([...reshaped(colour, [2, 2, 1]).images]).toEqual([10, 40, 70, 100]);
    expect([...reshaped(colour, [4, 4, 1]).images]).toEqual([0, 0, 0, 0, 0, 10, 40, 0, 0, 70, 100, 0, 0, 0, 0, 0]);
    const grey = makeDataset({
      images: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9),
      labels: [0],
      shape: [3, 3, 1],
      classes: 2,
    });
    expect([...reshaped(grey, [1, 1, 3]).images]).toEqual([5, 5, 5]);
    expect(reshaped(grey, [3, 3, 1])).toBe(grey);
  });
});
