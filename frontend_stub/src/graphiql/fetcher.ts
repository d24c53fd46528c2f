/** How GraphiQL asks the hub: with the token of one party of the demo session, always a fresh one. */

import { createGraphiQLFetcher, type Fetcher } from "@graphiql/toolkit";
import { createClient } from "graphql-ws";

import type { TokenSource } from "../session.ts";

const RETRIES = 30;
const UNAUTHORIZED = [4401, 4403];

/** Queries and mutations by POST; subscriptions by a websocket that comes back by itself. */
export function fetcherOf(tokens: TokenSource): Fetcher {
  return createGraphiQLFetcher({
    url: "/graphql",
    fetch: (input, init) => fetchWithToken(tokens, input, init),
    enableIncrementalDelivery: false,
    wsClient: createClient({
      url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/graphql`,
      connectionParams: async () => ({ authorization: `Bearer ${await tokens.current()}` }),
      retryAttempts: RETRIES,
      on: {
        closed: (event) => {
          if (event instanceof CloseEvent && UNAUTHORIZED.includes(event.code)) {
            tokens.discard();
          }
        },
      },
    }),
  });
}

async function fetchWithToken(tokens: TokenSource, input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const ask = async () => {
    const headers = new Headers(init?.headers);
    if (!headers.has("authorization")) {
      headers.set("authorization", `Bearer ${await tokens.current()}`);
    }
    return fetch(input, { ...init, headers, cache: "no-store" });
  };
  const answer = await ask();
  if (answer.status !== 401) {
    return answer;
  }
  tokens.discard(); // a hub that began anew knows none of the old tokens
  return ask();
}
