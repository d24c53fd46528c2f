/** Where access tokens come from. They live in memory only. */

export interface TokenSource {
  /** Whether a refused token can be replaced without asking a person. */
  readonly renewable: boolean;
  /** A token that is good for some time yet. */
  current(): Promise<string>;
  /** To be told when the hub has refused the token. */
  discard(): void;
}

interface DemoParty {
  readonly token: string;
  readonly name: string;
}

export type PartyName = "transferSystem" | "institution" | "sis";

interface DemoAnswer {
  readonly transferSystem: DemoParty;
  readonly institution: DemoParty & { readonly brin: string; readonly schoolYear: number };
  readonly sis?: DemoParty;
  /** Seconds. */
  readonly expiresIn: number;
}

/** The session that a hub in demo mode hands to whoever opens the page; its tokens are renewed together. */
export class DemoSession {
  #answer: Promise<DemoAnswer>;
  #renewAt: number;

  private constructor(answer: DemoAnswer) {
    this.#answer = Promise.resolve(answer);
    this.#renewAt = renewalTime(answer);
  }

  /** Null where the hub is not in demo mode. Throws where it cannot be reached. */
  static async open(): Promise<DemoSession | null> {
    const answer = await fetchSession();
    return answer && new DemoSession(answer);
  }

  /** The parties, with tokens that are good for some time yet. */
  async current(): Promise<DemoAnswer> {
    if (Date.now() >= this.#renewAt) {
      this.#renewAt = Number.POSITIVE_INFINITY; // whoever asks meanwhile waits for the same answer
      this.#answer = this.#renew();
    }
    return this.#answer;
  }

  tokensOf(party: PartyName): TokenSource {
    return {
      renewable: true,
      current: async () => {
        const found = (await this.current())[party];
        if (!found) {
          throw new Error("The session has no such party.");
        }
        return found.token;
      },
      discard: () => {
        if (Number.isFinite(this.#renewAt)) {
          this.#renewAt = 0;
        }
      },
    };
  }

  async #renew(): Promise<DemoAnswer> {
    try {
      const answer = await fetchSession();
      if (!answer) {
        throw new Error("This hub is no longer in demo mode.");
      }
      this.#renewAt = renewalTime(answer);
      return answer;
    } catch (reason) {
      this.#renewAt = 0;
      throw reason;
    }
  }
}

/** A token that a person pasted. */
export class PastedToken implements TokenSource {
  readonly renewable = false;
  readonly #token: string;

  constructor(text: string) {
    this.#token = text.trim().replace(/^bearer\s+/i, "");
  }

  current(): Promise<string> {
    return Promise.resolve(this.#token);
  }

  discard(): void {
    // There is no other: the feed stops and the person is asked again.
  }
}

async function fetchSession(): Promise<DemoAnswer | null> {
  const response = await fetch("/demo/session", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (response.status === 404) {
    return null;
  }
  if (!response.ok) {
    throw new Error(`The hub answered ${response.status}.`);
  }
  return (await response.json()) as DemoAnswer;
}

/** A minute before the end, or at three quarters of a shorter life. */
function renewalTime(answer: DemoAnswer): number {
  return Date.now() + Math.max(answer.expiresIn - 60, answer.expiresIn * 0.75) * 1000;
}
