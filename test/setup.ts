// Property tests try the same cases on every machine; FC_SEED=<number> looks elsewhere. BAYESCNN_DRIVER=<command line>:
// the kernels run in that process instead of the addon (driver/driver.cpp). BAYESCNN_TEST_DEVICE=<name>: the
// device that "auto" is, for tests of values (device.ts).
import fc from "fast-check";
import { vi } from "vitest";
import type { DeviceName } from "../lib/native/device.ts";

fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 20261124) });

const driver = process.env.BAYESCNN_DRIVER;
if (driver) {
  const { driverAddon } = await import("./driver/client.ts");
  const addon = driverAddon(driver.split(" "));
  vi.doMock("../lib/native/addon.ts", () => ({ loadAddon: () => addon }));
}

const { checkDevice, setDevice } = await import("../lib/native/device.ts");
setDevice(checkDevice("BAYESCNN_TEST_DEVICE", process.env.BAYESCNN_TEST_DEVICE ?? "cpu") as DeviceName);
