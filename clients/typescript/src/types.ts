// Names for the shapes of the OpenAPI file, taken from its paths.

import type { paths } from "./schema.js";

type JsonOf<T> = T extends { content: { "application/json": infer B } } ? B : never;
type Answer<O, S extends number> = O extends { responses: infer R } ? (S extends keyof R ? JsonOf<R[S]> : never) : never;
type Asked<O> = O extends { requestBody?: infer B } ? JsonOf<NonNullable<B>> : never;

type InCollection = "/v1/collections/{collection}";

export type Collection = Answer<paths[InCollection]["get"], 200>;
export type Settings = Collection["settings"];
export type CollectionChanges = Asked<paths[InCollection]["patch"]>;
export type NewCollection = Asked<paths["/v1/collections"]["post"]>;
export type DocumentInput = Asked<paths[`${InCollection}/documents/{document_id}`]["put"]>;
export type Receipt = Answer<paths[`${InCollection}/documents/{document_id}`]["put"], 200>;
export type DocumentView = Answer<paths[`${InCollection}/documents/{document_id}`]["get"], 200>;
export type DocumentSummary = Answer<paths[`${InCollection}/documents`]["get"], 200>["documents"][number];
export type DeleteRequest = Asked<paths[`${InCollection}/documents/delete`]["post"]>;
export type DeleteReport = Answer<paths[`${InCollection}/documents/delete`]["post"], 200>;
export type ContextRequest = Asked<paths[`${InCollection}/context`]["post"]>;
export type ContextResponse = Answer<paths[`${InCollection}/context`]["post"], 200>;
export type Passage = ContextResponse["passages"][number];
export type SearchRequest = Asked<paths[`${InCollection}/search`]["post"]>;
export type SearchResponse = Answer<paths[`${InCollection}/search`]["post"], 200>;
export type SearchHit = SearchResponse["results"][number];

/** A document of `putMany`. */
export type NewDocument = DocumentInput & { id: string };

/** The result of one document of `putMany`, at its place in the input, from 0: a receipt or an error. */
export interface PutResult {
  index: number;
  documentId: string | undefined;
  receipt?: Receipt;
  error?: import("./errors.js").ContextureError;
}

/** What became of a document. `cursor` is where to go on. */
export interface DocumentEvent {
  kind: "visible" | "deleted" | "dead";
  cursor: string;
  document_id: string;
  version: number;
  reason?: { code: string; detail: string } | null;
  at_ms: number;
}

/** One collection, several, or several with a weight each. */
export type Collections = string | readonly string[] | Readonly<Record<string, number>>;
