// node build.mjs [OUT]: makes the component.
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { componentize } from "@bytecodealliance/componentize-js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = process.argv[2] ?? here("quota-longest-wait.wasm");

const { component } = await componentize({
  sourcePath: here("longest-wait.js"),
  witPath: here("../wit/v1"),
  worldName: "quota",
  // Nothing of the world outside: a policy that asks for it is refused.
  disableFeatures: ["stdio", "random", "clocks", "http", "fetch-event"],
});
await writeFile(out, component);
console.log(`${out}: ${component.length} bytes`);
