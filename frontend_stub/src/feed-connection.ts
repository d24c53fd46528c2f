/** Keeps a subscription to the feed going: connects, resumes after the last number, waits, tries again. */

import { createClient } from "graphql-ws";

import { Feed, type FeedPosition, type Gap, lastNumberIn, startingPoint, type StatusChange } from "./feed.ts";
import { ask, HubError } from "./hub.ts";
import feedPosition from "./operations/feed-position.graphql?raw";
import statusChanged from "./operations/status-changed.graphql?raw";
import type { TokenSource } from "./session.ts";

export type ConnectionState = "connecting" | "live" | "reconnecting" | "stopped";

export interface FeedListener {
  /** `reason` tells a person why, where there is something to tell. */
  stateChanged(state: ConnectionState, reason?: string): void;
  /** The feed has new rows, or is another one. `gap`: numbers that were found missing just now. */
  feedChanged(feed: Feed, gap?: Gap | null): void;
  /** Anything at all came from the hub; `lastNumber` if it said how far its feed goes. */
  heard(lastNumber?: number): void;
}

const PING_EVERY_MS = 15_000;
const PONG_WITHIN_MS = 5_000;
const LONGEST_WAIT_MS = 30_000;

export class FeedConnection {
  readonly #tokens: TokenSource;
  readonly #listener: FeedListener;
  /** Where the last number is kept over a reload of the page; null keeps it in memory only. */
  readonly #bookmark: string | null;
  #feed: Feed | null = null;
  #attempt = 0;
  #stopped = false;
  #hangUp: (() => void) | null = null;

  constructor(tokens: TokenSource, bookmark: string | null, listener: FeedListener) {
    this.#tokens = tokens;
    this.#bookmark = bookmark;
    this.#listener = listener;
  }

  /** Runs until `stop` is called or the hub refuses a token that cannot be replaced. */
  async run(): Promise<void> {
    this.#listener.stateChanged("connecting");
    while (!this.#stopped) {
      let wait = 0;
      try {
        const token = await this.#tokens.current();
        this.#feed ??= await this.#open(token);
        await this.#listen(token, this.#feed);
      } catch (reason) {
        wait = this.#judge(reason);
      }
      if (!this.#stopped) {
        this.#attempt += 1;
        await pause(Math.max(wait, backoff(this.#attempt)));
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#hangUp?.();
  }

  async #open(token: string): Promise<Feed> {
    const { feed: position } = await ask<{ feed: FeedPosition }>(feedPosition, {}, token);
    const remembered = this.#bookmark === null ? null : Number(sessionStorage.getItem(this.#bookmark) ?? Number.NaN);
    const feed = new Feed(startingPoint(position, Number.isInteger(remembered) ? remembered : null));
    this.#listener.heard(position.lastNumber);
    this.#listener.feedChanged(feed);
    return feed;
  }

  /** One connection, from its opening to its end, which is always thrown: a HubError or what the socket gave. */
  async #listen(token: string, feed: Feed): Promise<void> {
    let overdue: number | undefined;
    const client = createClient({
      url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/graphql`,
      connectionParams: { authorization: `Bearer ${token}` },
      connectionAckWaitTimeout: 10_000,
      keepAlive: PING_EVERY_MS,
      retryAttempts: 0, // a retry of the client's own would ask for the same numbers again
      on: {
        connected: (_socket, payload) => {
          this.#attempt = 0;
          this.#listener.heard(lastNumberIn(payload));
          this.#listener.stateChanged("live");
        },
        message: () => {
          window.clearTimeout(overdue);
          this.#listener.heard();
        },
        ping: (received, payload) => {
          if (received) {
            this.#listener.heard(lastNumberIn(payload));
          } else {
            overdue = window.setTimeout(() => client.terminate(), PONG_WITHIN_MS);
          }
        },
      },
    });
    const changes = client.iterate<{ statusChanged: StatusChange }>({
      query: statusChanged,
      variables: { after: feed.last },
    });
    this.#hangUp = () => void changes.return?.();
    try {
      for await (const { data, errors } of changes) {
        if (errors?.length || !data) {
          throw new HubError(errors?.[0] as ConstructorParameters<typeof HubError>[0]);
        }
        const gap = feed.hear(data.statusChanged);
        this.#remember(feed);
        this.#listener.feedChanged(feed, gap);
      }
    } finally {
      this.#hangUp = null;
      window.clearTimeout(overdue);
      void client.dispose();
    }
    throw new Error("The hub ended the subscription.");
  }

  /** What to make of the end of a connection; the answer is how many milliseconds to wait at least. */
  #judge(reason: unknown): number {
    if (this.#stopped) {
      return 0;
    }
    const error = asHubError(reason);
    if (error?.code === "UNAUTHENTICATED" || error?.code === "FORBIDDEN") {
      this.#tokens.discard();
      this.#stopped = !this.#tokens.renewable;
      this.#listener.stateChanged(this.#stopped ? "stopped" : "reconnecting", error.message);
      return 0;
    }
    if (error?.code === "CURSOR_EXPIRED" && error.earliest !== undefined && this.#feed) {
      this.#listener.feedChanged(this.#feed, this.#feed.skipTo(error.earliest - 1));
    }
    if (error?.code === "CURSOR_AHEAD") {
      this.#feed = null; // the hub's feed began anew, and so does ours
    }
    this.#listener.stateChanged("reconnecting", error?.message);
    return (error?.retryAfter ?? 0) * 1000;
  }

  #remember(feed: Feed): void {
    if (this.#bookmark !== null) {
      sessionStorage.setItem(this.#bookmark, String(feed.last));
    }
  }
}

/** A refusal arrives as an answer to a query, as an error of the subscription, or as the code of a closed socket. */
function asHubError(reason: unknown): HubError | null {
  if (reason instanceof HubError) {
    return reason;
  }
  if (Array.isArray(reason)) {
    return new HubError(reason[0]);
  }
  if (reason instanceof CloseEvent && (reason.code === 4401 || reason.code === 4403)) {
    const message = reason.reason === "token expired" ? "The token has expired." : "The hub refused the token.";
    return new HubError({ message, extensions: { code: "UNAUTHENTICATED" } });
  }
  return null;
}

/** Doubling from half a second, with chance, so that all pages do not come back at once after a restart. */
function backoff(attempt: number): number {
  return Math.min(LONGEST_WAIT_MS, 250 * 2 ** attempt) * (0.5 + Math.random() / 2);
}

/** Ends early when the browser finds its network again. */
function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      window.clearTimeout(timer);
      window.removeEventListener("online", end);
      resolve();
    };
    const timer = window.setTimeout(end, milliseconds);
    window.addEventListener("online", end);
  });
}
