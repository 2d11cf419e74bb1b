// Property tests try the same cases on every machine; FC_SEED=<number> looks elsewhere. BAYESCNN_DRIVER=<command line>:
// the kernels run in that process instead of the addon (driver/driver.cpp).
import fc from "fast-check";
import { vi } from "vitest";

fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 20261124) });

const driver = process.env.BAYESCNN_DRIVER;
if (driver) {
  const { driverAddon } = await import("./driver/client.ts");
  const addon = driverAddon(driver.split(" "));
  vi.doMock("../lib/native/addon.ts", () => ({ loadAddon: () => addon }));
}
