/** What a receiver of a feed has to keep: where it is, what it missed, and the last rows. No I/O, no DOM. */

export type RegistrationStatus = "RECEIVED" | "OFFERED" | "ENROLLED" | "WITHDRAWN" | "REJECTED";

export type ChangeKind = "STATUS" | "DATA" | "CORRECTED" | "ANNULLED" | "HIDDEN";

export interface StatusChange {
  readonly number: number;
  readonly kind: ChangeKind;
  readonly reference: string | null;
  readonly status: RegistrationStatus | null;
  readonly previousStatus: RegistrationStatus | null;
  readonly occurredAt: string | null;
  readonly recordedAt: string;
  readonly registration: {
    readonly schoolYear: number;
    readonly institution: { readonly brin: string; readonly name: string };
    readonly programme: { readonly code: string; readonly name: string | null };
  } | null;
}

export interface FeedPosition {
  readonly lastNumber: number;
  readonly earliestNumber: number;
  readonly at: string;
}

/** Numbers that should have come and did not, both ends included. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** How many changes from before the visit are shown, so that the list does not start empty. */
const CONTEXT = 20;

/**
 * The number to ask for changes after, when a page opens: never beyond `remembered`, the last number that an earlier
 * page saw, so that nothing in between is skipped, and never before what the hub still keeps. A remembered number
 * that the hub has not reached belongs to another feed and is ignored.
 */
export function startingPoint(position: FeedPosition, remembered: number | null): number {
  const seen = remembered === null ? position.lastNumber : Math.min(remembered, position.lastNumber);
  return Math.max(0, position.earliestNumber - 1, seen - CONTEXT);
}

/**
 * How far the feed goes, as the hub's pings and its `connection_ack` tell it: `{"feed": {"lastNumber": 7, …}}`.
 * Callers without a feed get no such payload.
 */
export function lastNumberIn(payload: unknown): number | undefined {
  const { feed } = (payload ?? {}) as { readonly feed?: Partial<FeedPosition> | null };
  return typeof feed?.lastNumber === "number" ? feed.lastNumber : undefined;
}

/** One feed as far as it has been received. Numbers go up by one: anything else is a repeat or a gap. */
export class Feed {
  /** The last number received: what to resume after. */
  last: number;
  received = 0;
  missed = 0;
  /** Newest first, never more than `limit`. */
  readonly rows: StatusChange[] = [];
  readonly limit: number;

  constructor(after: number, limit = 200) {
    this.last = after;
    this.limit = limit;
  }

  /** Takes a change in. A number that was seen before is ignored; one that comes too early reveals a gap. */
  hear(change: StatusChange): Gap | null {
    if (change.number <= this.last) {
      return null;
    }
    const gap = this.skipTo(change.number - 1);
    this.last = change.number;
    this.received += 1;
    this.rows.unshift(change);
    this.rows.length = Math.min(this.rows.length, this.limit);
    return gap;
  }

  /** Gives up on everything up to and including `number`, and counts it as missed. */
  skipTo(number: number): Gap | null {
    if (number <= this.last) {
      return null;
    }
    const gap = { from: this.last + 1, to: number };
    this.missed += number - this.last;
    this.last = number;
    return gap;
  }
}
