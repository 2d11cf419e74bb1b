// Compiles lib/ into dist/ with tsc, unless dist/ is what the last build made of the same files. What is left in dist/ of a
// source that is gone goes too.
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { differing, hashes, readRecord, writeRecord } from "./record.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const path = join(root, "build/dist.json");
const last = readRecord(path);
// the lock file stands for the compiler and for the types of other packages
const sources = hashes(root, ["lib", "tsconfig.json", "tsconfig.build.json", "package-lock.json"]);
const same = (name, now) => differing(last[name], now).length === 0;
if (existsSync(join(root, "dist")) && same("sources", sources) && same("results", hashes(root, ["dist"])))
  process.exit(0);

const tsc = createRequire(join(root, "package.json")).resolve("typescript/bin/tsc");
const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
if (status !== 0) process.exit(1);
for (const file of Object.keys(hashes(root, ["dist"]))) {
  const source = file.replace(/^dist/, "lib").replace(/(\.d)?\.[jt]s(\.map)?$/, ".ts");
  if (!(source in sources)) rmSync(join(root, file));
}
writeRecord(path, { sources, results: hashes(root, ["dist"]) });
