// Builds the CPU addon with node-gyp into build/Release, on all cores, unless the last build was made of the same files.
// Nothing is downloaded: the headers are those beside the running node.
// --if-missing: do nothing when a prebuilt or built addon already loads (the package's install script).
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, statSync, utimesSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { differing, hashes, readRecord, writeRecord } from "./record.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(join(root, "package.json"));

if (process.argv.includes("--if-missing")) {
  try {
    require("node-gyp-build")(root);
    process.exit(0);
  } catch {
    // no addon yet: build it below
  }
}

const addon = "build/Release/bayescnn.node";
const path = join(root, "build/addon.json");
const last = readRecord(path);
const sources = hashes(root, ["binding.gyp", "native", "scripts/list-ops.mjs"]);
// what changes the commands or the headers without a file of ours
for (const name of ["CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS"]) sources[`$${name}`] = process.env[name];
sources["node-addon-api"] = require("node-addon-api").version;
sources.platform = `${process.platform}-${process.arch}`;
const changed = differing(last.sources, sources);
const sound = existsSync(join(root, addon)) && !differing(last.results, hashes(root, [addon])).length;
if (sound && !changed.length) process.exit(0);

// make goes by times: a file that came back with an old one (from an archive, from a copy) is new all the same
const built = statSync(join(root, addon), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const now = new Date();
for (const file of changed) {
  const stat = statSync(join(root, file), { throwIfNoEntry: false });
  if (stat && file in last.sources && stat.mtimeMs <= built) utimesSync(join(root, file), now, now);
}
// nor does make see that the addon is not what it made; the other name is a hard link of it
if (!sound)
  for (const name of [addon, "build/Release/obj.target/bayescnn.node"]) rmSync(join(root, name), { force: true });

const nodedir = [process.env.npm_config_nodedir, resolve(dirname(process.execPath), "..")].find(
  (dir) => dir && existsSync(join(dir, "include/node/common.gypi")),
);
const env = { ...process.env, JOBS: process.env.JOBS ?? String(availableParallelism()) };
if (nodedir) env.npm_config_nodedir = nodedir;

let gyp;
try {
  gyp = [process.execPath, require.resolve("node-gyp/bin/node-gyp.js")];
} catch {
  gyp = ["node-gyp"]; // npm puts its own on the PATH of install scripts
}
// `build` alone is incremental; `configure` again is needed whenever a source file has come or gone
for (const command of ["configure", "build"]) {
  const args = [...gyp.slice(1), command, "--loglevel=error", "--silent"];
  const run = spawnSync(gyp[0], args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  if (run.status !== 0) {
    process.stderr.write(run.stdout ?? "");
    console.error(`bayescnn: node-gyp ${command} failed; the CPU addon needs g++ (or clang++), make and python3`);
    process.exit(1);
  }
}
writeRecord(path, { sources, results: hashes(root, [addon]) });
