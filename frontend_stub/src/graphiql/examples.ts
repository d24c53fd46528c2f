/** What GraphiQL opens with: one tab per thing that the hub does. */

import type { PartyName } from "../session.ts";
import catchUp from "./examples/catch-up.graphql?raw";
import listen from "./examples/listen.graphql?raw";
import notYetPlaced from "./examples/not-yet-placed.graphql?raw";
import report from "./examples/report.graphql?raw";
import statistics from "./examples/statistics.graphql?raw";
import whoAmI from "./examples/who-am-i.graphql?raw";

export interface Tab {
  readonly query: string;
  readonly variables: string;
  readonly headers: string;
}

export interface World {
  readonly brin: string;
  readonly schoolYear: number;
  readonly parties: readonly PartyName[];
}

/** The tabs of a session; a party that it lacks has no example. */
export function examples({ brin, schoolYear, parties }: World): Tab[] {
  const tabs = [
    tab(whoAmI),
    tab(listen),
    tab(catchUp),
    tab(notYetPlaced),
    tab(statistics, { brin, schoolYear }),
  ];
  return parties.includes("sis") ? [...tabs, tab(report, { input: aReport(brin, schoolYear) })] : tabs;
}

function tab(query: string, variables?: object): Tab {
  return { query, variables: variables ? JSON.stringify(variables, null, 2) : "", headers: "" };
}

function aReport(brin: string, schoolYear: number): object {
  const message = {
    messageId: crypto.randomUUID(),
    applicationId: "EXAMPLE-1",
    personalNumber: "999990342", // a published test number
    brin,
    programmeCode: "25998",
    learningPath: "BOL",
    schoolYear,
    status: "RECEIVED",
    occurredAt: new Date().toISOString(),
  };
  return { dryRun: true, messages: [message] };
}
