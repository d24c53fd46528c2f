/**
 * A complete small transfer system: follows students, hears every change once, survives whatever happens.
 *
 *   npm install graphql-ws graphql undici
 *   HUB_URL=https://hub.example CLIENT_ID=hub-… KEY_FILE=private-key.json \
 *     node transfer-system.ts students.json state.json            (Node 24 or newer; nothing to compile)
 *
 * CERTIFICATE_FILE and CERTIFICATE_KEY_FILE (PEM) are your client certificate, CA_FILE the authorities that you trust,
 * if not the usual ones.
 *
 * `students.json` is a list of {"personalNumber": …, "reference": …}; `state.json` is where the last number is kept.
 * Each change is printed as a line of JSON: put your own handling there.
 */
import { webcrypto } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

import { createClient } from "graphql-ws";
import { Agent, setGlobalDispatcher } from "undici";

const hub = required("HUB_URL").replace(/\/$/, "");
const clientId = required("CLIENT_ID");
const jwk = JSON.parse(readFileSync(required("KEY_FILE"), "utf8")) as webcrypto.JsonWebKey & { kid: string };
const [studentsFile, stateFile] = process.argv.slice(2) as [string, string];

const pem = (name: string) => (process.env[name] === undefined ? undefined : readFileSync(required(name)));
// Of all connections, for tokens, requests and websockets: fetch and WebSocket of Node go by it.
setGlobalDispatcher(
  new Agent({ connect: { ca: pem("CA_FILE"), cert: pem("CERTIFICATE_FILE"), key: pem("CERTIFICATE_KEY_FILE") } }),
);

const STUDENTS_AT_ONCE = 500;
const ACKNOWLEDGE_MS = 1000 * Number(process.env["ACKNOWLEDGE_SECONDS"] ?? "5");
const SILENCE_MS = 45_000; // the hub pings every 15 s: three missed pings are a dead connection
const LONGEST_WAIT_MS = 1000 * Number(process.env["LONGEST_WAIT_SECONDS"] ?? "30");

interface Change {
  readonly number: number;
  readonly [name: string]: unknown;
}
interface GraphQLErrorShape {
  readonly message: string;
  readonly extensions?: { readonly code?: string };
}

class Refusal extends Error {
  readonly code: string;
  constructor(errors: readonly GraphQLErrorShape[]) {
    super(errors[0]?.message ?? "refused");
    this.code = errors[0]?.extensions?.code ?? "INTERNAL";
  }
}

const REGISTRATION = `
  applicationId reference status statusSince schoolYear
  institution { brin name } programme { code name level }`;
const FOLLOW = `
mutation Follow($input: FollowStudentsInput!) {
  followStudents(input: $input) {
    results { reference outcome code registrations { ${REGISTRATION} } }
    feed { lastNumber }
  }
}`;
const POSITION = "query Position { feed { lastNumber } }";
const FOLLOWED = `
query Followed($after: String) {
  followedStudents(first: 200, after: $after) {
    nodes { reference registrations { ${REGISTRATION} } }
    pageInfo { hasNextPage endCursor }
  }
}`;
const LISTEN = `
subscription Listen($after: Int!) {
  statusChanged(after: $after) {
    number kind reference applicationId status previousStatus occurredAt registration { ${REGISTRATION} }
  }
}`;
const ACKNOWLEDGE = `
mutation Acknowledge($number: Int!) {
  acknowledgeStatusChanges(input: { number: $number }) { acknowledged }
}`;

// --- what is kept -----------------------------------------------------------------------------------------------

let last: number | null = existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, "utf8")).last : null;

/** On disk before the next change is taken; a crash leaves the old file or the new one. */
function save(number: number): void {
  last = number;
  writeFileSync(`${stateFile}.new`, JSON.stringify({ last: number }));
  renameSync(`${stateFile}.new`, stateFile);
}

/** Tells what happened. Here your own system takes over. */
function show(event: string, what: object = {}): void {
  console.log(JSON.stringify({ event, ...what }));
}

// --- access tokens by private_key_jwt ---------------------------------------------------------------------------

let token = "";
let renewAt = 0;

async function currentToken(): Promise<string> {
  if (Date.now() >= renewAt) {
    const now = Math.floor(Date.now() / 1000);
    const assertion = await sign({
      iss: clientId,
      sub: clientId,
      aud: `${hub}/oauth/token`,
      iat: now,
      exp: now + 60,
      jti: crypto.randomUUID(), // each assertion is good once
    });
    const answer = await fetch(`${hub}/oauth/token`, {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "client_credentials",
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: assertion,
      }),
      signal: AbortSignal.timeout(20_000),
    });
    if (!answer.ok) {
      throw new Error(`no token: HTTP ${answer.status}`);
    }
    const body = (await answer.json()) as { access_token: string; expires_in: number };
    token = body.access_token;
    renewAt = Date.now() + 800 * body.expires_in;
  }
  return token;
}

async function sign(claims: object): Promise<string> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
  const part = (content: object) => Buffer.from(JSON.stringify(content)).toString("base64url");
  const unsigned = `${part({ alg: "ES256", kid: jwk.kid })}.${part(claims)}`;
  const signature = await crypto.subtle.sign(algorithm, key, Buffer.from(unsigned));
  return `${unsigned}.${Buffer.from(signature).toString("base64url")}`;
}

