// Builds the CPU addon with node-gyp into build/Release. Nothing is downloaded: the headers are those beside the running node.
// --if-missing: do nothing when a prebuilt or built addon already loads (the package's install script).
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

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

const nodedir = [process.env.npm_config_nodedir, resolve(dirname(process.execPath), "..")].find(
  (dir) => dir && existsSync(join(dir, "include/node/common.gypi")),
);
const env = { ...process.env, JOBS: process.env.JOBS ?? String(cpus().length) };
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
