// bayescnn/report: one page about a model, and what it is made of.
export type {
  Appraisal,
  Axis,
  Block,
  Calibration,
  Color,
  Column,
  Gallery,
  Histogram,
  Mark,
  Matrix,
  Note,
  Panel,
  Plot,
  Reliability,
  ReportContext,
  Reporter,
  Section,
  Series,
  Shot,
  ShownThreshold,
  Split,
  Table,
  Tile,
} from "../likelihoods/shared/blocks.ts";
export type { Quality } from "../likelihoods/shared/likelihood.ts";
export type { PruningRow } from "../prune/pruneExperiment.ts";
export type {
  ComparisonRow,
  HistoryPoint,
  ReportData,
  ReportImages,
  ReportOod,
  ReportSetup,
  ReportTest,
} from "./data.ts";
export { buildReport } from "./html.ts";
export { type ReportSummary, reportJson } from "./summary.ts";
export type { OodFigures } from "./tables.ts";
export type { Verdict } from "./verdict.ts";
