// Where this package's own files are (the addon, the embedded digits), also when its code became part of another file.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { BayesError } from "./errors.ts";

/** This package's version, which the code keeps wherever a bundler puts it. */
export const version = "0.1.0";

/** The file that this code was loaded from; a bundle in CommonJS does not say, and some bundlers say what it was at their time. */
const self: string | undefined = import.meta.url;

let root: string | undefined;

/** The package's folder. Throws a BayesError that says what to do when the code was bundled and the package is not installed. */
export function packageRoot(): string {
  root ??= beside() ?? installed();
  return root;
}

/** The version of this package in a folder; undefined if it is not there. */
function versionIn(folder: string): string | undefined {
  try {
    const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    return name === "bayescnn" ? version : undefined;
  } catch {
    return undefined;
  }
}

/** This module lies two folders below the package's, built or not. */
function beside(): string | undefined {
  if (!self?.startsWith("file:")) return undefined;
  const folder = resolve(dirname(fileURLToPath(self)), "../..");
  return versionIn(folder) === version ? folder : undefined;
}

/** Bundled: the package may be installed where the bundle is, where the program is, or where it was started. */
function installed(): string {
  const cwd = pathToFileURL(join(process.cwd(), "index.js")).href;
  let other = "";
  for (const from of [self, process.argv[1], cwd]) {
    if (from === undefined) continue;
    let folder: string;
    try {
      folder = dirname(createRequire(from).resolve("bayescnn/package.json"));
    } catch {
      continue; // not from there
    }
    const there = versionIn(folder);
    if (there === version) return folder;
    other = `, and version ${there} in ${folder}`;
  }
  throw new BayesError(
    `[bayescnn] expected this package's addon and data beside its code, received code of ${version} bundled into another file` +
      `${other}. A native addon cannot be bundled: keep bayescnn external (esbuild: --external:bayescnn; rollup, rolldown, ` +
      'webpack and vite: bayescnn among "external" or "externals") and install it where the program runs.',
    { code: "ERR_BAYES_MISSING" },
  );
}
