/** Shows a feed: the state of the connection, what was received and missed, and the last rows. */

import { byId, element, formatDayAndTime, formatNumber, formatTime } from "./dom.ts";
import type { ChangeKind, Feed, Gap, RegistrationStatus, StatusChange } from "./feed.ts";
import { FeedConnection, type FeedListener } from "./feed-connection.ts";
import type { TokenSource } from "./session.ts";

const STATES = {
  connecting: "Connecting …",
  live: "Live",
  reconnecting: "Reconnecting …",
  stopped: "Stopped",
} as const;

const STATUSES: Readonly<Record<RegistrationStatus, readonly [english: string, dutch: string]>> = {
  RECEIVED: ["Received", "aangemeld"],
  OFFERED: ["Offered", "onderwijsovereenkomst aangeboden"],
  ENROLLED: ["Enrolled", "ingeschreven"],
  WITHDRAWN: ["Withdrawn", "ingetrokken"],
  REJECTED: ["Rejected", "afgemeld, leidt niet tot inschrijving"],
};

const KINDS: Readonly<Record<ChangeKind, string>> = {
  STATUS: "Status",
  DATA: "Data",
  CORRECTED: "Corrected",
  ANNULLED: "Annulled",
  HIDDEN: "Hidden",
};

const DRAW_EVERY_MS = 150;

/** Starts showing the feed of whoever the tokens belong to. `stopped` is told why, if it ends by itself. */
export function showFeed(tokens: TokenSource, bookmark: string | null, stopped: (reason: string) => void): void {
  const view = new FeedView(stopped);
  void new FeedConnection(tokens, bookmark, view).run();
}

class FeedView implements FeedListener {
  readonly #stopped: (reason: string) => void;
  readonly #rows = byId("feed-rows");
  readonly #state = byId("feed-state");
  readonly #notice = byId("feed-notice");
  readonly #pause = byId("feed-pause");
  #feed: Feed | null = null;
  #gapNotice = "";
  /** The feed that the rows on the page belong to, and the newest number among them. */
  #drawn: Feed | null = null;
  #drawnNumber = 0;
  #paused = false;
  #waiting = false;
  #heardAt: number | null = null;
  #hubNumber = 0;
  readonly #clock: number;