// --- queries and mutations --------------------------------------------------------------------------------------

async function ask<Data>(query: string, variables: object = {}): Promise<Data> {
  const answer = await fetch(`${hub}/graphql`, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json",
      Authorization: `Bearer ${await currentToken()}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(30_000),
  });
  const body = (await answer.json()) as { data?: Data; errors?: GraphQLErrorShape[] };
  if (body.errors !== undefined || body.data === undefined) {
    throw new Refusal(body.errors ?? []);
  }
  return body.data;
}

/** Follows all students; the answer is the number from which on to listen. */
async function follow(): Promise<number> {
  interface Payload {
    followStudents: { results: object[]; feed: { lastNumber: number } };
  }
  const students = JSON.parse(readFileSync(studentsFile, "utf8")) as object[];
  let start: number | null = null;
  for (let first = 0; first < students.length; first += STUDENTS_AT_ONCE) {
    const some = students.slice(first, first + STUDENTS_AT_ONCE);
    const { followStudents } = await ask<Payload>(FOLLOW, { input: { students: some } });
    // What these registrations do not show has a number above this position; so the first one counts.
    start ??= followStudents.feed.lastNumber;
    for (const result of followStudents.results) {
      show("followed", result);
    }
  }
  return start ?? 0;
}

/** Takes the present state of everybody; the answer is the number from which on to listen. */
async function snapshot(): Promise<number> {
  interface Page {
    followedStudents: { nodes: object[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };
  }
  const { feed } = await ask<{ feed: { lastNumber: number } }>(POSITION); // before the registrations, not after
  let after: string | null = null;
  for (;;) {
    const page: Page = await ask<Page>(FOLLOWED, { after });
    for (const student of page.followedStudents.nodes) {
      show("snapshot", student);
    }
    if (!page.followedStudents.pageInfo.hasNextPage) {
      return feed.lastNumber;
    }
    after = page.followedStudents.pageInfo.endCursor;
  }
}

// --- the feed ---------------------------------------------------------------------------------------------------

/** One connection, from its opening to its end, which is always thrown. */
async function listen(): Promise<never> {
  let silence: NodeJS.Timeout | undefined;
  const client = createClient({
    url: `${hub.replace("http", "ws")}/graphql`,
    connectionParams: { authorization: `Bearer ${await currentToken()}` },
    connectionAckWaitTimeout: 10_000,
    lazy: true,
    retryAttempts: 0, // a retry of the client's own would ask from the same old number again
    on: {
      message: () => {
        clearTimeout(silence);
        silence = setTimeout(() => client.terminate(), SILENCE_MS);
      },
    },
  });
  let acknowledged = 0;
  const acknowledging = setInterval(() => {
    const number = last ?? 0;
    if (number > acknowledged) {
      acknowledged = number;
      ask(ACKNOWLEDGE, { number }).catch(() => (acknowledged = 0));
    }
  }, ACKNOWLEDGE_MS);
  try {
    show("listening", { after: last });
    const changes = client.iterate<{ statusChanged: Change }>({ query: LISTEN, variables: { after: last } });
    for await (const { data, errors } of changes) {
      if (errors !== undefined || !data) {
        throw new Refusal((errors ?? []) as readonly GraphQLErrorShape[]);
      }
      take(data.statusChanged);
    }
  } finally {
    clearInterval(acknowledging);
    clearTimeout(silence);
    await client.dispose();
  }
  throw new Error("the hub ended the subscription");
}

function take(change: Change): void {
  if (change.number <= (last ?? 0)) {
    return; // once more, after a reconnect: it is the same change
  }
  if (change.number !== (last ?? 0) + 1) {
    throw new Error("gap"); // ask again from the last number that was seen
  }
  show("change", change);
  save(change.number);
}

/** Does what the code of a refusal asks for; anything else is a lost connection. */
async function recover(reason: unknown): Promise<void> {
  const code = reason instanceof Refusal ? reason.code : Array.isArray(reason) ? new Refusal(reason).code : null;
  if (code === null) {
    const closed = reason as { code?: number };
    if (closed.code === 4403) {
      renewAt = 0; // the token's life is over
    }
    show("disconnected", { why: closed.code ?? (reason as Error).name });
    return;
  }
  show("refused", { code });
  if (code === "CURSOR_EXPIRED" || code === "CURSOR_AHEAD") {
    save(await snapshot());
  } else if (code === "UNAUTHENTICATED") {
    renewAt = 0;
  } else if (code === "FORBIDDEN" || code === "BAD_USER_INPUT") {
    throw reason;
  }
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) {
    throw new Error(`set ${name}`);
  }
  return value;
}

let attempt = 0;
for (;;) {
  const heard = last;
  try {
    if (last === null) {
      save(await follow());
    }
    await listen();
  } catch (reason) {
    await recover(reason).catch((again: unknown) => {
      if (again === reason) {
        throw again;
      }
    });
  }
  attempt = last === heard ? attempt + 1 : 0;
  // With chance, so that all clients do not come back at once after a restart of the hub.
  const wait = Math.min(LONGEST_WAIT_MS, 200 * 2 ** attempt) * (0.5 + Math.random() / 2);
  await new Promise((resolve) => setTimeout(resolve, wait));
}
