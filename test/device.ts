// The device that tests of values run on: BAYESCNN_TEST_DEVICE=cuda BAYESCNN_CUDA=<library> npx vitest run test/cpu/ops.test.ts
import { type Device, openDevice } from "../lib/native/device.ts";

/** "auto" is that device (setup.ts), and "cpu" where nothing is said. */
export const testDevice = (): Device => openDevice("auto", "BAYESCNN_TEST_DEVICE");

/** Numbers of threads that give the same bits. Where there are none, other runs give them (BAYESCNN_EMULATED_ORDER=turns: each in another order). */
export const threadCounts = (): readonly number[] => (testDevice().kind === "cpu" ? [1, 2, 3] : [1, 1, 1]);
