import { describe, expect, it } from "vitest";
import {
  absentClasses,
  alignClasses,
  checkTrainingClasses,
  classesOnly,
  sortedClasses,
} from "../../lib/data/classes.ts";
import { makeDataset } from "../../lib/data/dataset.ts";

const set = (classes: string[] | number, labels: number[]) =>
  makeDataset({ name: "pets", images: new Uint8Array(labels.length), labels, shape: [1, 1, 1], classes });

describe("alignClasses", () => {
  it("maps numbers by name, whatever the order, also of fewer classes", () => {
    const turned = alignClasses(set(["dog", "cat"], [0, 1, 1]), ["cat", "dog", "elk"]);
    expect(turned).toMatchObject({ classes: ["cat", "dog", "elk"], targets: Int32Array.of(1, 0, 0) });
    const same = set(["cat", "dog"], [0, 1]);
    expect(alignClasses(same, ["cat", "dog"])).toBe(same);
  });

  it("names both lists where a class is unknown, and what differs in case", () => {
    expect(() => alignClasses(set(["Dog", "cat"], [0, 1]), ["cat", "dog"])).toThrow(
      "[classes of pets] expected classes among cat, dog, received Dog, cat, of which Dog unknown; Dog differs from dog in case alone",
    );
    expect(() => alignClasses(set(["ox", "ape"], [0, 1]), ["cat", "dog"])).toThrow(
      /received ox, ape, none of which is known/,
    );
  });

  it("takes numbered classes by number, if there are as many", () => {
    expect(alignClasses(set(2, [0, 1]), ["cat", "dog"])).toMatchObject({
      classes: ["cat", "dog"],
      targets: Int32Array.of(0, 1),
    });
    expect(alignClasses(set(["cat", "dog"], [0, 1]), ["0", "1"]).targets).toEqual(Int32Array.of(0, 1));
    expect(() => alignClasses(set(3, [0, 1]), ["cat", "dog"])).toThrow(/received 0, 1, 2/);
  });
});

describe("classes", () => {
  it("are sorted as numbers where they are numbers", () => {
    expect(sortedClasses(["10", "9", "0", "9"])).toEqual(["0", "9", "10"]);
    expect(sortedClasses(["10", "9", "a", "B"])).toEqual(["10", "9", "B", "a"]);
    expect(sortedClasses(["01", "1"])).toEqual(["01", "1"]);
  });

  it("without examples are listed", () => {
    expect(absentClasses(set(["a", "b", "c"], [1, 1]))).toEqual(["a", "c"]);
    expect(absentClasses(set(["a"], [0]))).toEqual([]);
  });

  it("of a training set are two at least", () => {
    expect(() => checkTrainingClasses("here", set(["a", "b"], [1, 1]))).toThrow(
      '[here] expected images of at least two classes to train on, received one class, "b"',
    );
    expect(() => checkTrainingClasses("here", set(["a", "b"], [1, 0]))).not.toThrow();
  });

  it("are asked for where a set has numbers", () => {
    const numbers = makeDataset({ images: new Uint8Array(2), targets: [1, 2], shape: [1, 1, 1], targetNames: ["age"] });
    expect(() => classesOnly({ train: numbers, test: numbers })).toThrow(
      /one class for each image, received \["age"\]/,
    );
    const classes = set(2, [0, 1]);
    expect(classesOnly({ train: classes, test: classes, valid: classes }).valid).toBe(classes);
  });
});
