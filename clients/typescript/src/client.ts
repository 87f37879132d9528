import createClient, { type Client } from "openapi-fetch";

import { errorFromBody } from "./errors.js";
import { followEvents } from "./events.js";
import { putMany } from "./put_many.js";
import { type Fetch, RETRY_DEFAULT, type RetryPolicy, retryingFetch, serverMs, streamingFetch } from "./retry.js";
import type { paths } from "./schema.js";
import type {
  Collection,
  Collections,
  CollectionChanges,
  ContextRequest,
  ContextResponse,
  DeleteReport,
  DeleteRequest,
  DocumentEvent,
  DocumentInput,
  DocumentSummary,
  DocumentView,
  NewCollection,
  NewDocument,
  PutResult,
  Receipt,
  SearchRequest,
  SearchResponse,
} from "./types.js";

export interface ContextureOptions {
  /** Default: `http://127.0.0.1:7070`. */
  url?: string;
  apiKey?: string;
  /** Milliseconds of one call, all its tries together. Default: 30,000. */
  timeoutMs?: number;
  retry?: Partial<RetryPolicy>;
  headers?: Record<string, string>;
  /** Stands in for the global `fetch`. */
  fetch?: Fetch;
}

/** A fence of a put or a delete: the newest version must be this one, or there must be none. */
export interface Fence {
  ifMatch?: number;
  createOnly?: boolean;
}

const COLLECTION = "/v1/collections/{collection}" as const;
const DOCUMENTS = `${COLLECTION}/documents` as const;
const DOCUMENT = `${COLLECTION}/documents/{document_id}` as const;

/**
 * A client of one server. Failures are thrown as `ContextureError`. The methods cover everyday work;
 * `api` has every operation of the OpenAPI file, typed, with the same retries.
 */
export class Contexture {
  readonly api: Client<paths>;
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #fetch: Fetch;
  readonly #policy: RetryPolicy;
  readonly #timeoutMs: number;

