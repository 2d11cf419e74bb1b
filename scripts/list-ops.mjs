// Called by binding.gyp: writes build/ops.inc and build/layers.inc, the lists of native/ops that native/unity compiles as two
// units per instruction set (one parse of the headers instead of sixty). The lists come from the file names; nobody keeps them.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const files = readdirSync("native/ops").filter((f) => f.endsWith(".cpp"));
const heavy = (f) => readFileSync(`native/ops/${f}`, "utf8").includes('"../conv/layer.h"'); // the convolution family
const lists = { layers: files.filter(heavy), ops: files.filter((f) => !heavy(f)) };
mkdirSync("build", { recursive: true });
for (const [name, list] of Object.entries(lists)) {
  const text = list.map((f) => `#include "native/ops/${f}"\n`).join("");
  const path = `build/${name}.inc`;
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
}
console.log("native/unity/ops.cpp native/unity/layers.cpp");
