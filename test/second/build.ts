import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const objects = join(root, "build/Release/obj.target");

/** Why no library can be made here; "" where it can. */
export const cannotBuild = (): string =>
  process.platform !== "linux" || spawnSync("g++", ["--version"]).status !== 0
    ? "needs Linux and g++"
    : existsSync(join(objects, "bayescnn"))
      ? ""
      : "needs build/";

/** Compiles second.cpp into a library at `path`; with `defines` one that is no use, else with the addon's own objects. */
export function buildSecond(path: string, ...defines: readonly string[]): string {
  const source = ["-std=c++17", "-fPIC", "-shared", "-fvisibility=hidden", `-I${root}`, "test/second/second.cpp"];
  const of = (folder: string) =>
    readdirSync(join(objects, folder), { recursive: true })
      .map((f) => join(objects, folder, String(f)))
      .filter((f) => f.endsWith(".o"));
  const kernels = readdirSync(objects).filter((f) => /^ops_\w+$/.test(f));
  const units = ["cpu/device", "cpu/isa", "cpu/pool", "program/contract", "program/steps"];
  const linked = defines.length
    ? []
    : [...kernels.flatMap(of), ...units.map((u) => join(objects, `bayescnn/native/${u}.o`))];
  execFileSync("g++", [...source, ...defines.map((d) => `-D${d}`), ...linked, "-pthread", "-o", path], { cwd: root });
  return path;
}
