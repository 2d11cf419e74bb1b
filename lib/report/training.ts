/** Training curves as blocks. */
import { thin } from "../likelihoods/report/build.ts";
import type { Axis, Color, Plot, Section, Series } from "../likelihoods/shared/blocks.ts";
import type { Figure } from "../likelihoods/shared/likelihood.ts";
import { capital, figure, percent, whole } from "../util/figures.ts";
import type { HistoryPoint } from "./data.ts";

type Curve = readonly [name: string, color: Color, value: (h: HistoryPoint) => number | undefined];

/**
 * The curves that have a finite value somewhere, over epochs (over steps where an epoch is missing).
 * @param figures of the likelihood; the first one is followed through training
 */
export function trainingSection(history: readonly HistoryPoint[], figures: readonly Figure[]): Section {
  const epochs = history.every((h) => Number.isInteger(h.epoch));
  const along = (h: HistoryPoint) => (epochs ? h.epoch! + 1 : h.step);
  const x: Axis = { title: epochs ? "epoch" : "step", integer: true };
  const plot = (title: string, caption: string, y: Axis, curves: readonly Curve[]): Plot[] => {
    const series = curves.flatMap(([name, color, value]): Series[] => {
      const drawable = history.filter((h) => Number.isFinite(value(h)));
      if (drawable.length === 0) return [];
      const picked = thin(drawable.length, 400).map((i) => drawable[i]);
      return [{ name, color, style: "line", x: picked.map(along), y: picked.map((h) => value(h)!) }];
    });
    return series.length > 0 ? [{ block: "plot", title, caption, x, y, series }] : [];
  };
  const main = mainFigure(history, figures);
  const title = main?.title ?? "";
  return {
    title: "Training",
    blocks: [
      ...plot(
        "Loss",
        "How badly the network explains the targets while it learns; a validation line that turns up means overfitting.",
        { title: "nats per image", log: true },
        [
          ["objective (NLL and weighted KL)", "green", (h) => h.loss],
          ["training NLL", "blue", (h) => h.nll],
          ["validation NLL", "orange", (h) => h.valid?.nll],
        ],
      ),
      ...plot(
        "KL divergence",
        "How far the weights have moved from the prior, in nats: the information they hold about the data.",
        { title: "nats" },
        [["KL", "blue", (h) => h.kl]],
      ),
      ...(main
        ? plot(
            capital(title),
            `${capital(main.hint)}.${bestOf(history, main, along, x.title)}`,
            { title, percent: main.share },
            [
              ["training", "blue", (h) => h.metrics?.[main.name]],
              ["validation", "orange", (h) => h.valid?.[main.name]],
            ],
          )
        : []),
    ],
  };
}

/** The likelihood's most wanted figure that training followed. */
function mainFigure(history: readonly HistoryPoint[], figures: readonly Figure[]): Figure | undefined {
  const names = new Set(history.flatMap((h) => Object.keys({ ...h.metrics, ...h.valid })));
  return figures.find((f) => f.name !== "nll" && names.has(f.name));
}

/** The best validation in words. */
function bestOf(
  history: readonly HistoryPoint[],
  { name, better, share }: Figure,
  along: (h: HistoryPoint) => number,
  unit: string,
): string {
  const known = history.filter((h) => Number.isFinite(h.valid?.[name]));
  if (known.length === 0 || better === undefined) return "";
  const value = (h: HistoryPoint) => h.valid![name];
  const best = known.reduce((a, b) => ((better === "higher" ? value(b) > value(a) : value(b) < value(a)) ? b : a));
  const text = (h: HistoryPoint) => (share ? percent(value(h)) : figure(value(h)));
  return ` Best validation: ${text(best)} at ${unit} ${whole(along(best))}; at the end: ${text(known[known.length - 1])}.`;
}
