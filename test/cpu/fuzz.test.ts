import { fuzz } from "../fuzz/suite.ts";

fuzz({ programs: 60, files: 12, options: 12 });
