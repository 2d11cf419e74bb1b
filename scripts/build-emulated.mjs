// Builds build-emulated/libbayescnn-cuda.so: the CUDA device as C++ against the emulator (test/emulator), for machines without a
// GPU. A unit is compiled anew where it, a file that it includes, or its command has changed.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const folder = "build-emulated";
const common = ["-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-I.", "-DEMULATED"];
const warnings = [
  "-Wall",
  "-Wextra",
  "-Werror",
  "-Wno-tsan",
  "-Wno-unknown-pragmas",
  "-Wno-unused-function",
  "-Wno-missing-field-initializers",
];
// -fsanitize=thread without its run-time library: emu.cpp has the functions that the compiler calls
const watched = [...common, ...warnings, "-fsanitize=thread", "-x", "c++"];
const trusted = [...common, ...warnings];
const sources = ["cuda", "cuda/unity"].flatMap((d) =>
  readdirSync(d)
    .filter((f) => f.endsWith(".cu"))
    .map((f) => join(d, f)),
);
const emulator = readdirSync("test/emulator")
  .filter((f) => f.endsWith(".cpp"))
  .map((f) => join("test/emulator", f));
const units = [
  ...sources.map((file) => ({ file, flags: watched })),
  ...emulator.map((file) => ({ file, flags: trusted })),
];

/** What the object depends on: the command and every file that the last compilation read. */
function fingerprint(unit, object) {
  const deps = `${object}.d`;
  if (!existsSync(deps) || !existsSync(object)) return "";
  const files = readFileSync(deps, "utf8")
    .replace(/^[^:]*:/, "")
    .split(/[\s\\]+/)
    .filter((f) => f && !f.startsWith("/"));
  const hash = createHash("sha256").update(JSON.stringify(unit.flags));
  for (const f of files) {
    if (!existsSync(f)) return "";
    hash.update(f).update(readFileSync(f));
  }
  return hash.digest("hex");
}

const run = (command, args) =>
  new Promise((resolve) =>
    spawn(command, args, { stdio: "inherit" })
      .on("error", () => resolve(127))
      .on("close", resolve),
  );

async function compile(unit) {
  const object = join(folder, `${basename(unit.file)}.o`);
  const note = `${object}.hash`;
  const before = fingerprint(unit, object);
  if (before && existsSync(note) && readFileSync(note, "utf8") === before) return { object, built: false };
  const status = await run("g++", [...unit.flags, "-MMD", "-MF", `${object}.d`, "-c", unit.file, "-o", object]);
  if (status !== 0) throw new Error(`g++ ${unit.file}: status ${status}`);
  writeFileSync(note, fingerprint(unit, object));
  return { object, built: true };
}

if (process.arch !== "x64" || process.platform !== "linux" || spawnSync("g++", ["--version"]).status !== 0) {
  console.error("build-emulated: expected Linux on x86-64 with g++");
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const done = [];
const queue = [...units];
const failures = [];
const worker = async () => {
  for (let unit = queue.shift(); unit; unit = queue.shift())
    await compile(unit).then(
      (d) => done.push(d),
      (e) => failures.push(e.message),
    );
};
await Promise.all([worker(), worker()]);
if (failures.length > 0) {
  console.error(failures.join("\n"));
  process.exit(1);
}
const library = join(folder, "libbayescnn-cuda.so");
if (done.some((d) => d.built) || !existsSync(library)) {
  const status = await run("g++", [
    "-shared",
    "-o",
    library,
    ...done.map((d) => d.object).sort(),
    "-Wl,-Bsymbolic",
    "-Wl,-z,nodelete",
  ]);
  if (status !== 0) process.exit(1);
}
