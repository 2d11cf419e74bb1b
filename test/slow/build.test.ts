// What is built again, and what is not: a small project with our build scripts.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-build-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

const write = (name: string, text: string) => writeFileSync(join(tmp, name), text);
const read = (name: string) => readFileSync(join(tmp, name), "utf8");
const remove = (name: string) => rmSync(join(tmp, name));
const asOld = (name: string) => utimesSync(join(tmp, name), 1e9, 1e9);

function script(name: string): number | null {
  const { status } = spawnSync(process.execPath, [join(tmp, "scripts", name)], { cwd: tmp, encoding: "utf8" });
  return status;
}

beforeAll(() => {
  for (const folder of ["lib/a", "native", "scripts"]) mkdirSync(join(tmp, folder), { recursive: true });
  for (const name of ["build-addon.mjs", "build-ts.mjs", "record.mjs"])
    cpSync(join(root, "scripts", name), join(tmp, "scripts", name));
  symlinkSync(join(root, "node_modules"), join(tmp, "node_modules"));
  write("package.json", '{"type":"module"}');
  for (const name of ["tsconfig.json", "tsconfig.build.json"]) cpSync(join(root, name), join(tmp, name));
});

it("dist/ is compiled when it is not what lib/ makes, and only then", { timeout: 120_000 }, () => {
  const made = () => statSync(join(tmp, "dist/one.js")).mtimeMs;
  write("lib/one.ts", "export const one: number = 1;\n");
  write("lib/a/two.ts", "export const two: number = 2;\n");
  expect(script("build-ts.mjs")).toBe(0);
  const first = made();
  for (const name of ["lib/one.ts", "tsconfig.json"]) asOld(name);
  expect(script("build-ts.mjs")).toBe(0);
  expect(made()).toBe(first);

  write("lib/one.ts", "export const one: number = 11;\n");
  asOld("lib/one.ts");
  expect(script("build-ts.mjs")).toBe(0);
  expect(read("dist/one.js")).toContain("11");

  remove("lib/a/two.ts");
  expect(script("build-ts.mjs")).toBe(0);
  for (const name of ["two.js", "two.js.map", "two.d.ts"]) expect(existsSync(join(tmp, "dist/a", name))).toBe(false);

  remove("dist/one.d.ts");
  write("dist/one.js", "broken(");
  write("dist/left.js", "");
  expect(script("build-ts.mjs")).toBe(0);
  expect([existsSync(join(tmp, "dist/one.d.ts")), existsSync(join(tmp, "dist/left.js"))]).toEqual([true, false]);
  expect(read("dist/one.js")).toContain("11");

  write("lib/one.ts", 'export const one: number = "1";\n');
  expect(script("build-ts.mjs")).toBe(1);
  expect(script("build-ts.mjs")).toBe(1);
});

it("the addon is compiled when its sources are others, and only then", { timeout: 120_000 }, () => {
  const addon = join(tmp, "build/Release/bayescnn.node");
  const made = () => statSync(addon).mtimeMs;
  const says = () =>
    spawnSync(process.execPath, ["-p", `require(${JSON.stringify(addon)}).says`], { encoding: "utf8" }).stdout.trim();
  const main = (value: string) => `#include <node_api.h>
#include "value.h"
extern "C" napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value number;
  napi_create_double(env, ${value}, &number);
  napi_set_named_property(env, exports, "says", number);
  return exports;
}
`;
  const sources =
    "<!@(node -p \\\"require('fs').readdirSync('native').filter(f => f.endsWith('.cpp')).map(f => 'native/' + f).join(' ')\\\")";
  write("binding.gyp", `{ "targets": [{ "target_name": "bayescnn", "sources": ["${sources}"] }] }`);
  write("native/value.h", "#define VALUE 1\n");
  write("native/main.cpp", main("VALUE"));
  expect(script("build-addon.mjs")).toBe(0);
  expect(says()).toBe("1");
  const first = made();
  asOld("native/main.cpp");
  expect(script("build-addon.mjs")).toBe(0);
  expect(made()).toBe(first);

  write("native/value.h", "#define VALUE 2\n"); // and of a time before the last build, as from an archive
  asOld("native/value.h");
  expect(script("build-addon.mjs")).toBe(0);
  expect(says()).toBe("2");

  write("native/more.cpp", "double more() { return 3; }\n");
  write("native/main.cpp", `double more();\n${main("more()")}`);
  expect(script("build-addon.mjs")).toBe(0);
  expect(says()).toBe("3");

  remove("native/more.cpp");
  expect(script("build-addon.mjs")).toBe(0); // an addon may lack a symbol until it is loaded
  expect(says()).toBe("");

  write("native/main.cpp", "not C++");
  expect(script("build-addon.mjs")).toBe(1);
  expect(script("build-addon.mjs")).toBe(1);
  write("native/main.cpp", main("5"));
  expect(script("build-addon.mjs")).toBe(0);
  expect(says()).toBe("5");

  write("build/Release/bayescnn.node", "damaged");
  expect(script("build-addon.mjs")).toBe(0);
  expect(says()).toBe("5");
});
