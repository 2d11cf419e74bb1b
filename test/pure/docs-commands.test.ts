// Every command line in the documents and in the help texts has a command and options that exist.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { expect, it } from "vitest";
import { program } from "../../lib/cli/program.ts";
import { type CommandLine, commandLines, commentsOf, documents, read, root, sources } from "../docs-kit/blocks.ts";

const texts = [...documents(), "CONTRIBUTING.md", "bench/README.md", "data/mnist/README.md"];
const lines = (name: string): CommandLine[] => [
  ...texts.flatMap((file) => commandLines(file, read(file), name)),
  ...sources().flatMap((file) => commandLines(file, commentsOf(read(file)), name)),
];

/** All commands at any depth. */
const family = (command: Command): Command[] => [command, ...command.commands.flatMap(family)];

/** What is wrong with a command line, or undefined. Nothing is run. */
function wrong(text: string): string | undefined {
  const silent = program();
  for (const command of family(silent)) {
    command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} });
    if (command.commands.length === 0) command.action(() => {});
  }
  try {
    silent.parse([...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3]).slice(1), {
      from: "user",
    });
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    if (!/^commander\.(helpDisplayed|version)$/.test(code)) return message;
  }
  return undefined;
}

const complaints = (found: readonly CommandLine[]) =>
  found.flatMap(({ place, text }) => {
    const error = wrong(text);
    return error === undefined ? [] : [`${place}: ${text}: ${error}`];
  });

it("command lines in the documents", () => {
  const found = lines("bayescnn");
  expect(found.length).toBeGreaterThan(10);
  expect(complaints(found)).toEqual([]);
});

it("command lines in the help texts", () => {
  const help: CommandLine[] = [];
  for (const command of family(program())) {
    let text = "";
    command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
    for (const [, line] of text.matchAll(/^ *\$ (bayescnn .*)$/gm))
      help.push({ place: `${command.name()} --help`, text: line });
  }
  expect(help.length).toBeGreaterThan(9);
  expect(complaints(help)).toEqual([]);
});

it("sees a wrong command, option, value and number of arguments", () => {
  for (const text of [
    "trian",
    "train --epoch 2",
    "train --epochs two",
    "data get",
    "info a b",
    "export RUN --mode many",
  ])
    expect(wrong(`bayescnn ${text}`), text).toBeDefined();
  const said =
    "`bayescnn info [--json]`\n```sh\nnpm ci && npx bayescnn info   # or\nbayescnn train \\\n  --epochs 2\n```\n\n    $ bayescnn start\n";
  expect(commandLines("x.md", said, "bayescnn").map((l) => `${l.place} ${l.text}`)).toEqual([
    "x.md:1 bayescnn info --json",
    "x.md:3 bayescnn info",
    "x.md:4 bayescnn train  --epochs 2",
    "x.md:7 bayescnn start",
  ]);
});

it("npm and node command lines name scripts that exist", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const npm = lines("npm").filter(({ text }) => /^npm (run|start|test)\b/.test(text));
  expect(npm.length).toBeGreaterThan(3);
  expect(npm.filter(({ text }) => !(text.replace(/^npm (run )?/, "").split(" ")[0] in scripts))).toEqual([]);
  const node = lines("node").filter(({ text }) => /^node (scripts|bench)\//.test(text));
  expect(node.filter(({ text }) => !existsSync(join(root, text.split(" ")[1])))).toEqual([]);
});

it("links lead somewhere", () => {
  const dead = texts.flatMap((file) =>
    [...read(file).matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g)]
      .filter(([, link]) => !existsSync(join(root, dirname(file), link)))
      .map(([, link]) => `${file}: ${link}`),
  );
  expect(dead).toEqual([]);
});
