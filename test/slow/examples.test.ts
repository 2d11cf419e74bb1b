// Every program in examples/ has the types that the library has, runs as a user would run it, and says what it promises to.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { saveModel } from "../../lib/checkpoints/open.ts";
import { embeddedMnist } from "../../lib/data/locate.ts";
import { split } from "../../lib/data/split.ts";
import { createModel } from "../../lib/models/create.ts";
import { evaluate } from "../../lib/predict/predict.ts";
import { chooseThreshold } from "../../lib/predict/threshold.ts";
import { fit } from "../../lib/train/fit.ts";
import { build } from "../built.ts";
import { root } from "../docs-kit/blocks.ts";
import { typeErrors } from "../docs-kit/run.ts";
import { sharp } from "../images.ts";

const folder = join(root, "examples");
const names = readdirSync(folder, { withFileTypes: true }).flatMap((f) => (f.isDirectory() ? [f.name] : []));
const codeOf = (name: string) => readFileSync(join(folder, name, "main.mjs"), "utf8");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-examples-"));
const { BAYESCNN_DATA: _, ...env } = process.env; // the embedded digits
beforeAll(build);
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

/** What each of them has to say, in the short form that QUICK=1 asks for. */
const says: Record<string, RegExp> = {
  "active-learning": /labels\trandom\tmutual information\n20\t(\S+) %\t\1 %\n40\t/,
  gan: /after \d+ steps: off by 0\.\d+; one of its digits:\n(.{28}\n){14}$/,
  "onnx-node": /digit \d+: I don't know \(\d .* %; the (image is unclear|samples disagree): epistemic /,
  "own-pictures": /45 pictures of circle, square, triangle .*\n(.*\n)*a circle: .*\nnoise: /,
  regression: /its central 90 % intervals hold \d+ % .*\nclear: off by .*\nnoisy: off by /,
  "residual-net": /test: accuracy .*\nopened again it gives the same NLL\n$/,
  "warm-up-and-prior": /laplace\(0\.05\), warmUp\(0\.5, 1\): accuracy \d+/,
};

function run(name: string): Promise<string> {
  return new Promise((resolve, reject) =>
    execFile(
      process.execPath,
      [join(folder, name, "main.mjs")],
      { cwd: tmp, env: { ...env, QUICK: "1", TMPDIR: tmp }, timeout: 55_000 },
      (error, out, err) => (error ? reject(new Error(`${name}: ${error.message}\n${out}\n${err}`)) : resolve(out)),
    ),
  );
}

describe("the examples", () => {
  it("are listed, tested, short, and of the right types", () => {
    expect(names.sort()).toEqual([...Object.keys(says), "server"].sort());
    const list = readFileSync(join(folder, "README.md"), "utf8");
    for (const name of names) expect(list).toContain(`(${name}/)`);
    const blocks = names.map((name) => {
      const code = codeOf(name);
      expect(code.split("\n").length, name).toBeLessThan(100);
      expect(code).toMatch(/from "bayescnn"/);
      return { place: `examples/${name}/main.mjs:1`, language: "mjs", code, setup: "", notRun: undefined };
    });
    expect(typeErrors(blocks).flat()).toEqual([]);
  });

  for (const [name, expected] of Object.entries(says))
    it.skipIf(name === "own-pictures" && sharp === undefined)(`${name} runs`, async () => {
      expect(await run(name)).toMatch(expected);
    });
});

describe.skipIf(sharp === undefined)("the server", () => {
  const { train: all, test } = embeddedMnist();
  const png = (n: number) =>
    sharp!(test.images.slice(n * 784, (n + 1) * 784) as Uint8Array, { raw: { width: 28, height: 28, channels: 1 } })
      .png()
      .toBuffer();
  const file = join(tmp, "digits.safetensors");
  const children: ChildProcess[] = [];
  afterAll(() => children.forEach((child) => void child.kill("SIGKILL")));

  /** Starts it on a free port; resolves with its address. */
  const start = (...args: string[]): Promise<{ url: string; child: ChildProcess }> =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [join(folder, "server/main.mjs"), file, "0", ...args], { env });
      children.push(child);
      let out = "";
      const hear = (chunk: unknown) => {
        out += chunk;
        const url = /listening on (http:\S+)/.exec(out)?.[1];
        if (url) resolve({ url, child });
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.once("exit", (code) => reject(new Error(`exit ${code}: ${out}`)));
    });
  const post = (url: string, body: Uint8Array) => fetch(url, { method: "POST", body });
  const unanswered = async (url: string) =>
    ((await (await fetch(`${url}/health`)).json()) as { unanswered: number }).unanswered;

  beforeAll(async () => {
    const { train, valid } = split(all, { train: 1000, valid: 200 }, 1);
    using model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
    await fit(model, { train, valid }, { epochs: 1, learningRate: 0.005, batchSize: 32 });
    const { prediction, targets } = await evaluate(model, valid);
    model.threshold = chooseThreshold(model, prediction, targets, { minCoverage: 0.7 });
    saveModel(model, file);
  });

  it("answers many at a time, abstains, refuses what is no picture, and ends when asked", async () => {
    const { url, child } = await start();
    const bodies = await Promise.all(Array.from({ length: 30 }, (_, n) => png(n)));
    const replies = await Promise.all(bodies.map((body) => post(url, body)));
    expect(replies.map((r) => r.status)).toEqual(Array(30).fill(200));
    const answers = (await Promise.all(replies.map((r) => r.json()))) as Record<string, string>[];
    const sure = answers.filter((a) => a.answer !== null);
    expect(sure.length).toBeGreaterThan(10);
    for (const { answer, label } of sure) expect(answer).toMatch(new RegExp(`^${label} .*%$`));
    const doubts = answers.filter((a) => a.answer === null);
    expect(doubts.length).toBeGreaterThan(0);
    for (const { why, label } of doubts) {
      expect(why).toMatch(/below the limit of/);
      expect(label).toBeUndefined(); // an answer that is not given
    }
    expect(await (await post(url, bodies[3])).json()).toEqual(answers[3]);

    const bad = await post(url, Buffer.from("no picture"));
    expect([bad.status, await bad.json()]).toEqual([
      400,
      { error: expect.stringMatching(/^\[image bytes\] expected an image/) },
    ]);
    expect((await fetch(url, { method: "POST" })).status).toBe(400);
    expect((await post(url, Buffer.alloc(21e6))).status).toBe(413);
    const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve([code, signal])));
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  });

  it("says 503 when its queue is full, and forgets a client that went away", async () => {
    const { url } = await start("2");
    const large = await sharp!({ create: { width: 8000, height: 8000, channels: 3, background: "white" } })
      .png()
      .toBuffer();
    const replies = await Promise.all(Array.from({ length: 12 }, () => post(url, large)));
    const full = replies.filter((r) => r.status === 503);
    expect(replies.filter((r) => r.status === 200).length).toBeGreaterThan(0);
    expect(full.length).toBeGreaterThan(0);
    expect(full[0].headers.get("retry-after")).toBe("1");

    const began = performance.now();
    expect((await post(url, large)).status).toBe(200);
    const whole = performance.now() - began;
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${large.length}\r\n\r\n`);
    socket.write(large);
    while ((await unanswered(url)) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const left = performance.now();
    socket.destroy();
    while ((await unanswered(url)) > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(performance.now() - left).toBeLessThan(whole / 2); // it did not wait for the answer
    expect((await post(url, await png(0))).status).toBe(200);
  });
});
