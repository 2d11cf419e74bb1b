import { createRequire } from "node:module";

// lib/cli and dist/cli both lie two folders below the package's root
const require = createRequire(import.meta.url);

/** This package's version. */
export const version: string = (require("../../package.json") as { version: string }).version;

/** Version of an installed package, or undefined. */
export function installed(name: string): string | undefined {
  try {
    return (require(`${name}/package.json`) as { version: string }).version;
  } catch {
    return undefined;
  }
}
