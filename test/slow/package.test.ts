// What npm users get: the packed tarball with a prebuilt addon, installed without scripts and without a compiler.
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-package-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

const npm = (args: string[], cwd: string, env: NodeJS.ProcessEnv = process.env) =>
  execFileSync("npm", args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

it("packs, installs with --ignore-scripts and trains where there is no compiler", { timeout: 600_000 }, () => {
  // a copy, so that the prebuilt addon does not shadow the clone's own build
  const copy = join(tmp, "clone");
  mkdirSync(copy);
  for (const name of readdirSync(root))
    if (!["node_modules", "build", "prebuilds", ".git", "coverage", "runs"].includes(name))
      cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  const nodedir = join(process.execPath, "../..");
  const headers = existsSync(join(nodedir, "include/node/common.gypi")) ? { npm_config_nodedir: nodedir } : {};
  npm(["run", "prebuild"], copy, { ...process.env, ...headers });
  npm(["pack", "--ignore-scripts"], copy);
  const tarball = readdirSync(copy).find((f) => f.endsWith(".tgz"))!;
  expect(statSync(join(copy, tarball)).size).toBeLessThan(8e6);

  const user = join(tmp, "user");
  mkdirSync(user);
  writeFileSync(join(user, "package.json"), '{"type":"module"}');
  npm(
    ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional", "--omit=peer", join(copy, tarball)],
    user,
  );
  writeFileSync(
    join(user, "main.js"),
    `import { createModel, embeddedMnist, evaluate, fit, split } from "bayescnn";
     const { train, test } = embeddedMnist();
     const { train: part } = split(train, { train: 640, valid: 100 }, 1);
     const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed: 1 });
     await fit(model, { train: part }, { epochs: 1, batchSize: 64 });
     const { metrics } = await evaluate(model, test, { samples: 2 });
     console.log(JSON.stringify(metrics));`,
  );
  const env = { PATH: join(process.execPath, ".."), HOME: user };
  const out = execFileSync(process.execPath, ["main.js"], { cwd: user, env, encoding: "utf8" });
  expect(JSON.parse(out.trim().split("\n").at(-1)!).accuracy).toBeGreaterThan(0.1);
  expect(() =>
    execFileSync("npx", ["bayescnn", "info", "--json"], { cwd: user, encoding: "utf8", stdio: "pipe" }),
  ).not.toThrow();
});
