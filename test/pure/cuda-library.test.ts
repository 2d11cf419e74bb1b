// Where the CUDA library is looked for: where docs/cuda.md says that it is built.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";

const root = mkdtempSync(join(tmpdir(), "bayescnn-cuda-library-"));
vi.resetModules(); // setup.ts has loaded it
vi.doMock("../../lib/util/package.ts", () => ({ packageRoot: () => root }));
const { cudaLibrary } = await import("../../lib/native/cuda.ts");
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});

it.skipIf(process.platform !== "linux" || process.arch !== "x64")("a library that was built is found", () => {
  vi.stubEnv("BAYESCNN_CUDA", "");
  expect(cudaLibrary()).toMatchObject({ path: "", wanted: false });
  const docs = readFileSync(join(import.meta.dirname, "../../docs/cuda.md"), "utf8");
  const path = join(root, docs.match(/npm run build:cuda .*-> (\S+\.so)/)![1]);
  mkdirSync(dirname(path));
  writeFileSync(path, "");
  expect(cudaLibrary()).toEqual({ path, wanted: true });
});
