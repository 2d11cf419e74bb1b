// Property tests try the same cases on every machine; FC_SEED=<number> looks elsewhere.
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 20261124) });
