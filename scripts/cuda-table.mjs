// The tables of docs/cuda.md, between their marks.
//   node scripts/cuda-table.mjs            what the nets' training steps have to do: of the planned programs
//   node scripts/cuda-table.mjs BUILD.log  that, and what the kernels take of a multiprocessor: of what a whole
//                                          `npm run build:cuda > BUILD.log` printed (needs g++ and c++filt)
//   node scripts/cuda-table.mjs --check    ends with 1 where the first is not what the page says
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stepFlops } from "../bench/flops.mjs";
import { createModel } from "../dist/models/create.js";
import { openDevice } from "../dist/native/device.js";
import { adam } from "../dist/train/optimizers.js";
import { compileStep, residentData } from "../dist/train/step.js";

const root = join(import.meta.dirname, "..");
const PAGE = join(root, "docs/cuda.md");
const table = (head, rows) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const range = (values) => [...new Set([Math.min(...values), Math.max(...values)])].join("–");

const NEVER = ["ran on a GPU", "never"]; // until somebody has measured

// ---- Nets

const BATCH = 256;
// Bytes and operations a second. Data sheets of NVIDIA H100 SXM and H200 SXM; dense, which is half of what they print with sparsity.
const CARDS = { H100: 3.35e12, H200: 4.8e12 };
const RATES = { tf32: 494.5e12, bf16: 989.5e12, float32: 67e12 };
const NETS = [
  ["LeNet-5", "lenet5", [28, 28, 1]],
  ["AlexNet", "alexnet", [32, 32, 3]],
  ["3Conv3FC", "3conv3fc", [32, 32, 3]],
  ["ResNet-20", "resnet20", [32, 32, 3]],
];

/** Plans for a CUDA device are made, and run nowhere. */
function planner() {
  const { addon, ...cpu } = openDevice("cpu");
  class Plan {
    workspaceBytes = 0;
    algorithms = [];
    close() {}
  }
  const joins = { activation: true, pooling: false }; // as the traits of cuda/device.cu
  return { ...cpu, kind: "cuda", joins, alignment: 256, addon: { ...addon, Plan } };
}

function net([name, model, input], device) {
  const trained = createModel({ model, input, classes: 10, device });
  const [height, width, channels] = input;
  const images = new Uint8Array(BATCH * height * width * channels);
  residentData(trained, { count: BATCH, shape: input, images }, new Int32Array(BATCH));
  const program = compileStep(trained, BATCH, { optimizer: adam(), samples: 1 });
  const { native } = program.planned;
  const steps = program.report().steps.map(({ bytes }, i) => ({
    bytes,
    flops: stepFlops(program.planned, i),
    product: native.steps[i].attrs.precision !== undefined,
  }));
  trained.close();
  const sum = (f) => steps.reduce((total, step) => total + f(step), 0);
  const us = (seconds) => (seconds * 1e6).toFixed(0);
  const least = (card) =>
    us(sum((s) => Math.max(s.bytes / CARDS[card], s.flops / (s.product ? RATES.tf32 : RATES.float32))));
  return [
    name,
    steps.length,
    (sum((s) => s.flops) / 1e9).toFixed(1),
    (sum((s) => s.bytes) / 1e6).toFixed(0),
    ...Object.values(CARDS).map((rate) => us(sum((s) => s.bytes) / rate)),
    ...["tf32", "bf16"].map((p) => us(sum((s) => (s.product ? s.flops : 0)) / RATES[p])),
    ...Object.keys(CARDS).map(least),
    NEVER[1],
  ];
}
function nets() {
  const device = planner();
  const cards = Object.keys(CARDS);
  return table(
    [
      ...["net", "steps of the program", "GFLOP", "MB"],
      ...cards.map((card) => `bytes, ${card}`),
      ...["tensor cores, tf32", "bf16"],
      ...cards.map((card) => `step by step, ${card}`),
      NEVER[0],
    ],
    NETS.map((each) => net(each, device)),
  );
}

// ---- Kernels

/** Blocks that a multiprocessor of sm_90 has room for (CUDA C++ Programming Guide, compute capabilities). */
function blocksAt(threads, registers, bytes) {
  const warps = threads / 32;
  const warpsByRegisters = Math.floor(65536 / (Math.ceil((registers * 32) / 256) * 256) / 4) * 4;
  const byShared = Math.floor((228 * 1024) / (Math.ceil(bytes / 128) * 128 + 1024)); // a block has 1 KiB besides its own
  return Math.min(32, Math.floor(64 / warps), Math.floor(warpsByRegisters / warps), byShared);
}

