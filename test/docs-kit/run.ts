// Checks and runs the programs of the documents as a user would have them: types against the library's, then node.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { type Block, root } from "./blocks.ts";
import { entries } from "./entries.ts";

const isJs = (block: Block) => /^m?js|^javascript/.test(block.language);
const whole = (block: Block) => `${block.setup}\n${block.code}\n`;

/** Whether a program is JavaScript that the oldest Node.js we support can read: no types, no `using`. */
export function isPlain(code: string): boolean {
  const visit = (node: ts.Node): boolean => {
    const typed =
      ts.isTypeNode(node) ||
      ts.isInterfaceDeclaration(node) ||
      ts.isTypeAliasDeclaration(node) ||
      ts.isEnumDeclaration(node);
    const marked = ts.isNonNullExpression(node) || ts.isSatisfiesExpression(node) || ts.isModuleDeclaration(node);
    const using = ts.isVariableDeclarationList(node) && (node.flags & ts.NodeFlags.Using) === ts.NodeFlags.Using;
    const erased = (ts.isImportClause(node) || ts.isImportSpecifier(node)) && node.isTypeOnly;
    return typed || marked || using || erased || (ts.forEachChild(node, (child) => visit(child) || undefined) ?? false);
  };
  return !visit(ts.createSourceFile("program.ts", code, ts.ScriptTarget.Latest, false));
}

/** What the compiler has to say to each program, "docs/guide.md:14: …". One program of the compiler for all of them. */
export function typeErrors(blocks: readonly Block[]): string[][] {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config,
    ts.sys,
    root,
  );
  const names = blocks.map((block, i) => join(root, `test/docs-kit/block-${i}.${isJs(block) ? "mjs" : "mts"}`));
  const text = new Map(blocks.map((block, i) => [names[i], whole(block)]));
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (name) => text.has(name) || fileExists(name);
  host.readFile = (name) => text.get(name) ?? readFile(name);
  host.getSourceFile = (name, version, ...rest) =>
    text.has(name)
      ? ts.createSourceFile(name, text.get(name)!, version)
      : getSourceFile.call(host, name, version, ...rest);
  const program = ts.createProgram({
    rootNames: names,
    options: {
      ...options,
      ...{ allowJs: true, checkJs: true, noUnusedLocals: false },
      paths: Object.fromEntries(Object.entries(entries).map(([name, file]) => [name, [file]])),
    },
    host,
  });
  return blocks.map((block, i) => {
    const source = program.getSourceFile(names[i])!;
    const [file, line] = block.place.split(":");
    const start = Number(line) - whole({ ...block, code: "" }).split("\n").length + 2; // of the setup's first line
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      .filter((d) => !(isJs(block) && d.code >= 7000 && d.code < 8000)) // JavaScript has no types to give
      .map((d) => {
        const at = start + source.getLineAndCharacterOfPosition(d.start ?? 0).line;
        return `${file}:${at}: ${ts.flattenDiagnosticMessageText(d.messageText, "\n")}`;
      });
  });
}

/** The program as node gets it: TypeScript without its types, and one epoch where there are more. */
export function runnable(block: Block): string {
  const code = whole(block).replace(/\bepochs: *\d+/g, "epochs: 1");
  if (isPlain(code)) return code;
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true };
  return ts.transpileModule(code, { compilerOptions }).outputText;
}

/** Runs a program in a folder of its own that has the library installed. Returns undefined, or what it died of. */
export async function run(block: Block): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "bayescnn-docs-"));
  try {
    const file = join(folder, "program.mjs");
    writeFileSync(file, runnable(block));
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/bayescnn"));
    for (const optional of ["onnxruntime-node", "sharp"])
      symlinkSync(join(root, "node_modules", optional), join(folder, "node_modules", optional));
    const { BAYESCNN_DATA: _, ...env } = process.env; // the embedded digits
    return await new Promise((done) =>
      execFile(process.execPath, [file], { cwd: folder, env, timeout: 55_000 }, (error, out, err) =>
        done(error ? `${block.place}: ${error.signal ?? `exit code ${error.code}`}\n${out}\n${err}` : undefined),
      ),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
