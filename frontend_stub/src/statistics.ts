/** Shows the statistics of one institution, asked for again every minute. */

import { byId, element, formatDayAndTime, formatNumber, formatSchoolYear } from "./dom.ts";
import { ask, HubError } from "./hub.ts";
import statisticsQuery from "./operations/multiple-registration-statistics.graphql?raw";
import type { TokenSource } from "./session.ts";

interface DisclosedCount {
  readonly value: number | null;
  readonly suppressed: boolean;
  readonly display: string;
}

interface DisclosedEstimate extends DisclosedCount {
  readonly low: number | null;
  readonly high: number | null;
}

interface Counts {
  readonly registrations: DisclosedCount;
  readonly live: DisclosedCount;
  readonly multiple: DisclosedCount;
  readonly multipleLive: DisclosedCount;
  readonly students: DisclosedCount;
  readonly expectedEnrolments: DisclosedEstimate;
}

interface ProgrammeCounts extends Counts {
  readonly programme: { readonly code: string; readonly name: string | null };
}

interface Statistics {
  readonly asOf: string;
  readonly institution: { readonly brin: string; readonly name: string } | null;
  readonly total: Counts;
  readonly byProgramme: readonly ProgrammeCounts[];
}

const REFRESH_EVERY_MS = 60_000;
/** A hub that has just begun makes its first figures within seconds. */
const ASK_AGAIN_AFTER_MS = 3_000;

/** In the order of the columns. */
const MEASURES: readonly { key: keyof Counts; name: string; dutch: string; meaning: string }[] = [
  { key: "registrations", name: "Registrations", dutch: "aanmeldingen", meaning: "made for this school year" },
  { key: "live", name: "Live", dutch: "lopend", meaning: "received, offered or enrolled" },
  { key: "multiple", name: "Multiple", dutch: "meervoudig", meaning: "made by a student with two or more" },
  { key: "multipleLive", name: "Multiple, live", dutch: "meervoudig lopend", meaning: "live, of a student with two or more live" },
  { key: "students", name: "Students", dutch: "studenten", meaning: "who made these registrations" },
  { key: "expectedEnrolments", name: "Expected enrolments", dutch: "verwachte inschrijvingen", meaning: "estimate, with its range" },
];

/** Starts showing what the institution `brin` may see of itself. */
export function showStatistics(tokens: TokenSource, brin: string, schoolYear: number): void {
  byId("statistics-columns").append(
    ...MEASURES.map(({ name, dutch }) => element("th", { scope: "col", title: dutch }, name)),
  );
  const refresh = async () => {
    const notice = byId("statistics-notice");
    let wait = REFRESH_EVERY_MS;
    try {
      const token = await tokens.current();
      const answer = await ask<{ multipleRegistrationStatistics: Statistics | null }>(
        statisticsQuery,
        { brin, schoolYear },
        token,
      );
      const statistics = answer.multipleRegistrationStatistics;
      if (statistics) {
        draw(statistics, schoolYear);
        notice.textContent = "";
      } else {
        notice.textContent = "There are no figures yet; the hub is about to make them.";
      }
      if (!statistics?.byProgramme.length) {
        wait = ASK_AGAIN_AFTER_MS;
      }
    } catch (reason) {
      if (reason instanceof HubError && reason.code === "UNAUTHENTICATED") {
        tokens.discard();
      }
      const why = reason instanceof HubError ? reason.message : "The hub cannot be reached.";
      notice.textContent = `${why} The figures are asked for again every minute.`;
    }
    window.setTimeout(refresh, wait);
  };
  void refresh();
}

function draw(statistics: Statistics, schoolYear: number): void {
  const { institution, asOf, total, byProgramme } = statistics;
  byId("statistics-of").textContent =
    (institution ? `${institution.name} (${institution.brin})` : "All institutions") +
    `, school year ${formatSchoolYear(schoolYear)}`;
  byId("statistics-as-of").replaceChildren(
    "As of ",
    element("time", { datetime: asOf }, formatDayAndTime(asOf)),
  );
  byId("statistics-total").replaceChildren(
    ...MEASURES.map(({ key, name, dutch, meaning }) =>
      element(
        "tr",
        {},
        element("th", { scope: "row", title: dutch }, name, element("small", {}, meaning)),
        element("td", {}, ...figure(total[key])),
      ),
    ),
  );
  byId("statistics-programmes").replaceChildren(...[...byProgramme].sort(largestFirst).map(programmeRow));
  byId("statistics-empty").hidden = byProgramme.length > 0;
}

function programmeRow(counts: ProgrammeCounts): HTMLElement {
  const { code, name } = counts.programme;
  return element(
    "tr",
    {},
    element(
      "th",
      { scope: "row" },
      name === null ? "Name not known" : element("span", { lang: "nl" }, name),
      element("small", {}, code),
    ),
    ...MEASURES.map(({ key }) => element("td", {}, ...figure(counts[key]))),
  );
}

function figure(count: DisclosedCount | DisclosedEstimate): (Node | string)[] {
  if (count.suppressed || count.value === null) {
    return [element("span", { class: "suppressed", title: "Too few to show without pointing at persons" }, count.display)];
  }
  const shown: (Node | string)[] = [formatNumber(Math.round(count.value))];
  if ("low" in count && count.low !== null && count.high !== null) {
    const range = `${formatNumber(Math.round(count.low))}–${formatNumber(Math.round(count.high))}`;
    shown.push(element("small", {}, range));
  }
  return shown;
}

function largestFirst(one: ProgrammeCounts, other: ProgrammeCounts): number {
  return (other.registrations.value ?? 0) - (one.registrations.value ?? 0);
}
