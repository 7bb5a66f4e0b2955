// Cuts GitHub's published description down to the given paths and everything they refer to, so that a mock starts in a second.
// Usage: node trim.mjs OUTPUT PATH...
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [output, ...paths] = process.argv.slice(2);
const source = createRequire(import.meta.url).resolve("@octokit/openapi/generated/api.github.com.json");
const full = JSON.parse(readFileSync(source, "utf8"));

const kept = { openapi: full.openapi, info: full.info, servers: full.servers, paths: {}, components: {} };
const queue = [];

function follow(node) {
  if (node === null || typeof node !== "object") return;
  if (typeof node.$ref === "string") queue.push(node.$ref);
  Object.values(node).forEach(follow);
}

for (const path of paths) {
  if (!(path in full.paths)) throw new Error(`the description has no path ${path}`);
  kept.paths[path] = full.paths[path];
  follow(kept.paths[path]);
}
while (queue.length > 0) {
  const [, , kind, name] = queue.pop().split("/");
  kept.components[kind] ??= {};
  if (name in kept.components[kind]) continue;
  kept.components[kind][name] = full.components[kind][name];
  follow(kept.components[kind][name]);
}
writeFileSync(output, JSON.stringify(kept));
