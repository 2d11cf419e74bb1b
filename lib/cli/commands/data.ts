import type { Command } from "commander";
import { getData } from "../../data/get.ts";
import { DATASETS, dataRoot, findData } from "../../data/locate.ts";
import { progress } from "../../util/progress.ts";
import { declare, inContext, path, shared, type Values } from "../shared/options.ts";
import { lines, table } from "../shared/output.ts";

const where = declare().value(
  "--data-dir <dir>",
  "folder of the data sets (default: BAYESCNN_DATA, else ./data)",
  path,
);
const source = where.value("--url <url>", "another server's folder with the same files", String);
type DataOptions = Values<typeof source>;

/** `bayescnn data get NAME` and `bayescnn data list`. */
export function dataCommand(root: Command): void {
  const data = root.command("data").description("fetch data sets, and see which are there");

  shared(
    data
      .command("get")
      .description(`fetch a data set: ${DATASETS.join(", ")}; goes on with a broken download and checks SHA-256`)
      .argument("<name>", "data set"),
    source,
    { out: "same as --data-dir", example: "bayescnn data get mnist" },
  ).action((name: string, options: DataOptions) =>
    inContext(options, (context) => get(name, options, context.out, context.progress), {
      device: false,
      product: false,
    }),
  );

  shared(data.command("list").description("the known data sets, and where they are"), where, {
    example: "bayescnn data list --data-dir ~/data",
  }).action((options: DataOptions) =>
    inContext(options, (context) => list(options, context.out), {
      device: false,
      linesTo: options.out,
      signals: "kill",
    }),
  );
}

type Out = Parameters<Parameters<typeof inContext>[1]>[0]["out"];

async function get(name: string, options: DataOptions, out: Out, drawn: boolean): Promise<void> {
  let current = "";
  let bar: ReturnType<typeof progress> | undefined;
  try {
    const folder = await getData(name, {
      dataDir: options.out ?? options.dataDir,
      url: options.url,
      onProgress(file, received, total) {
        if (file !== current) {
          bar?.stop();
          bar = progress(file, total ?? 0, { unit: "bytes", silent: !drawn });
          out.event("download", { file, total });
          if (!drawn) out.line(`fetching ${file}`);
        }
        current = file;
        bar?.update(received);
      },
    });
    bar?.stop();
    out.event("done", { name, folder });
    out.line(`${name} is in ${folder}`);
  } finally {
    bar?.stop();
  }
}

function list({ dataDir }: DataOptions, out: Out): void {
  const rows = [["data set", "where"]];
  for (const name of DATASETS) {
    const folder = findData(name, dataDir);
    const embedded = folder === undefined && name === "mnist" && dataDir === undefined;
    out.event("dataset", { name, folder: folder ?? null, embedded });
    const missing = embedded
      ? "only the 7,000 images that come with this package"
      : `not there; bayescnn data get ${name}`;
    rows.push([name, folder ?? missing]);
  }
  for (const row of table(rows, "left")) out.line(row);
  lines(out, "", `Looked in ${dataRoot(dataDir)}.`);
}
