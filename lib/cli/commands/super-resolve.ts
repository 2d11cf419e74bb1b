import type { Command } from "commander";
import { openAs } from "../../checkpoints/open.ts";
import type { Pixels } from "../../data/decode.ts";
import type { Model } from "../../models/model.ts";
import { superResolveRows } from "../../pictures/picture.ts";
import { PngFile } from "../../pictures/png.ts";
import { readPicture } from "../../pictures/read.ts";
import { scaleOf } from "../../pictures/superResolve.ts";
import { checkTarget } from "../../util/atomic.ts";
import { BayesError, fail, words } from "../../util/errors.ts";
import { progress } from "../../util/progress.ts";
import { statOf } from "../../util/regular.ts";
import { type Context, declare, inContext, integer, path, shared, UsageError, type Values } from "../shared/options.ts";
import { fixed, percent } from "../shared/output.ts";

const own = declare()
  .required(
    "--model <path>",
    "a trained espcn: its run folder or file (bayescnn experiment super-resolution makes some)",
    path,
  )
  .value(
    "--sigma <file.png>",
    "also write the standard deviation of each pixel's luma: grey value 8 is one level of 255, white 32 or more",
    path,
  )
  .value("--samples <n>", "Monte-Carlo samples for --sigma, each one draw of all weights", integer(1, 65_536), 16)
  .value("--scale <n>", "the scale that the model is expected to have", integer(2, 4));
type SuperResolveOptions = Values<typeof own>;

const WHERE = "super-resolve";
/** Grey levels of the sigma picture for each level of luma: white is a sigma of 32 levels or more. */
const SIGMA_LEVELS = 8;

/** `bayescnn super-resolve IN OUT.png --model RUN`. */
export function superResolveCommand(root: Command): void {
  shared(
    root
      .command("super-resolve")
      .description("make a picture 2, 3 or 4 times larger, and say how sure each pixel is")
      .argument("<in>", "picture: png, jpg, webp, tiff, gif or avif", path)
      .argument(
        "<out.png>",
        "picture to write, of the same kind: grey or colour, 8 or 16 bits, with or without alpha",
        path,
      ),
    own,
    {
      out: "also write the JSON lines to this file",
      seed: "seed of the samples (default: 1)",
      example: "bayescnn super-resolve small.png large.png --model runs/x3 --sigma sigma.png",
    },
  ).action((from: string, to: string, options: SuperResolveOptions) =>
    inContext(options, (context) => superResolve(from, to, options, context), {
      linesTo: options.out,
      product: false,
      signals: "save",
    }),
  );
}

async function superResolve(
  from: string,
  to: string,
  { model: place, sigma, scale: expected, samples, seed = 1 }: SuperResolveOptions,
  { out, signal, progress: drawn, until }: Context,
): Promise<void> {
  checkFiles({ in: from, out: to, model: place, ...(sigma === undefined ? {} : { "--sigma": sigma }) });
  using model = openAs(WHERE, place, {});
  const scale = scaleOf(WHERE, model);
  if (expected !== undefined && expected !== scale)
    fail(WHERE, `a model for --scale ${expected}`, words(`one that enlarges ${scale} times`), "ERR_BAYES_FILE");
  const picture = await until(readPicture(from));
  const bar = progress(WHERE, picture.height * picture.width, { unit: "pixels", silent: !drawn });
  try {
    const moments = await written(picture, model, scale, { to, sigma, samples, seed, signal }, (done) =>
      bar.update(Math.round(done * picture.height * picture.width)),
    );
    const size = `${picture.width * scale}x${picture.height * scale}`;
    bar.stop();
    out.event("done", { out: to, width: picture.width * scale, height: picture.height * scale, scale, ...moments });
    out.line(`${to}  ${size}, ${scale} times larger`);
    if (moments && sigma !== undefined)
      out.line(
        `${sigma}  sigma ${fixed(moments.sigma, 2)} of 255 levels (root mean square), ${percent(moments.epistemic / moments.sigma ** 2)} of its square epistemic`,
      );
  } finally {
    bar.stop();
  }
}

/** Everything that can be known before the work. */
function checkFiles(files: { readonly in: string; readonly out: string; readonly [role: string]: string }): void {
  const targets = Object.entries(files).filter(([role]) => role === "out" || role === "--sigma");
  for (const [role, file] of targets) {
    if (!/\.png$/i.test(file))
      throw new UsageError(`[${WHERE}] expected ${role} as a name that ends in .png, received ${file}`);
    checkTarget(file);
    for (const [other, beside] of Object.entries(files)) {
      const [a, b] = [statOf(file), statOf(beside)];
      const same = file === beside || (a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev);
      if (other !== role && same)
        throw new BayesError(
          `[${WHERE}] expected ${role} to be another file than ${other}, received ${file} for both`,
          {
            code: "ERR_BAYES_FILE",
          },
        );
    }
  }
}

/** Writes the picture, and sigma where that is asked for: both, or neither. @returns means over all pixels */
async function written(
  picture: Pixels,
  model: Model,
  scale: number,
  asked: { to: string; sigma?: string; samples: number; seed: number; signal: AbortSignal },
  onDone: (share: number) => void,
): Promise<{ sigma: number; epistemic: number; aleatoric: number } | undefined> {
  const { values, channels } = picture;
  const [height, width] = [picture.height * scale, picture.width * scale];
  const files: PngFile[] = [];
  const open = (path: string, channels: number, depth: 8 | 16): PngFile => {
    const file = new PngFile(path, height, width, channels, depth);
    files.push(file);
    return file;
  };
  try {
    const file = open(asked.to, channels, values instanceof Uint16Array ? 16 : 8);
    const map = asked.sigma === undefined ? undefined : open(asked.sigma, 1, 8);
    let [epistemic, aleatoric] = [0, 0];
    const rows = superResolveRows(model, picture, {
      samples: map ? asked.samples : 0,
      seed: asked.seed,
      signal: asked.signal,
      onProgress: (done, total) => onDone(done / total),
    });
    for await (const strip of rows) {
      await file.add(strip.values);
      if (!map || !strip.epistemic || !strip.aleatoric) continue;
      const levels = new Uint8Array(strip.epistemic.length);
      for (let i = 0; i < levels.length; i++) {
        const [e, a] = [strip.epistemic[i], strip.aleatoric[i]];
        epistemic += e / (height * width);
        aleatoric += a / (height * width);
        levels[i] = Math.min(255, Math.round(SIGMA_LEVELS * Math.sqrt(e + a)));
      }
      await map.add(levels);
    }
    for (const one of files) await one.finish();
    return map && { sigma: Math.sqrt(epistemic + aleatoric), epistemic, aleatoric };
  } finally {
    for (const one of files) one.discard();
  }
}