/** Kernels of sm_90 in a build's output: [{ name, parameters, registers }]. */
function compiled(log) {
  const found = [...log.matchAll(/Compiling entry function '(\w+)' for 'sm_90'[\s\S]*?Used (\d+) registers([^\n]*)/g)];
  if (found.length === 0)
    throw new Error("expected the output of a whole npm run build:cuda, received no kernel of sm_90");
  if (found.some(([, , , rest]) => rest.includes("smem"))) throw new Error("expected no static shared memory");
  const input = found.map(([, name]) => name).join("\n");
  const names = execFileSync("c++filt", { input, encoding: "utf8" }).split("\n");
  return found.map(([, , registers], i) => {
    const plain = names[i]
      .replace(/bayes::cuda::|\(anonymous namespace\)::|^void /g, "")
      .replace(/\((Kind|Layout)\)/g, "");
    const [, name, parameters = ""] = /^(\w+)(?:<(.*)>)?\(/.exec(plain);
    return { name, parameters, registers: Number(registers) };
  });
}

/** Threads and shared memory of the forms, asked of the headers: by "kernel arithmetic tile kinds". */
function forms() {
  const folder = mkdtempSync(join(tmpdir(), "bayescnn-forms-"));
  try {
    const program = join(folder, "forms");
    const flags = ["-std=c++17", "-O1", "-w", "-DEMULATED", "-I."];
    execFileSync("g++", [...flags, "scripts/cuda-forms.cpp", "-o", program], { cwd: root });
    const lines = execFileSync(program, { encoding: "utf8" }).trim().split("\n");
    return new Map(
      lines.map((line) => {
        const words = line.split(" ");
        const [threads, least, most] = words.splice(4).map(Number);
        return [words.join(" "), { threads, least, most }];
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
const ROWS = [
  ["products, plain", "productKernel", ["0"]],
  ["products, Bayesian, forward", "productKernel", ["1"]],
  ["products, Bayesian, gradient", "productKernel", ["2"]],
  ["weights, plain", "weightKernel", ["0,0"]],
  ["weights, Bayesian", "weightKernel", ["1,2", "2,1"]],
];
function kernels(log) {
  const all = compiled(log);
  const known = forms();
  const keyOf = ({ name, parameters }) => {
    const [, arithmetic = "float32", sizes, rest] = /^(?:Mma<(\w+), |Fma<)([\d, ]+)>, (.*)$/.exec(parameters);
    const [bm, bn] = sizes.split(", ");
    const kinds = rest.split(", ").slice(0, name === "weightKernel" ? 2 : 1);
    return `${name} ${arithmetic.toLowerCase()} ${bm}x${bn} ${kinds.join(",")}`;
  };
  const layers = all.filter(({ name }) => name === "productKernel" || name === "weightKernel");
  const instances = groupBy(layers, keyOf);
  const columns = [...new Set([...known.keys()].map((key) => key.split(" ").slice(1, 3).join(" ")))];
  const cell = (kernel, column, kinds) => {
    const found = kinds.map((k) => `${kernel} ${column} ${k}`).map((key) => [known.get(key), instances.get(key)]);
    const registers = found.flatMap(([, list]) => list.map((k) => k.registers));
    const kib = found.flatMap(([form]) => [form.least, form.most]).map((bytes) => Math.ceil(bytes / 1024));
    const blocks = found.flatMap(([{ threads, least, most }, list]) =>
      list.flatMap((k) => [least, most].map((bytes) => blocksAt(threads, k.registers, bytes))),
    );
    return [registers, kib, blocks].map(range).join(" / ");
  };
  const threads = (column) => known.get(`productKernel ${column} 0`).threads;
  const others = groupBy(
    all.filter((k) => !layers.includes(k)),
    ({ name }) => name,
  );
  const [BLOCK, ADD, MOST] = [256, 128, 2048]; // threads, those of addParts, and the most bytes of shared memory
  return [
    table(
      ["registers / KiB of shared memory / blocks", ...columns.map((c) => `${c}, ${threads(c)} threads`), NEVER[0]],
      ROWS.map(([name, kernel, kinds]) => [name, ...columns.map((column) => cell(kernel, column, kinds)), NEVER[1]]),
    ),
    "",
    table(
      ["other kernels", "instances", "threads", "registers", "blocks", NEVER[0]],
      [...others].sort().map(([name, list]) => {
        const size = name === "addParts" ? ADD : BLOCK;
        const registers = list.map((k) => k.registers);
        return [
          `\`${name}\``,
          list.length,
          size,
          range(registers),
          range(registers.map((r) => blocksAt(size, r, MOST))),
          NEVER[1],
        ];
      }),
    ),
  ].join("\n");
}
function groupBy(list, key) {
  const groups = new Map();
  for (const each of list) groups.set(key(each), [...(groups.get(key(each)) ?? []), each]);
  return groups;
}

// ---- The page

function put(page, mark, text) {
  const [begin, end] = [`<!-- ${mark} -->`, `<!-- /${mark} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/cuda.md has no ${begin} … ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
}
const [argument] = process.argv.slice(2);
const page = readFileSync(PAGE, "utf8");
let made = put(page, "nets", nets());
if (argument === "--check") {
  if (made !== page) {
    console.error(
      "docs/cuda.md: expected the table of the nets as the planned programs give it, received another one; node scripts/cuda-table.mjs",
    );
    process.exit(1);
  }
} else {
  if (argument) made = put(made, "kernels", kernels(readFileSync(argument, "utf8")));
  writeFileSync(PAGE, made);
}
