/** Client of Contexture: documents in, context within a budget of tokens out. */
export { Contexture, type ContextureOptions, type Fence } from "./client.js";
export { ContextureError, type Problem } from "./errors.js";
export type { Fetch, RetryPolicy } from "./retry.js";
export type { components, operations, paths } from "./schema.js";
export type * from "./types.js";
