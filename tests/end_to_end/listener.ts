/**
 * Listens with the npm client graphql-ws, told by lines of JSON on standard input:
 * {"listen": after, "retries": n}, {"stop": true}, {"token": "…"} in answer to a line {"need": "token"}.
 * Every change, and how the subscription ended, is a line of JSON on standard output.
 */
import { createInterface } from "node:readline";

import { createClient } from "graphql-ws";

const [url, query] = process.argv.slice(2) as [string, string];
const say = (line: object) => console.log(JSON.stringify(line));
const tokens: ((token: string) => void)[] = [];
let stop = () => {};

function listen(after: number, retries: number): void {
  const client = createClient({
    url,
    retryAttempts: retries,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
    connectionParams: async () => {
      const token = await new Promise<string>((resolve) => {
        tokens.push(resolve);
        say({ need: "token" });
      });
      return { authorization: `Bearer ${token}` };
    },
    on: {
      connected: (_socket, payload) => say({ connected: payload ?? null }),
      closed: (event) => say({ closed: (event as CloseEvent).code, reason: (event as CloseEvent).reason }),
    },
  });
  const changes = client.iterate<{ statusChanged: object }>({ query, variables: { after } });
  stop = () => void changes.return?.();
  (async () => {
    for await (const { data, errors } of changes) {
      say(errors ? { errors } : { change: data?.statusChanged });
    }
    say({ ended: "completed" });
  })().catch((reason: unknown) => {
    say(Array.isArray(reason) ? { ended: "error", errors: reason } : { ended: "closed", code: (reason as CloseEvent).code });
  }).finally(() => client.dispose());
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line) as { listen?: number; retries?: number; stop?: boolean; token?: string };
  if (told.token !== undefined) {
    tokens.shift()?.(told.token);
  } else if (told.stop) {
    stop();
  } else {
    listen(told.listen ?? 0, told.retries ?? 0);
  }
}
