// docs/cuda.md says of the nets' training steps what their planned programs say.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { it } from "vitest";
import { build } from "../built.ts";

it("the table of the nets is what the script makes of the planned programs", { timeout: 300_000 }, () => {
  build();
  execFileSync(process.execPath, [join(import.meta.dirname, "../../scripts/cuda-table.mjs"), "--check"], {
    stdio: "pipe",
  });
});
