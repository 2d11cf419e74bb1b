// What package.json says may be imported: found by node and by the compiler, with nothing behind it that a user may not have.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { build } from "../built.ts";
import { root, read as text } from "../docs-kit/blocks.ts";
import { entries } from "../docs-kit/entries.ts";

const { dependencies } = JSON.parse(text("package.json")) as { dependencies: Record<string, string> };
const user = mkdtempSync(join(tmpdir(), "bayescnn-exports-"));
afterAll(() => rmSync(user, { recursive: true }));
beforeAll(() => {
  build();
  mkdirSync(join(user, "node_modules/@types"), { recursive: true });
  symlinkSync(root, join(user, "node_modules/bayescnn"));
  symlinkSync(join(root, "node_modules/@types/node"), join(user, "node_modules/@types/node"));
  writeFileSync(join(user, "package.json"), '{"type":"module"}');
});

it("node finds every subpath, and nothing else of the package", () => {
  const code = `
    const found = {};
    for (const name of process.argv.slice(1)) found[name] = await import(name).then((m) => Object.keys(m), (e) => e.code);
    console.log(JSON.stringify(found));`;
  const asked = [...Object.keys(entries), "bayescnn/errors", "bayescnn/dist/index.js"];
  const args = ["--input-type=module", "-e", code, ...asked];
  const found = JSON.parse(execFileSync(process.execPath, args, { cwd: user, encoding: "utf8" }));
  expect(found["bayescnn/errors"]).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED");
  expect(found["bayescnn/dist/index.js"]).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED");
  for (const name of Object.keys(entries)) expect(found[name].length, name).toBeGreaterThan(1);
});

describe.each(["nodenext", "bundler"] as const)("the compiler, %s,", (resolution) => {
  it("finds the types of every subpath, and needs no package for them", { timeout: 60_000 }, () => {
    const file = join(user, `${resolution}.ts`);
    const lines = Object.keys(entries).map(
      (name, i) => `import * as m${i} from "${name}";\nexport const n${i}: object = m${i};`,
    );
    const wrong = 'import { compile } from "bayescnn/graph";\nexport const w: string = compile;';
    writeFileSync(file, `${lines.join("\n")}\n${wrong}\n`);
    const program = ts.createProgram([file], {
      target: ts.ScriptTarget.ES2022,
      lib: ["lib.es2022.d.ts"],
      module: resolution === "bundler" ? ts.ModuleKind.ESNext : ts.ModuleKind.NodeNext,
      moduleResolution: resolution === "bundler" ? ts.ModuleResolutionKind.Bundler : ts.ModuleResolutionKind.NodeNext,
      ...{ strict: true, exactOptionalPropertyTypes: true, noEmit: true, types: ["node"] },
      typeRoots: [join(user, "node_modules/@types")],
    });
    const said = ts.getPreEmitDiagnostics(program).map((d) => ts.flattenDiagnosticMessageText(d.messageText, "\n"));
    expect(said.length, said.join("\n")).toBe(1); // that of the wrong line: the types are there
    expect(said[0]).toMatch(/not assignable to type 'string'/);
    const read = program.getSourceFiles().map((f) => f.fileName.replace(/^.*\/node_modules\//, ""));
    for (const name of Object.keys(dependencies)) expect(read.filter((f) => f.startsWith(`${name}/`))).toEqual([]);
  });
});