  constructor(options: ContextureOptions = {}) {
    this.#url = (options.url ?? "http://127.0.0.1:7070").replace(/\/+$/, "");
    this.#headers = { ...options.headers };
    if (options.apiKey !== undefined) this.#headers["authorization"] = `Bearer ${options.apiKey}`;
    this.#fetch = options.fetch ?? ((request) => fetch(request));
    this.#policy = { ...RETRY_DEFAULT, ...options.retry };
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.api = createClient<paths>({
      baseUrl: this.#url,
      headers: this.#headers,
      fetch: retryingFetch(this.#fetch, this.#policy, this.#timeoutMs),
    });
  }

  /** Creates a collection, or returns it if it exists with the same pipeline. */
  async createCollection(name: string, options: Omit<NewCollection, "name"> = {}): Promise<Collection> {
    return data(await this.api.POST("/v1/collections", { body: { ...options, name } }));
  }

  async getCollection(collection: string): Promise<Collection> {
    return data(await this.api.GET(COLLECTION, { params: { path: { collection } } }));
  }

  /** Yields collections, page after page. */
  async *listCollections(query: { prefix?: string; limit?: number } = {}): AsyncGenerator<Collection> {
    let cursor: string | undefined;
    do {
      const more = cursor === undefined ? {} : { cursor };
      const page = data(await this.api.GET("/v1/collections", { params: { query: { ...query, ...more } } }));
      yield* page.collections;
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** Changes settings: null removes a key, absent ones stay. */
  async updateSettings(collection: string, settings: CollectionChanges["settings"]): Promise<Collection> {
    return data(await this.api.PATCH(COLLECTION, { params: { path: { collection } }, body: { settings } }));
  }

  /** Deletes a collection with everything in it. */
  async deleteCollection(collection: string): Promise<void> {
    data(await this.api.DELETE(COLLECTION, { params: { path: { collection } } }));
  }

  /**
   * Puts a document, or its text. With `wait` it returns once queries see it, at most after the client's
   * timeout; the receipt's `state` says how far it is. Without `version` repeating does no harm.
   */
  async put(
    collection: string,
    id: string,
    document: DocumentInput | string,
    options: Fence & { wait?: boolean } = {},
  ): Promise<Receipt> {
    const body = typeof document === "string" ? { text: document } : document;
    const params = { path: { collection, document_id: id }, query: this.#wait(options.wait) };
    return data(await this.api.PUT(DOCUMENT, { params, body, headers: fence(options) })) as Receipt;
  }

  /** Puts any number of documents; yields one result for each, in order, as they are answered. */
  putMany(
    collection: string,
    documents: Iterable<NewDocument> | AsyncIterable<NewDocument>,
  ): AsyncGenerator<PutResult> {
    const headers = new Headers({
      ...this.#headers,
      "content-type": "application/x-ndjson",
      accept: "application/x-ndjson",
    });
    return putMany(
      {
        url: `${this.#url}/v1/collections/${encodeURIComponent(collection)}/documents`,
        headers,
        fetch: streamingFetch(this.#fetch, this.#timeoutMs),
        policy: this.#policy,
        timeoutMs: this.#timeoutMs,
      },
      documents,
    );
  }

  /** A document with its versions; `include` adds chunks, text and groups. */
  async get(
    collection: string,
    id: string,
    include: readonly ("chunks" | "text" | "groups")[] = [],
  ): Promise<DocumentView> {
    const query = include.length === 0 ? {} : { include: include.join(",") };
    return data(await this.api.GET(DOCUMENT, { params: { path: { collection, document_id: id }, query } }));
  }

  /** Yields documents, page after page. */
  async *list(
    collection: string,
    query: { prefix?: string; filter?: string; state?: Receipt["state"]; limit?: number } = {},
  ): AsyncGenerator<DocumentSummary> {
    let cursor: string | undefined;
    do {
      const more = cursor === undefined ? {} : { cursor };
      const params = { path: { collection }, query: { ...query, ...more } };
      const page = data(await this.api.GET(DOCUMENTS, { params }));
      yield* page.documents;
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** Deletes a document, by a version of its own. */
  async delete(
    collection: string,
    id: string,
    options: { ifMatch?: number; version?: number; wait?: boolean } = {},
  ): Promise<Receipt> {
    const version = options.version === undefined ? {} : { version: options.version };
    const params = { path: { collection, document_id: id }, query: { ...version, ...this.#wait(options.wait) } };
    return data(await this.api.DELETE(DOCUMENT, { params, headers: fence(options) })) as Receipt;
  }

  /** Deletes the documents with these ids, this prefix of ids, or this filter on metadata. */
  async deleteByFilter(collection: string, body: DeleteRequest): Promise<DeleteReport> {
    return data(await this.api.POST(`${DOCUMENTS}/delete`, { params: { path: { collection } }, body }));
  }

  /** One block of text for a prompt, of at most `budget` tokens, with the passages that it is made of. */
  async context(
    collections: Collections,
    question: string,
    options: Omit<ContextRequest, "question">,
  ): Promise<ContextResponse> {
    const body = { ...options, question } as ContextRequest;
    if (typeof collections !== "string") {
      return data(await this.api.POST("/v1/context", { body: { ...body, collections: named(collections) } }));
    }
    const params = { path: { collection: collections } };
    return data(await this.api.POST(`${COLLECTION}/context`, { params, body }));
  }

  /** Ranked chunks, best first. */
  async search(
    collections: Collections,
    question: string,
    options: Omit<SearchRequest, "question"> = {},
  ): Promise<SearchResponse> {
    const body = { ...options, question } as SearchRequest;
    if (typeof collections !== "string") {
      return data(await this.api.POST("/v1/search", { body: { ...body, collections: named(collections) } }));
    }
    const params = { path: { collection: collections } };
    return data(await this.api.POST(`${COLLECTION}/search`, { params, body }));
  }

  /**
   * Yields what becomes of documents, for ever; a broken connection is taken up again. `after` is the
   * `cursor` of the last event that was seen; without it, it begins when the stream is open: then `onOpen` is
   * called. A `signal` ends it, and so does leaving the loop.
   */
  events(
    collection: string,
    options: { after?: string; signal?: AbortSignal; onOpen?: () => void } = {},
  ): AsyncGenerator<DocumentEvent> {
    return followEvents({
      url: `${this.#url}/v1/collections/${encodeURIComponent(collection)}/events`,
      headers: new Headers({ ...this.#headers, accept: "text/event-stream" }),
      fetch: streamingFetch(this.#fetch, this.#timeoutMs),
      policy: this.#policy,
      after: options.after,
      signal: options.signal,
      onOpen: options.onOpen,
    });
  }

  #wait(wait: boolean | undefined): { wait?: "visible"; timeout_ms?: number } {
    return wait ? { wait: "visible", timeout_ms: serverMs(this.#timeoutMs) } : {};
  }
}

function data<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (!answer.response.ok) throw errorFromBody(answer.response.status, answer.response.headers, answer.error);
  return answer.data as T;
}

function fence(options: Fence): Record<string, string> {
  return {
    ...(options.ifMatch === undefined ? {} : { "if-match": `"${options.ifMatch}"` }),
    ...(options.createOnly ? { "if-none-match": "*" } : {}),
  };
}

function named(collections: readonly string[] | Readonly<Record<string, number>>): { name: string; weight?: number }[] {
  if (Array.isArray(collections)) return collections.map((name: string) => ({ name }));
  return Object.entries(collections).map(([name, weight]) => ({ name, weight: weight as number }));
}
