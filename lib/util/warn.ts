import { visible } from "./text.ts";

/** A sentence for whoever runs the process, where nobody else listens. */
export const warn = (sentence: string): void => process.emitWarning(visible(sentence), "BayesWarning");
