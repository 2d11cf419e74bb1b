// A program that was bundled into one file with the library in it: it finds the addon and the digits where the package is
// installed, or says what to do.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { build } from "../built.ts";
import { root } from "../docs-kit/blocks.ts";

const tmp = mkdtempSync(join(tmpdir(), "bayescnn-bundle-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));
const program = `
  import { createModel, embeddedMnist, predict, exportOnnx } from "bayescnn";
  const { test } = embeddedMnist();
  const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed: 1 });
  exportOnnx(model);
  console.log(test.count, model.name);
`;

/** A fresh folder with the bundle in it. */
function elsewhere(name: string): string {
  const folder = join(tmp, name);
  mkdirSync(join(folder, "out"), { recursive: true });
  for (const file of ["app.mjs", "app.cjs"]) cpSync(join(tmp, file), join(folder, "out", file));
  return folder;
}

function run(file: string, cwd: string) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [file], { cwd, encoding: "utf8" });
  return { stdout, stderr, status };
}

beforeAll(async () => {
  build();
  writeFileSync(join(tmp, "program.mjs"), program);
  mkdirSync(join(tmp, "node_modules"));
  symlinkSync(root, join(tmp, "node_modules/bayescnn"));
  const bundle = await rolldown({
    input: join(tmp, "program.mjs"),
    platform: "node",
    external: ["sharp", "onnxruntime-node", "vega", "vega-lite"], // vega awaits at its top level: not for CommonJS
    logLevel: "silent",
  });
  for (const [file, format] of [
    ["app.mjs", "esm"],
    ["app.cjs", "cjs"],
  ] as const)
    await bundle.write({ file: join(tmp, file), format, codeSplitting: false });
  await bundle.close();
  rmSync(join(tmp, "node_modules"), { recursive: true });
});

describe.each(["app.mjs", "app.cjs"])("bundled into %s", (file) => {
  it("works where the package is installed: beside the bundle, or where the program was started", () => {
    const folder = elsewhere(`installed-${file}`);
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/bayescnn"));
    expect(run(join(folder, "out", file), tmpdir())).toEqual({ stdout: "1000 lenet5\n", stderr: "", status: 0 });
    expect(run(join(tmp, file), folder)).toEqual({ stdout: "1000 lenet5\n", stderr: "", status: 0 });
  });

  it("says in one sentence what to do where it is not", () => {
    const folder = elsewhere(`alone-${file}`);
    const { stderr, status } = run(join(folder, "out", file), folder);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /BayesError: \[bayescnn\] expected .* A native addon cannot be bundled: keep bayescnn external/,
    );
  });

  it("does not take the addon of another version", () => {
    const folder = elsewhere(`other-${file}`);
    mkdirSync(join(folder, "node_modules/bayescnn"), { recursive: true });
    const manifest = { ...JSON.parse(readFileSync(join(root, "package.json"), "utf8")), version: "9.0.0" };
    writeFileSync(join(folder, "node_modules/bayescnn/package.json"), JSON.stringify(manifest));
    const { stderr, status } = run(join(folder, "out", file), folder);
    expect(status).toBe(1);
    expect(stderr).toMatch(/and version 9\.0\.0 in .*cannot be bundled/);
  });
});
