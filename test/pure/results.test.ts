// docs/results.md says what results/ says.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { build } from "../built.ts";

const root = join(import.meta.dirname, "../..");

it("the page of results is what the script makes of the figures", () => {
  build();
  execFileSync(process.execPath, [join(root, "scripts/results.mjs"), "--check"], { stdio: "pipe" });
}, 300_000);

it("every file of figures has its commit and its command, none of a quick run, and no path of a machine", () => {
  const all = existsSync(join(root, "results")) ? readdirSync(join(root, "results"), { recursive: true }) : [];
  const files = all.map(String).filter((f) => f.endsWith(".json"));
  for (const file of files) {
    const text = readFileSync(join(root, "results", file), "utf8");
    const { provenance, quick, experiment, unit } = JSON.parse(text);
    expect(quick, file).toBe(false);
    expect(provenance.commit, file).toMatch(/^[0-9a-f]{10}\+?$/);
    expect(provenance.command, file).toBe(`npx bayescnn experiment ${experiment} --only ${unit}`);
    expect(text, file).not.toMatch(/"\/|\/home\/|\/work\//);
  }
});
