import { fuzz } from "../fuzz/suite.ts";
import { tries } from "../tries.ts";

fuzz({ programs: 2000, files: 300, options: 60 }, (what, n) => {
  if (what === "programs") tries("random programs, each run five ways", n);
  if (what === "files") tries("damaged files", n);
  if (what === "options") tries("sets of options", n);
});
