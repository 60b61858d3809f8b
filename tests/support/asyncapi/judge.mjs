// Prints what the reference parser has against an AsyncAPI file: errors and warnings. Its hints, e.g. of newer versions, pass.
import { readFileSync } from "node:fs";
import asyncapi from "@asyncapi/parser";

const { document, diagnostics } = await new asyncapi.Parser().parse(readFileSync(process.argv[2], "utf8"));
const faults = diagnostics.filter((one) => one.severity < 2);
for (const one of faults) console.log(one.code, one.path.join("."), one.message);
console.log(document === undefined ? "not read" : "read");
process.exit(document === undefined || faults.length ? 1 : 0);
