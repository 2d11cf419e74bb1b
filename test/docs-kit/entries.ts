// What a program may import, and the sources it comes from: the exports of package.json.
import { join } from "node:path";
import { read, root } from "./blocks.ts";

const { exports } = JSON.parse(read("package.json")) as { exports: Record<string, { types: string } | string> };

/** Source files by what one writes: "bayescnn", "bayescnn/data", … */
export const entries: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(exports).flatMap(([path, to]) =>
    typeof to === "string"
      ? []
      : [[join("bayescnn", path), join(root, to.types.replace(/^\.\/dist/, "lib").replace(/\.d\.ts$/, ".ts"))]],
  ),
);
