/** Asking the hub: GraphQL over HTTP, and its one family of errors. */

interface GraphQLErrorShape {
  readonly message: string;
  readonly extensions?: { readonly code?: string; readonly retryAfter?: number; readonly earliest?: number };
}

/** A refusal by the hub, by its code. */
export class HubError extends Error {
  readonly code: string;
  /** Seconds, with RATE_LIMITED. */
  readonly retryAfter: number | undefined;
  /** The first number that is still kept, with CURSOR_EXPIRED. */
  readonly earliest: number | undefined;

  constructor(error: GraphQLErrorShape | undefined) {
    super(error?.message ?? "The hub gave an answer without a reason.");
    this.code = error?.extensions?.code ?? "INTERNAL";
    this.retryAfter = error?.extensions?.retryAfter;
    this.earliest = error?.extensions?.earliest;
  }
}

/** The data of a query. Throws a HubError for a refusal, a TypeError where the hub cannot be reached. */
export async function ask<Data>(query: string, variables: object, token: string): Promise<Data> {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json",
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({ query, variables }),
    cache: "no-store",
    signal: AbortSignal.timeout(20_000),
  });
  const answer = (await response.json().catch(() => ({}))) as { data?: Data; errors?: GraphQLErrorShape[] };
  if (answer.errors?.length || !answer.data) {
    throw new HubError(answer.errors?.[0] ?? { message: `The hub answered ${response.status}.` });
  }
  return answer.data;
}