  constructor(stopped: (reason: string) => void) {
    this.#stopped = stopped;
    this.#rows.replaceChildren();
    this.#notice.textContent = "";
    byId("feed-legend").replaceChildren(...legend());
    this.#pause.onclick = () => {
      this.#paused = !this.#paused;
      this.#draw();
    };
    this.#clock = window.setInterval(() => this.#drawHeard(), 1000);
  }

  stateChanged(state: keyof typeof STATES, reason?: string): void {
    this.#state.dataset.state = state;
    this.#state.textContent = STATES[state];
    if (state === "live") {
      this.#notice.textContent = this.#gapNotice;
    } else if (reason) {
      this.#notice.textContent = reason;
    }
    if (state === "stopped") {
      window.clearInterval(this.#clock);
      this.#stopped(reason ?? "");
    }
  }

  feedChanged(feed: Feed, gap?: Gap | null): void {
    if (gap || feed !== this.#feed) {
      this.#gapNotice = gap ? describe(gap) : "";
      this.#notice.textContent = this.#gapNotice;
    }
    this.#feed = feed;
    this.#drawLater();
  }

  heard(lastNumber?: number): void {
    this.#heardAt = Date.now();
    if (lastNumber !== undefined) {
      this.#hubNumber = lastNumber;
      this.#drawLater();
    }
  }

  /** However fast the changes come, the page is drawn a few times a second at most. */
  #drawLater(): void {
    if (!this.#waiting) {
      this.#waiting = true;
      window.setTimeout(() => {
        this.#waiting = false;
        this.#draw();
      }, DRAW_EVERY_MS);
    }
  }

  #draw(): void {
    const feed = this.#feed;
    if (!feed) {
      return;
    }
    byId("feed-last").textContent = feed.last === 0 ? "none yet" : formatNumber(feed.last);
    const behind = this.#hubNumber - feed.last;
    byId("feed-behind").textContent = behind > 0 ? `${formatNumber(behind)} more to come` : "";
    byId("feed-received").textContent = formatNumber(feed.received);
    const missed = byId("feed-missed");
    missed.textContent = `${formatNumber(feed.missed)} missed`;
    missed.dataset.missed = String(feed.missed > 0);
    this.#drawHeard();
    if (!this.#paused) {
      this.#drawRows(feed);
    }
    const unseen = this.#paused ? feed.last - this.#drawnNumber : 0;
    this.#pause.dataset.paused = String(this.#paused);
    const label = this.#paused ? "Go on" : "Pause the list";
    this.#pause.textContent = unseen > 0 ? `Show ${formatNumber(unseen)} new` : label;
  }

  #drawRows(feed: Feed): void {
    if (feed !== this.#drawn) {
      this.#rows.replaceChildren();
      this.#drawn = feed;
      this.#drawnNumber = 0;
    }
    const rows: HTMLElement[] = [];
    for (const change of feed.rows) {
      if (change.number <= this.#drawnNumber) {
        break;
      }
      rows.push(row(change));
    }
    this.#rows.prepend(...rows);
    while (this.#rows.childElementCount > feed.limit) {
      this.#rows.lastElementChild?.remove();
    }
    this.#drawnNumber = feed.last;
    byId("feed-empty").hidden = feed.rows.length > 0;
  }

  #drawHeard(): void {
    if (this.#heardAt !== null) {
      const seconds = Math.max(0, Math.round((Date.now() - this.#heardAt) / 1000));
      const ago = seconds < 120 ? `${seconds} s ago` : `${Math.floor(seconds / 60)} min ago`;
      byId("feed-heard").textContent = seconds < 2 ? "just now" : ago;
    }
  }
}

function describe({ from, to }: Gap): string {
  return from === to
    ? `Number ${formatNumber(from)} did not arrive.`
    : `Numbers ${formatNumber(from)} to ${formatNumber(to)} did not arrive.`;
}

// The roles say what the tags say already: on a narrow screen the rows are laid out as cards, and browsers then
// no longer take them for a table.
function row(change: StatusChange): HTMLElement {
  const time = element("time", { datetime: change.recordedAt, title: times(change) }, formatTime(change.recordedAt));
  return element(
    "tr",
    { role: "row", "data-kind": change.kind, "data-number": String(change.number) },
    element("th", { role: "rowheader", scope: "row", class: "number" }, formatNumber(change.number)),
    element("td", { role: "cell", class: "time" }, time),
    ...(change.kind === "HIDDEN" ? hiddenCells() : visibleCells(change)),
    element("td", { role: "cell", class: "kind" }, KINDS[change.kind]),
  );
}

function hiddenCells(): HTMLElement[] {
  return [element("td", { role: "cell", class: "hidden", colspan: "4" }, "No longer visible")];
}

function visibleCells(change: StatusChange): HTMLElement[] {
  const { registration } = change;
  return [
    element("td", { role: "cell", class: "reference" }, change.reference ?? "–"),
    element("td", { role: "cell", class: "institution" }, registration?.institution.name ?? "–", brin(registration)),
    element("td", { role: "cell", class: "programme" }, ...programme(registration)),
    element("td", { role: "cell", class: "status" }, ...statuses(change)),
  ];
}

function times(change: StatusChange): string {
  const recorded = `At the hub: ${formatDayAndTime(change.recordedAt)}`;
  return change.occurredAt ? `At the institution: ${formatDayAndTime(change.occurredAt)}. ${recorded}` : recorded;
}

function brin(registration: StatusChange["registration"]): Node | string {
  return registration ? element("small", {}, registration.institution.brin) : "";
}

function programme(registration: StatusChange["registration"]): (Node | string)[] {
  if (!registration) {
    return ["–"];
  }
  const { code, name } = registration.programme;
  return [name === null ? "Name not known" : element("span", { lang: "nl" }, name), element("small", {}, code)];
}

function statuses(change: StatusChange): (Node | string)[] {
  const { status, previousStatus } = change;
  if (!status) {
    return ["–"];
  }
  if (!previousStatus || previousStatus === status) {
    return [badge(status)];
  }
  const arrow = element("span", { class: "arrow" }, element("span", { "aria-hidden": "true" }, "→"));
  arrow.append(element("span", { class: "unseen" }, "became"));
  return [badge(previousStatus, "before"), arrow, badge(status)];
}

/** The statuses in both languages, for whom a title on hovering does not help. */
function legend(): HTMLElement[] {
  return (Object.keys(STATUSES) as RegistrationStatus[]).map((status) =>
    element("li", {}, badge(status), element("span", { class: "dutch", lang: "nl" }, STATUSES[status][1])),
  );
}

function badge(status: RegistrationStatus, when = "now"): HTMLElement {
  const [english, dutch] = STATUSES[status];
  return element("span", { class: `badge ${when}`, "data-status": status, title: dutch }, english);
}
