// package.json and the lock file: what npm reads between the lines.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { version } from "../../lib/util/package.ts";
import { read, root } from "../docs-kit/blocks.ts";

const manifest = JSON.parse(read("package.json")) as {
  version: string;
  scripts: Record<string, string>;
  allowScripts: Record<string, boolean>;
};
const { scripts, allowScripts } = manifest;

it("the code knows its version", () => expect(version).toBe(manifest.version));

it("no script runs before or after another because of its name", () => {
  const names = Object.keys(scripts);
  expect(names.flatMap((name) => [`pre${name}`, `post${name}`]).filter((name) => names.includes(name))).toEqual([]);
});

it("no package but this one runs a script when it is installed", () => {
  // That of onnxruntime-node would download some hundred megabytes for CUDA, and fail without a network. Newer versions of npm
  // ask allowScripts; the others run what the lock file marks, and write the mark again when that package is updated.
  const { packages } = JSON.parse(read("package-lock.json")) as {
    packages: Record<string, { hasInstallScript?: boolean; os?: string[] }>;
  };
  const marked = Object.keys(packages).filter((name) => name !== "" && packages[name].hasInstallScript);
  const here = marked.filter((name) => packages[name].os?.includes("linux") !== false);
  expect(here, 'remove "hasInstallScript" from package-lock.json').toEqual([]);
  expect(allowScripts).toEqual({ "onnxruntime-node": false });
});

it("npm packs what a user needs, and what was built ahead of time where it is there", () => {
  const out = execFileSync("npm", ["pack", "--dry-run", "--ignore-scripts", "--json"], {
    ...{ cwd: root, encoding: "utf8", stdio: "pipe" as const, maxBuffer: 1e8 },
  });
  const [{ files }] = JSON.parse(out) as [{ files: { path: string }[] }];
  const always = ["CHANGELOG.md", "LICENSE", "README.md", "binding.gyp", "data", "docs", "lib", "native", "package.json", "scripts"]; // biome-ignore format: short
  const built = ["dist", "prebuilds", "prebuilds-cuda"].filter((folder) => existsSync(join(root, folder)));
  expect([...new Set(files.map(({ path }) => path.split("/")[0]))].sort()).toEqual([...always, ...built].sort());
});
