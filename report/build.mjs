// report/src -> lib/report/page.html: one page with its style and script inside, and a policy that
// lets nothing else run. The same sources give the same bytes: `node build.mjs [FILE]`.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

async function bundle(entry) {
  const { outputFiles, metafile } = await esbuild.build({
    entryPoints: [here(entry)],
    absWorkingDir: here("."),
    bundle: true,
    write: false,
    minify: true,
    format: "iife",
    target: ["es2022", "chrome123", "firefox120", "safari17.5"],
    charset: "ascii",
    legalComments: "none", // all of them are in the page's last comment
    metafile: true,
    outfile: "out" + entry.slice(entry.lastIndexOf(".")),
  });
  return { text: outputFiles[0].text.trim(), inputs: Object.keys(metafile.inputs) };
}

/** The licences of the packages whose code is in the page. */
function licenses(inputs) {
  const names = new Set();
  for (const input of inputs) {
    const found = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (found) names.add(found[1]);
  }
  const byText = new Map();
  for (const name of [...names].sort()) {
    const { version } = JSON.parse(readFileSync(here(`node_modules/${name}/package.json`), "utf8"));
    const text = readFileSync(here(`node_modules/${name}/LICENSE`), "utf8").trim();
    byText.set(text, [...(byText.get(text) || []), `${name} ${version}`]);
  }
  return [...byText].map(([text, who]) => `${who.join(", ")}\n\n${text}`).join("\n\n").replace(/--/g, "- -");
}

const script = await bundle("src/main.js");
const style = await bundle("src/style.css");
if (/<\/script|<!--/i.test(script.text) || /<\/style/i.test(style.text)) {
  throw new Error("the bundle holds what would end its element");
}
const policy = [
  "default-src 'none'",
  `script-src ${hash(script.text)}`,
  `style-src ${hash(style.text)}`,
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");
const parts = {
  CSP: policy,
  STYLE: style.text,
  SCRIPT: script.text,
  LICENSES: licenses(script.inputs),
};
const page = readFileSync(here("src/page.html"), "utf8")
  .replace(/@([A-Z]+)@/g, (_, name) => parts[name]);
const odd = page.match(/.{0,20}[^\n\x20-\x7e].{0,20}/);
if (odd) throw new Error(`the page is not printable ASCII: ${JSON.stringify(odd[0])}`);
const out = process.argv[2] || here("../lib/report/page.html");
writeFileSync(out, page);
console.log(`${out}: ${page.length} bytes`);
