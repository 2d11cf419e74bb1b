import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/setup.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 300_000, // one of them builds the library, side by side with others
    coverage: {
      provider: "v8",
      include: ["lib/**/*.ts"],
      exclude: ["lib/cli/main.ts"],
      reporter: ["text-summary", "json-summary"],
    },
  },
});
