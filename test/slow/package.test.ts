// What npm users get: the packed tarball with a prebuilt addon, installed without scripts and without a compiler.
import { execFileSync, spawnSync } from "node:child_process";
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
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadAddon } from "../../lib/native/addon.ts";
import { build } from "../built.ts";
import { buildSecond, cannotBuild } from "../second/build.ts";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-package-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));
const [clone, source, user] = ["clone", "source/package", "user"].map((name) => join(tmp, name));
const prebuilt = join(clone, `prebuilds/${process.platform}-${process.arch}`);

/** Runs npm and returns all it said. */
function npm(args: string[], cwd: string, env: NodeJS.ProcessEnv = process.env): string {
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd, env, encoding: "utf8" });
  if (status !== 0) throw new Error(`npm ${args.join(" ")}: exit code ${status}\n${stdout}\n${stderr}`);
  return stdout + stderr;
}
function pack(): string {
  npm(["pack", "--ignore-scripts"], clone);
  return join(clone, readdirSync(clone).find((f) => f.endsWith(".tgz"))!);
}

beforeAll(() => {
  // a copy, so that the prebuilt addon does not shadow the clone's own build
  build();
  mkdirSync(clone);
  for (const name of readdirSync(root))
    if (!/^(node_modules|build.*|prebuilds.*|\.git|coverage|runs)$/.test(name))
      cpSync(join(root, name), join(clone, name), { recursive: true });
});

it("has all the sources that its addon is built from", { timeout: 1_200_000 }, () => {
  mkdirSync(join(tmp, "source"));
  execFileSync("tar", ["xzf", pack()], { cwd: join(tmp, "source") });
  symlinkSync(join(root, "node_modules"), join(source, "node_modules"));
  const nodedir = join(process.execPath, "../..");
  const headers = existsSync(join(nodedir, "include/node/common.gypi")) ? { npm_config_nodedir: nodedir } : {};
  const isa = /^avx(2|512)/.exec(loadAddon().isa)?.[0]; // the one that runs: the others are the same sources
  const env = { ...process.env, ...headers, ...(isa && { GYP_DEFINES: `isa=${isa}` }) };
  npm(["run", "build:prebuilds"], source, env);
  cpSync(join(source, "prebuilds"), join(clone, "prebuilds"), { recursive: true });
  // its name says for which C library it is, so that Alpine does not load it
  if (process.platform === "linux") expect(readdirSync(prebuilt)).toEqual(["bayescnn.glibc.node"]);
});

const objdump = spawnSync("objdump", ["--version"]).status === 0;
it.skipIf(process.platform !== "linux" || !objdump)(
  "asks for no newer glibc than Node 20 does, 2.28 (skipped without Linux and objdump)",
  () => {
    const [addon] = readdirSync(prebuilt).filter((f) => f.endsWith(".node"));
    const table = execFileSync("objdump", ["-T", join(prebuilt, addon)], { encoding: "utf8" });
    const wanted = [...table.matchAll(/\(GLIBC_(\d+)\.(\d+)[\d.]*\)\s+(\S+)/g)];
    expect(wanted.length).toBeGreaterThan(20);
    expect(wanted.filter(([, major, minor]) => major !== "2" || Number(minor) > 28).map(([line]) => line)).toEqual([]);
    // and of other libraries only what node itself loads
    const needed = execFileSync("objdump", ["-p", join(prebuilt, addon)], { encoding: "utf8" }).matchAll(
      /NEEDED +(\S+)/g,
    );
    for (const [, library] of needed)
      expect(library).toMatch(/^(libc|libm|libgcc_s|libpthread|libdl|ld-linux-[\w-]+)\.so/);
  },
);

describe("installed", () => {
  beforeAll(() => {
    const tarball = pack();
    expect(statSync(tarball).size).toBeLessThan(8e6);
    mkdirSync(user);
    writeFileSync(join(user, "package.json"), '{"type":"module"}');
    const also = ["typescript@5.2", "@types/node@20"]; // for the types below: the oldest compiler that knows `using`
    const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional", "--omit=peer"];
    npm(["install", ...flags, tarball, ...also], user);
  }, 300_000);

  it("trains where there is no compiler", { timeout: 120_000 }, () => {
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
  });

  it("has a command line", () => {
    const out = execFileSync("npx", ["--offline", "bayescnn", "info", "--json"], { cwd: user, encoding: "utf8" });
    expect(JSON.parse(out)).toMatchObject({ event: "info", version: expect.stringMatching(/^\d/) });
  });

  const none = cannotBuild() && ` (skipped: ${cannotBuild()})`;
  it.skipIf(none)(`opens the device library that it was packed with${none}`, { timeout: 300_000 }, () => {
    const [folder, other] = ["prebuilds-cuda/linux-x64", join(tmp, "other")];
    mkdirSync(join(clone, folder), { recursive: true });
    buildSecond(join(clone, folder, "libbayescnn-cuda.so"));
    mkdirSync(other);
    writeFileSync(join(other, "package.json"), "{}");
    npm(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional", "--omit=peer", pack()], other);
    expect(readdirSync(join(other, "node_modules/bayescnn", folder))).toEqual(["libbayescnn-cuda.so"]);
    const info = (cwd: string) =>
      JSON.parse(execFileSync("npx", ["--offline", "bayescnn", "info", "--json"], { cwd, encoding: "utf8" }));
    expect(info(other).devices).toEqual([expect.stringMatching(/^cpu-/), "cuda:0 (second)"]);
    expect(info(user)).toMatchObject({ devices: [expect.stringMatching(/^cpu-/)], noCuda: expect.any(String) });
  });

  const compilers = { "5.2": join(user, "node_modules/typescript"), current: join(root, "node_modules/typescript") };
  const libraries = { "Node.js": [["es2022"], ["node"]], "the DOM": [["es2022", "dom"], []] };
  it.each([
    ["5.2", "nodenext", "Node.js"],
    ["5.2", "bundler", "the DOM"],
    ["current", "nodenext", "the DOM"],
    ["current", "bundler", "Node.js"],
  ] as const)(
    "has types for a strict program: TypeScript %s, %s, with the types of %s",
    (compiler, resolution, known) => {
      writeFileSync(
        join(user, "types.ts"),
        `import { createModel, embeddedMnist, split } from "bayescnn";
       import { Store } from "bayescnn/graph";
       const { train } = split(embeddedMnist().train, { train: 10, valid: 10 }, 1);
       export const counts: number[] = [train.count];
       export const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
       // @ts-expect-error: a wrong type is seen
       createModel({ model: "lenet5", input: "28", classes: 10 });
       using store = new Store("cpu");
       store.close();`,
      );
      const [lib, types] = libraries[known];
      const compilerOptions = {
        ...{
          lib,
          types,
          target: "es2022",
          module: resolution === "bundler" ? "esnext" : resolution,
          moduleResolution: resolution,
        },
        ...{
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          verbatimModuleSyntax: true,
        },
        ...{ skipLibCheck: false, noEmit: true },
      };
      writeFileSync(join(user, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["types.ts"] }));
      const { stdout } = spawnSync(process.execPath, [join(compilers[compiler], "bin/tsc")], {
        cwd: user,
        encoding: "utf8",
      });
      const errors = stdout.split("\n").filter((line) => line !== "");
      expect(errors).toEqual([]);
    },
  );
});
