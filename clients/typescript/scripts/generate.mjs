// Writes src/schema.ts from the OpenAPI file: schemas/openapi.json, or that of CONTEXTURE_OPENAPI.
// With --check it writes nothing, and fails if src/schema.ts is not what it would write.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const target = fileURLToPath(new URL("../src/schema.ts", import.meta.url));
const source = process.env.CONTEXTURE_OPENAPI
  ? pathToFileURL(process.env.CONTEXTURE_OPENAPI)
  : new URL("../../../schemas/openapi.json", import.meta.url);

const head = "// Generated from schemas/openapi.json by `npm run generate`. Do not edit.\n\n";
// An object without described members, such as metadata, may have any.
const text = head + astToString(await openapiTS(source, { emptyObjectsUnknown: true }));
if (process.argv.includes("--check")) {
  const found = await readFile(target, "utf8").catch(() => "");
  if (found !== text) {
    console.error("src/schema.ts is not what schemas/openapi.json says; run `npm run generate`");
    process.exit(1);
  }
} else {
  await writeFile(target, text);
}
