// Files that others have made are looked at before they are opened, and their JSON before it is believed.
import { spawnSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { BayesError } from "../../lib/util/errors.ts";
import { parseJson, readJson } from "../../lib/util/json.ts";
import { ReadFile } from "../../lib/util/read.ts";
import { readRegular } from "../../lib/util/regular.ts";

const dir = mkdtempSync(join(tmpdir(), "bayescnn-read-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const at = (name: string) => join(dir, name);
const oneSentence = (attempt: () => unknown, message: RegExp) => {
  expect(attempt).toThrow(message);
  expect(attempt).toThrow(expect.objectContaining({ name: "BayesError", code: "ERR_BAYES_FILE" }));
  try {
    attempt();
  } catch (error) {
    expect((error as Error).message.length).toBeLessThan(400);
  }
};

describe("reading", () => {
  it("refuses what is no file without opening it", async () => {
    spawnSync("mkfifo", [at("pipe")]);
    oneSentence(() => readRegular(at("pipe"), { most: 10 }), /pipe\] expected a file, received a pipe$/);
    mkdirSync(at("folder"));
    oneSentence(() => readRegular(at("folder"), { most: 10 }), /expected a file, received a directory$/);
    oneSentence(() => readRegular(at("none"), { most: 10 }), /cannot read .*no such file/);
    if (spawnSync("mknod", [at("zero"), "c", "1", "5"]).status === 0)
      oneSentence(() => readRegular(at("zero"), { most: 10 }), /received a character device$/);
    else console.log("skipped: a device (no permission to make one)");
    const server = createServer();
    await new Promise<void>((ready) => server.listen(at("socket"), ready));
    oneSentence(() => readRegular(at("socket"), { most: 10 }), /received a socket$/);
    server.close();
  });

  it("refuses a file that is too large before reading it, and one that shrinks meanwhile", () => {
    closeSync(openSync(at("sparse"), "w"));
    truncateSync(at("sparse"), 2 ** 40);
    oneSentence(() => readRegular(at("sparse"), { most: 2 ** 26 }), /at most 67108864 bytes, received 1099511627776/);
    oneSentence(() => readJson(at("sparse")), /at most 67108864 bytes/);
    writeFileSync(at("short"), "0123456789");
    const file = new ReadFile(at("short"));
    truncateSync(at("short"), 4);
    oneSentence(() => file.fill(new Uint8Array(10), 0), /a file of 10 bytes, as it was, received a shorter one/);
    file[Symbol.dispose]();
  });

  it("reads a part behind 4 GiB", () => {
    const fd = openSync(at("behind"), "w");
    ftruncateSync(fd, 2 ** 32 + 5);
    closeSync(fd);
    using file = new ReadFile(at("behind"));
    const bytes = new Uint8Array(5).fill(7);
    file.fill(bytes, 2 ** 32);
    expect([...bytes]).toEqual([0, 0, 0, 0, 0]);
    expect(() => file.fill(bytes, 2 ** 32 + 1)).toThrow(BayesError);
  });
});

describe("JSON", () => {
  const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  it.each<[string, string, RegExp]>([
    ["no JSON", "{", /expected JSON, received text that is not valid JSON/],
    ["101 levels", deep(101), /at most 100 levels/],
    ["a million levels", `{"a":${deep(1e6)}}`, /at most 100 levels/],
    ["a key twice", '{"a":{"b":1,"\\u0062":2}}', /received one where "b" stands twice/],
    ["a key of a megabyte twice", `{"${"k".repeat(1e6)}":1,"${"k".repeat(1e6)}":1}`, /stands twice/],
    ["a prototype", '{"a":[{"__proto__":{}}]}', /keys that are names, received "__proto__"/],
  ])("with %s is refused", (_, text, message) => {
    oneSentence(() => parseJson("x.json", text), message);
  });

  it("is taken as it is else", () => {
    const text = '{"a":[{"b":"{\\"a\\":1,\\"a\\":2}"},{"b":[]}],"b":"__proto__","":null}';
    expect(parseJson("x.json", text)).toEqual(JSON.parse(text));
    expect(parseJson("x.json", deep(100))).toEqual(JSON.parse(deep(100)));
    expect(Object.keys(parseJson("x", '{"__proto__":1}', { proto: true }) as object)).toEqual(["__proto__"]);
  });

  it("in other bytes than UTF-8 is refused", () => {
    writeFileSync(at("latin.json"), Buffer.from('{"a":"\xe9"}', "latin1"));
    oneSentence(() => readJson(at("latin.json")), /expected JSON in UTF-8/);
    writeFileSync(at("bom.json"), '\ufeff{"a":1}');
    expect(readJson(at("bom.json"))).toEqual({ a: 1 });
  });
});
