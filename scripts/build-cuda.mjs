// Builds build-cuda/libbayescnn-cuda.so with nvcc (CUDA 13), by cmake-js; without it, by cmake alone. BAYESCNN_CUDA=<path> has the
// addon open it.
//   node scripts/build-cuda.mjs --prebuild   puts it where npm pack takes it along: prebuilds-cuda/linux-x64
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";

const folder = resolve("build-cuda");
const jobs = process.env.JOBS ?? String(Math.max(1, availableParallelism() - 1));
// cmake-js keeps what it downloads in the home folder and fails where there is none
const env = { ...process.env, HOME: process.env.HOME || folder, CMAKE_BUILD_PARALLEL_LEVEL: jobs };
const run = (command, args) => {
  const { status, error } = spawnSync(command, args, { stdio: "inherit", env });
  if (error) console.error(`build-cuda: ${command} does not start (${error.message})`);
  return status ?? 1;
};
function cmakeJs() {
  try {
    return createRequire(import.meta.url).resolve("cmake-js/bin/cmake-js");
  } catch {
    return undefined;
  }
}

const missing = ["cmake", "nvcc"].filter((tool) => spawnSync(tool, ["--version"]).status !== 0);
if (missing.length > 0) {
  console.error(`build-cuda: expected cmake and nvcc of CUDA 13 on the PATH, received no ${missing.join(" and no ")}`);
  process.exit(2);
}
const tool = cmakeJs();
const status = tool
  ? run(process.execPath, [tool, "build", "-d", "cuda", "-O", folder, "--parallel", jobs])
  : run("cmake", ["-S", "cuda", "-B", folder]) || run("cmake", ["--build", folder, "--parallel", jobs]);
if (status !== 0) process.exit(status);
const name = "libbayescnn-cuda.so";
const library = resolve(folder, name);
for (const place of ["Release", "Debug"].map((d) => resolve(folder, d, name)))
  if (existsSync(place)) copyFileSync(place, library);
console.log(library);
if (process.argv.includes("--prebuild")) {
  const prebuilt = resolve("prebuilds-cuda/linux-x64", name);
  mkdirSync(resolve(prebuilt, ".."), { recursive: true });
  copyFileSync(library, prebuilt);
  console.log(prebuilt);
}
