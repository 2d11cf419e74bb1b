// A slot's role is what its name says: files know no more of it.
import { expect, it } from "vitest";
import { roleOf, slotName } from "../../lib/graph/roles.ts";
import { Store } from "../../lib/graph/store.ts";
import { nullDevice } from "../null-device.ts";

it.each([
  [slotName("mask", "conv1/weight"), "mask", "conv1/weight"],
  [slotName("moment", "adam/m/conv1/weight/mu"), "moment", "conv1/weight/mu"],
  [slotName("moment", "sgd/velocity/fc/bias"), "moment", "fc/bias"],
  [slotName("data", "train/images"), "data", "train/images"],
  ["masks/weight", undefined, "masks/weight"],
  ["net/mask/weight", undefined, "net/mask/weight"],
])("%s", (name, role, of) => {
  expect(roleOf(name)).toEqual({ role, of });
  using store = new Store(nullDevice());
  expect(store.define(name, [2])).toMatchObject({
    role: role ?? "state",
    of,
    values: role === "mask" ? "mask" : "finite",
  });
  if (!role) expect(store.define(`${name}/mu`, [2], { trainable: true }).role).toBe("parameter");
});

it("files of before mean the same: the names are what they were", () => {
  expect([slotName("mask", "w"), slotName("moment", "adam/v/w"), slotName("data", "x")]).toEqual([
    "mask/w",
    "optimizer/adam/v/w",
    "data/x",
  ]);
});
