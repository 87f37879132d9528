/** What the server says about a failure (RFC 9457), as far as this client reads it. */
export interface Problem {
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  field?: string | null;
  retry_after_ms?: number | null;
}

/**
 * Any failure of a call. `code` is a stable snake_case name, `field` the path of the offending field,
 * `status` the HTTP status (undefined where no answer came), `retryAfterMs` the wait that the server asked for.
 */
export class ContextureError extends Error {
  override readonly name = "ContextureError";

  constructor(
    readonly detail: string,
    readonly code: string,
    readonly status?: number,
    readonly field?: string,
    readonly retryAfterMs?: number,
    options?: ErrorOptions,
  ) {
    super(`${detail} [${code}${field ? `, field ${field}` : ""}]`, options);
  }
}

/** The error that a problem object describes. */
export function errorFromProblem(
  problem: Problem,
  status: number | undefined = problem.status,
  headers?: Headers,
): ContextureError {
  return new ContextureError(
    problem.detail ?? problem.title ?? `the server answered ${status}`,
    problem.code ?? "unexpected_response",
    status,
    problem.field ?? undefined,
    problem.retry_after_ms ?? retryAfterMs(headers?.get("retry-after")),
  );
}

/** The error of an answer that is no success, whoever wrote it. */
export function errorFromBody(status: number, headers: Headers, body: unknown): ContextureError {
  if (typeof body === "object" && body !== null && !Array.isArray(body)) {
    return errorFromProblem(body as Problem, status, headers);
  }
  // A proxy between client and server answers in its own words.
  const text = typeof body === "string" ? body.slice(0, 200).trim() : "";
  return errorFromProblem({ detail: text ? `HTTP ${status}: ${text}` : `HTTP ${status}` }, status, headers);
}

/** Reads the body of an answer that is no success. */
export async function errorFromResponse(response: Response): Promise<ContextureError> {
  const text = await response.text();
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // It stays text.
  }
  return errorFromBody(response.status, response.headers, body);
}

/** The milliseconds that a `Retry-After` header asks for: seconds, or an HTTP date. */
export function retryAfterMs(value: string | null | undefined, now = Date.now()): number | undefined {
  if (!value) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const when = Date.parse(value);
  return Number.isNaN(when) ? undefined : Math.max(0, when - now);
}
