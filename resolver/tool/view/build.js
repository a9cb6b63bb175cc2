// Builds the page into dist/: index.html, app.js, app.css, and the notices of the packages that are in it.
//
// `npm run page` installs what package-lock.json names, checks the types, and runs this. What is built is not kept in the
// source: `cargo build` puts it into the command if it is there.

import { build } from "esbuild";
import { copyFile, readFile, readdir, writeFile } from "node:fs/promises";

const here = new URL(".", import.meta.url).pathname;
process.chdir(here);

await build({
  entryPoints: { app: "src/app.tsx" },
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
});
await copyFile("src/app.css", "dist/app.css");
await copyFile("src/index.html", "dist/index.html");

/** The packages that the page is made of: dagre brings graphlib within its own file, so that esbuild does not see it. */
const { packages } = JSON.parse(await readFile("package-lock.json", "utf8"));
const folders = Object.keys(packages).filter((folder) => folder && !packages[folder].dev);
const notices = [];
for (const folder of folders.sort()) {
  const { name, version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
  const files = (await readdir(folder)).filter((file) => /^(licen[sc]e|copying|notice)/i.test(file)).sort();
  if (files.length === 0) throw new Error(`${name} brings no text of its licence`);
  const texts = await Promise.all(files.map((file) => readFile(`${folder}/${file}`, "utf8")));
  notices.push(`${name} ${version}: ${license}\n\n${texts.join("\n")}`);
}
await writeFile("dist/THIRD-PARTY.txt", notices.join(`\n${"-".repeat(72)}\n`));

for (const file of ["index.html", "app.js", "app.css"]) {
  console.log(`dist/${file}: ${(await readFile(`dist/${file}`)).length} bytes`);
}
