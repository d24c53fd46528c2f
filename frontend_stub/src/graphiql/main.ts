/** GraphiQL, for hubs in demo mode: asks as one of the parties of the demo session. */

import "graphiql/style.css";
import "./style.css";
import type { Fetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

import { byId } from "../dom.ts";
import { DemoSession, type PartyName } from "../session.ts";
import { examples } from "./examples.ts";
import { fetcherOf } from "./fetcher.ts";

const PARTIES: Readonly<Record<PartyName, string>> = {
  transferSystem: "transfer system",
  institution: "institution",
  sis: "SIS vendor",
};

async function start(): Promise<void> {
  const notice = byId("notice");
  try {
    const session = await DemoSession.open();
    if (!session) {
      notice.textContent = "This hub is not in demo mode, and has no token to give.";
      return;
    }
    await show(session);
    notice.remove();
  } catch {
    notice.textContent = "The hub cannot be reached; reload the page to try again.";
  }
}

async function show(session: DemoSession): Promise<void> {
  const answer = await session.current();
  const parties = (Object.keys(PARTIES) as PartyName[]).filter((party) => answer[party]);
  const fetchers = new Map(parties.map((party) => [party, fetcherOf(session.tokensOf(party))]));
  let asker: PartyName = "transferSystem";
  // One function for all parties: GraphiQL reads the schema anew for another one.
  const fetcher: Fetcher = (parameters, options) => (fetchers.get(asker) as Fetcher)(parameters, options);
  const choice = createElement(
    "select",
    { id: "asker", onChange: (event) => (asker = (event.target as HTMLSelectElement).value as PartyName) },
    parties.map((party) =>
      createElement("option", { key: party, value: party }, `${answer[party]?.name} (${PARTIES[party]})`),
    ),
  );
  const { brin, schoolYear } = answer.institution;
  createRoot(byId("graphiql")).render(
    createElement(
      GraphiQL,
      { fetcher, defaultTabs: examples({ brin, schoolYear, parties }), isHeadersEditorEnabled: false },
      createElement(
        GraphiQL.Logo,
        null,
        createElement("label", { htmlFor: "asker" }, "Ask as"),
        choice,
        createElement("a", { href: "/" }, "Live feed"),
      ),
    ),
  );
}

void start();
