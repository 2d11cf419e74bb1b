// Who includes whom, by folders:
//   node scripts/floors.mjs          native/: fails where an include goes up, to a neighbour on the same floor, from one
//                                    pass of a convolution into another one, or in a circle
//   node scripts/floors.mjs lib      lib/, or a folder elsewhere: fails where folders import each other in a circle, values or
//                                    types; circles of files are printed
// A floor is one more than the highest floor below it. What is printed last: the longest file and the longest function.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const what = process.argv[2] ?? "native";
const root = resolve(import.meta.dirname, "..", what);

// native/ from the ground up. A folder may include itself and what stands before it, but for its neighbours in a row.
const order = [
  ["shared"],
  ["program"],
  ["cpu"],
  ["vector"],
  ["loops"],
  ["conv/parts"],
  ["conv/winograd"],
  ["conv/rows", "conv/imagePanels", "conv/imageLanes", "conv/channelLanes"],
  ["conv"],
  ["ops"],
  ["unity"],
  ["addon.cpp"],
];
// Files of the three passes of a convolution, by their names. Forward pass and data gradient share products.
const passOf = (file) =>
  /conv\/.*weight/i.test(file) ? "weight gradient" : /conv\/.*(forward|product|data)/i.test(file) ? "product" : "";

const files = readdirSync(root, { recursive: true })
  .map(String)
  .filter((f) => /\.(ts|h|cpp)$/.test(f) && statSync(join(root, f)).isFile())
  .sort();
const text = new Map(files.map((f) => [f, readFileSync(join(root, f), "utf8")]));
const folderOf = (file) => (dirname(file) === "." ? file : dirname(file)); // a file at the top is a room of its own

/** What a file includes or imports of this tree. */
function includes(file) {
  const found = [];
  const pattern = file.endsWith(".ts")
    ? /(?:^(?:import|export)\b[^;"]*?|\bimport\()"(\.[^"]+)"/gm
    : /^#include "([^"]+)"/gm;
  for (const [, path] of text.get(file).matchAll(pattern)) {
    const to = relative(root, resolve(root, dirname(file), path));
    if (text.has(to)) found.push(to);
  }
  return found;
}
const edges = files.flatMap((from) => includes(from).map((to) => ({ from, to })));

/** Sets of nodes that reach each other, each after those that it points to (Tarjan). */
function components(nodes, targets) {
  const [number, low, stack, sets] = [new Map(), new Map(), [], []];
  const visit = (n) => {
    number.set(n, number.size);
    low.set(n, number.get(n));
    stack.push(n);
    for (const m of targets(n)) {
      if (!number.has(m)) visit(m);
      if (stack.includes(m)) low.set(n, Math.min(low.get(n), low.get(m)));
    }
    if (low.get(n) === number.get(n)) sets.push(stack.splice(stack.indexOf(n)));
  };
  for (const n of nodes) if (!number.has(n)) visit(n);
  return sets;
}

const folders = [...new Set(files.map(folderOf))].sort();
const below = new Map(
  folders.map((f) => [
    f,
    new Set(edges.filter((e) => folderOf(e.from) === f && folderOf(e.to) !== f).map((e) => folderOf(e.to))),
  ]),
);
const floor = new Map();
const circles = [];
for (const set of components(folders, (f) => below.get(f))) {
  const under = set.flatMap((f) => [...below.get(f)]).filter((f) => !set.includes(f));
  for (const f of set) floor.set(f, Math.max(0, ...under.map((u) => floor.get(u) + 1)));
  if (set.length > 1) circles.push(set);
}
const lines = (names) => names.reduce((sum, f) => sum + text.get(f).split("\n").length - 1, 0);
console.log(`${what}/: ${files.length} files, ${lines(files)} lines`);
for (const f of [...folders].sort((a, b) => floor.get(b) - floor.get(a) || (a < b ? -1 : 1))) {
  const own = files.filter((file) => folderOf(file) === f);
  const size = `${own.length} files, ${lines(own)} lines`;
  console.log(
    `${String(floor.get(f)).padStart(3)}  ${f.padEnd(18)} ${size.padEnd(24)} -> ${[...below.get(f)].sort().join(" ")}`,
  );
}

const wrong = [];
for (const set of circles) {
  wrong.push(`a circle of folders: ${set.join(", ")}`);
  const between = (a, b) => edges.filter((e) => folderOf(e.from) === a && folderOf(e.to) === b);
  // of two that include each other, the direction with fewer includes
  for (const a of set)
    for (const b of set) {
      const [there, back] = [between(a, b), between(b, a)];
      if (a === b || !back.length || !there.length || there.length > back.length) continue;
      if (there.length === back.length && a > b) continue;
      wrong.push(`  ${a} -> ${b}, ${there.length} against ${back.length}:`);
      for (const { from, to } of there) wrong.push(`    ${from} -> ${to}`);
    }
}
for (const set of components(files, includes)) if (set.length > 1) wrong.push(`a circle of files: ${set.join(", ")}`);
if (what === "native") {
  const level = new Map(order.flatMap((row, i) => row.map((f) => [f, i])));
  for (const f of folders) if (!level.has(f)) wrong.push(`${f}: a folder without a place in scripts/floors.mjs`);
  for (const { from, to } of edges) {
    const [a, b] = [folderOf(from), folderOf(to)];
    if (a !== b && level.get(a) <= level.get(b)) wrong.push(`upwards or sideways: ${from} includes ${to}`);
    const passes = [passOf(from), passOf(to)];
    if (passes[0] && passes[1] && passes[0] !== passes[1]) wrong.push(`into another pass: ${from} includes ${to}`);
  }
}

/** [lines, name] of the functions of a C++ file: bodies in braces behind a parameter list, outside other functions. */
function functions(file) {
  const source = text
    .get(file)
    .replace(/\/\/.*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)'/g, (s) => " ".repeat(s.length))
    .replace(/^#.*$/gm, (s) => " ".repeat(s.length));
  const [found, blocks] = [[], []];
  let start = 0; // of the text before the next brace
  for (let i = 0; i < source.length; i++) {
    if (source[i] === ";" && !blocks.some((b) => b.body)) start = i + 1;
    if (source[i] === "{") {
      const head = source.slice(start, i);
      const inside = blocks.some((b) => b.body);
      const body =
        !inside &&
        /\)\s*(const|noexcept|override|\s)*$/.test(head) &&
        !/\b(struct|class|enum|namespace)\b[^()]*$/.test(head);
      const first = start + head.search(/\S/);
      blocks.push({ body, first, name: /([~\w]+)\s*\(/.exec(head)?.[1] ?? "" });
      if (!inside) start = i + 1;
    } else if (source[i] === "}") {
      const block = blocks.pop();
      if (block?.body) found.push([source.slice(block.first, i).split("\n").length, `${file}: ${block.name}`]);
      if (!blocks.some((b) => b.body)) start = i + 1;
    }
  }
  return found;
}
const longest = (list) =>
  list
    .sort((a, b) => b[0] - a[0])
    .slice(0, 3)
    .map(([n, name]) => `${n} ${name}`)
    .join(", ");
console.log(`longest files: ${longest(files.map((f) => [lines([f]), f]))}`);
if (what === "native") {
  const all = files.flatMap(functions);
  console.log(`longest functions: ${longest(all)}`);
  for (const [n, name] of all) if (n > 80) wrong.push(`a function of ${n} lines: ${name}`);
}
for (const line of wrong) console.log(line);
process.exit((what === "native" ? wrong : circles).length ? 1 : 0);
